#include "fuzz/exec/templates.h"

#include <cstring>
#include <memory>

#include "fs/base/types.h"
#include "fuzz/exec/templates_data.h"

namespace daxfuzz::exec {
namespace {

struct Expanded {
  std::string_view name;
  std::vector<std::byte> bytes;
};

std::vector<std::byte> expand(const internal::TemplateData& data) {
  std::vector<std::byte> bytes(size_t{data.blocks} * daxfs::kBlockSize);
  for (const auto& segment : std::span(data.segments, data.segment_count)) {
    std::byte* at = bytes.data() + size_t{segment.first_block} * daxfs::kBlockSize;
    std::memset(at, segment.fill, size_t{segment.block_count} * daxfs::kBlockSize);
    if (segment.bytes != nullptr) { std::memcpy(at, segment.bytes, segment.size); }
  }
  return bytes;
}

}  // namespace

std::span<const std::byte> image_template(std::string_view name) {
  static std::vector<std::unique_ptr<Expanded>>& cache = *new std::vector<std::unique_ptr<Expanded>>;
  for (const auto& expanded : cache) {
    if (expanded->name == name) { return expanded->bytes; }
  }
  for (const auto& data : internal::template_table()) {
    if (data.name != name) { continue; }
    cache.push_back(std::make_unique<Expanded>(Expanded{data.name, expand(data)}));
    return cache.back()->bytes;
  }
  return {};
}

bool template_has_contents(std::string_view name) { return name == "files"; }

std::string template_names() {
  std::string names;
  for (const auto& data : internal::template_table()) {
    if (!names.empty()) { names += ", "; }
    names += data.name;
  }
  return names;
}

}  // namespace daxfuzz::exec
