// fuzz/tools/finding_file.h - the comments of a finding's file: what was found, and how to see it again.
//
//   # FINDING WARNING WARNING in dax::f: title key=0123456789abcdef trace=0123456789abcdef
//   # replay: daxfuzz run PATH --bug ID
//
// People may write more comments; these two are read back.
//
// Tested by: fuzz/tools/finding_file_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/base/historical.h"
#include "fs/base/report.h"

namespace daxfuzz::tools {

struct FindingNote {
  std::string headline;           // "WARNING WARNING in dax::f: title"
  std::string key, trace;         // 16 hex digits each
  std::vector<std::string> bugs;  // switches of the replay line
};

// Nothing when the text has no FINDING line.
std::optional<FindingNote> read_finding_note(std::string_view text);

// Both lines, each with its end. `path` as people shall type it.
std::string finding_note(const daxfs::Finding& finding, uint64_t trace_hash, std::string_view path,
                         const daxfs::BugSet& bugs);

// " --bug a --bug b"
std::string bug_options(const daxfs::BugSet& bugs);
std::string hex16(uint64_t value);

}  // namespace daxfuzz::tools
