// fuzz/explore/explorer_state.cc - an exploration on disk: a line of text that says whose, then counted arrays.
#include <cstdio>
#include <memory>
#include <type_traits>

#include "fuzz/explore/explorer.h"

namespace daxfuzz::explore {
namespace {

constexpr char kMagic[] = "daxfuzz exploration 2";

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Closer>;

template <typename T>
bool put(std::FILE* file, const std::vector<T>& items) {
  static_assert(std::is_trivially_copyable_v<T>);
  const uint64_t count = items.size();
  return std::fwrite(&count, sizeof(count), 1, file) == 1 &&
         std::fwrite(items.data(), sizeof(T), items.size(), file) == items.size();
}

template <typename T>
bool get(std::FILE* file, uint64_t count_max, std::vector<T>* items) {
  uint64_t count = 0;
  if (std::fread(&count, sizeof(count), 1, file) != 1 || count > count_max) { return false; }
  items->resize(count);
  return std::fread(items->data(), sizeof(T), count, file) == count;
}

bool read_line(std::FILE* file, std::string* line) {
  line->clear();
  for (int c; (c = std::fgetc(file)) != EOF && line->size() < 4096;) {
    if (c == '\n') { return true; }
    line->push_back(static_cast<char>(c));
  }
  return false;
}

}  // namespace

bool Explorer::save(const std::string& path, const std::string& what, std::string* error) const {
  const std::string part = path + ".part";  // whole or not at all
  {
    const File file(std::fopen(part.c_str(), "wb"));
    if (file == nullptr) {
      *error = part + ": cannot be written";
      return false;
    }
    const std::vector<uint64_t> numbers = {progress_.level, progress_.done, progress_.known, progress_.runs,
                                           progress_.pass,  pass_runs_,     tasks_begin_,    grown_};
    const bool ok = std::fprintf(file.get(), "%s %s\n", kMagic, what.c_str()) > 0 && put(file.get(), numbers) &&
                    put(file.get(), nodes_) && put(file.get(), now_) && put(file.get(), next_) &&
                    put(file.get(), walker_.shared().slots()) && put(file.get(), walker_.states().slots()) &&
                    put(file.get(), walker_.blocks().all_touches()) && put(file.get(), walker_.blocks().begins()) &&
                    std::fflush(file.get()) == 0;
    if (!ok) {
      *error = part + ": cannot be written";
      return false;
    }
  }
  if (std::rename(part.c_str(), path.c_str()) != 0) {
    *error = path + ": cannot be written";
    return false;
  }
  return true;
}

bool Explorer::load(const std::string& path, const std::string& what, std::string* error) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) {
    *error = path + ": cannot be read";
    return false;
  }
  std::string line;
  if (!read_line(file.get(), &line) || line.rfind(kMagic, 0) != 0) {
    *error = path + ": expected a file that begins with '" + kMagic + "'";
    return false;
  }
  if (line != std::string(kMagic) + " " + what) {
    *error = path + ": of another program, bound, build or other bug switches; expected '" + what + "'";
    return false;
  }
  *error = path + ": damaged; delete it to start anew";
  constexpr uint64_t kCountMax = uint64_t{1} << 31;
  std::vector<uint64_t> numbers;
  std::vector<uint64_t> states;
  std::vector<SharedObjects::Slot> shared;
  std::vector<Touch> touches;
  std::vector<uint32_t> begins;
  if (!get(file.get(), 8, &numbers) || numbers.size() != 8 || !get(file.get(), kCountMax, &nodes_) ||
      !get(file.get(), kCountMax, &now_) || !get(file.get(), kCountMax, &next_) ||
      !get(file.get(), kCountMax, &shared) || !get(file.get(), kCountMax, &states) ||
      !get(file.get(), kCountMax, &touches) || !get(file.get(), kCountMax, &begins) ||
      !walker_.blocks().restore(std::move(touches), std::move(begins)) ||
      !walker_.shared().restore(std::move(shared)) || !walker_.states().restore(std::move(states))) {
    return false;
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const bool first = nodes_[i].parent == kNoParent;
    if ((!first && nodes_[i].parent >= i) || nodes_[i].step.block >= walker_.blocks().count()) { return false; }
  }
  for (const auto* list : {&now_, &next_}) {
    for (const uint32_t node : *list) {
      if (node != kNoParent && node >= nodes_.size()) { return false; }
    }
  }
  progress_ = {.level = static_cast<unsigned>(numbers[0]),
               .done = numbers[1],
               .known = numbers[2],
               .runs = numbers[3],
               .pass = static_cast<unsigned>(numbers[4])};
  pass_runs_ = numbers[5];
  tasks_begin_ = numbers[6];
  grown_ = numbers[7] != 0;
  started_ = true;
  error->clear();
  return true;
}

}  // namespace daxfuzz::explore
