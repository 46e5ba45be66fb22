// fuzz/report/details.cc - line by line.
#include "fuzz/report/details.h"

#include <algorithm>
#include <cctype>

#include "fuzz/exec/executor.h"
#include "fuzz/report/report.h"

namespace daxfuzz::report {
namespace {

void drop(std::string* line, std::string_view words) {
  const size_t at = line->find(words);
  if (at != std::string::npos) { line->erase(at, words.size()); }
}

// "taken at Status daxfs::ext4::f(Inode &) (../../fs/ext4/f.cc:1)" -> "taken at ext4::f() (fs/ext4/f.cc:1)"
void shorten_place(std::string* line) {
  const size_t at = line->starts_with("at ") ? 0 : line->find(" at ") + 1;
  const size_t site = line->rfind(" (");
  const bool none = at == 0 && !line->starts_with("at ");
  if (none || site == std::string::npos || site < at + 3 || !line->ends_with(')')) { return; }
  const std::string function = exec::short_function(std::string_view(*line).substr(at + 3, site - at - 3));
  const std::string where = site_path(std::string_view(*line).substr(site + 2));
  *line = line->substr(0, at + 3) + function + "() (" + where;
}

// "T1 (T1) op 0 event 7" -> "T1 op 1 event 7"
void count_from_one(std::string* line) {
  for (const char* name : {"T0", "T1", "T2", "T3", "T4", "T5", "T6", "T7"}) {
    drop(line, std::string(name).insert(0, " (") + ")");
  }
  constexpr std::string_view kOp = " op ";
  const size_t at = line->find(kOp);
  if (at == std::string::npos) { return; }
  const size_t begin = at + kOp.size();
  size_t end = begin;
  while (end < line->size() && std::isdigit(static_cast<unsigned char>((*line)[end])) != 0) { ++end; }
  if (end == begin || line->compare(end, 7, " event ") != 0) { return; }
  unsigned number = 0;
  for (size_t i = begin; i < end; ++i) { number = number * 10 + static_cast<unsigned>((*line)[i] - '0'); }
  line->replace(begin, end - begin, std::to_string(number + 1));
}

}  // namespace

std::string readable_detail(std::string_view detail, bool every_task) {
  std::string out;
  bool skip = false;  // a paragraph: a line and the indented ones below it
  while (!detail.empty()) {
    const size_t end = std::min(detail.find('\n'), detail.size());
    std::string line(detail.substr(0, end));
    detail.remove_prefix(std::min(end + 1, detail.size()));
    if (!line.starts_with(' ')) {
      skip = line.starts_with("root event ") || line.starts_with("reported by root ") ||
             (every_task && line.starts_with("reported by "));
    }
    if (skip) { continue; }
    drop(&line, ", process context");
    drop(&line, ", runnable");
    shorten_place(&line);
    count_from_one(&line);
    out += line + "\n";
  }
  return out;
}

}  // namespace daxfuzz::report
