#include "fuzz/tools/finding_file.h"

#include <cinttypes>
#include <cstdio>

#include "fuzz/exec/executor.h"

namespace daxfuzz::tools {
namespace {

constexpr std::string_view kFinding = "# FINDING ";
constexpr std::string_view kReplay = "# replay: ";

// The word behind `name` in `line`; empty if there is none.
std::string_view word_after(std::string_view line, std::string_view name) {
  const size_t at = line.rfind(name);
  if (at == std::string_view::npos) { return {}; }
  line.remove_prefix(at + name.size());
  return line.substr(0, line.find(' '));
}

}  // namespace

std::string hex16(uint64_t value) {
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016" PRIx64, value);
  return digits;
}

std::string bug_options(const daxfs::BugSet& bugs) {
  std::string options;
  for (const auto& info : daxfs::historical_bugs()) {
    if (bugs[static_cast<size_t>(info.bug)]) { options += " --bug " + std::string(info.id); }
  }
  return options;
}

std::optional<FindingNote> read_finding_note(std::string_view text) {
  std::optional<FindingNote> note;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with(kFinding) && !note) {
      note.emplace();
      line.remove_prefix(kFinding.size());
      note->headline = line.substr(0, line.rfind(" key="));
      note->key = word_after(line, " key=");
      note->trace = word_after(line, " trace=");
    } else if (line.starts_with(kReplay) && note && note->bugs.empty()) {
      for (size_t at; (at = line.find("--bug ")) != std::string_view::npos;) {
        line.remove_prefix(at + 6);
        note->bugs.emplace_back(line.substr(0, line.find(' ')));
      }
    }
  }
  return note;
}

std::string finding_note(const daxfs::Finding& finding, uint64_t trace_hash, std::string_view path,
                         const daxfs::BugSet& bugs) {
  return std::string(kFinding) + daxfs::verdict_name(finding.verdict) + " " + exec::finding_title(finding) +
         " key=" + exec::finding_key(finding) + " trace=" + hex16(trace_hash) + "\n" + std::string(kReplay) +
         "daxfuzz run " + std::string(path) + bug_options(bugs) + "\n";
}

}  // namespace daxfuzz::tools
