#include "fuzz/tools/results_json.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <nlohmann/json.hpp>

#include "fs/check/media_tree.h"
#include "fuzz/exec/interpreter.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::tools {
namespace {

constexpr size_t kDataShown = 64;             // bytes of data as hex
constexpr uint64_t kContentsMax = 64u << 20;  // bytes hashed of one file

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes.first(std::min(bytes.size(), kDataShown))) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", std::to_integer<unsigned>(b));
    text += digits;
  }
  return text;
}

std::string hash_text(uint64_t hash) {
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

nlohmann::json line_of(const prog::Program& program, const oracle::OpRecord& record) {
  nlohmann::json line;
  line["task"] = record.task == oracle::kInitTask ? "init" : "T" + std::to_string(record.task);
  if (record.task == oracle::kInitTask) { line["process"] = "P" + std::to_string(record.process); }
  line["op"] = record.index;
  line["text"] = record.op != nullptr ? prog::print_op(program, *record.op) : "";
  line["ret"] = record.ret;
  if (record.error != daxfs::Errc::kOk) { line["errno"] = daxfs::errc_name(record.error); }
  if (record.signal != oracle::Signal::kNone) {
    line["signal"] = oracle::signal_name(record.signal);
    line["fault_offset"] = record.fault_offset;
  }
  if (!record.data.empty()) {
    line["data"] = hex(record.data);
    line["fnv1a64"] = hash_text(exec::fnv1a64(record.data));
  }
  return line;
}

class TreeLine final : public daxfs::check::TreeVisitor {
 public:
  explicit TreeLine(std::span<const std::byte> image) : reader_(image) {}

  nlohmann::json take() {
    reader_.walk(*this);
    return std::move(paths_);
  }

  void visit(const daxfs::check::TreeEntry& entry) override {
    nlohmann::json extents = nlohmann::json::array();
    for (const auto& extent : entry.extents) {
      extents.push_back({extent.logical, extent.length, extent.unwritten ? "u" : "w"});
    }
    nlohmann::json line = {{"path", std::string(entry.path)},
                           {"type", type_of(entry.inode)},
                           {"mode", entry.inode.mode & 07777},
                           {"links", entry.inode.links},
                           {"size", entry.inode.size},
                           {"blocks", entry.inode.i_blocks},
                           {"extents", extents}};
    if (entry.inode.is_regular()) { line["fnv1a64"] = hash_text(hash_contents(entry)); }
    if (entry.inode.is_symlink()) { line["target"] = reader_.target(entry.inode); }
    paths_.push_back(std::move(line));
  }

 private:
  static const char* type_of(const daxfs::check::TreeInode& inode) {
    return inode.is_directory() ? "dir" : inode.is_regular() ? "file" : inode.is_symlink() ? "symlink" : "special";
  }

  uint64_t hash_contents(const daxfs::check::TreeEntry& entry) {
    contents_.resize(std::min(entry.inode.size, kContentsMax));
    const size_t size = reader_.read(entry.inode, entry.extents, 0, contents_);
    return exec::fnv1a64(std::span(contents_).first(size));
  }

  daxfs::check::ImageReader reader_;
  nlohmann::json paths_ = nlohmann::json::array();
  std::vector<std::byte> contents_;
};

}  // namespace

std::string results_lines(const prog::Program& program, const exec::Outcome& outcome,
                          std::span<const std::byte> image) {
  std::vector<const oracle::OpRecord*> records;
  for (const auto& record : outcome.history.records) {
    if (record.begin_seq != 0) { records.push_back(&record); }
  }
  std::sort(records.begin(), records.end(), [](const auto* a, const auto* b) { return a->begin_seq < b->begin_seq; });
  std::string lines;
  for (const auto* record : records) { lines += line_of(program, *record).dump() + "\n"; }
  if (!image.empty()) { lines += nlohmann::json{{"tree", TreeLine(image).take()}}.dump() + "\n"; }
  return lines;
}

}  // namespace daxfuzz::tools
