// fuzz/report/known.h - what a report may look up: invariants by tag, historical bugs by the key of
// their program.
//
// The texts come from docs/invariants.md and corpus/bugs, compiled in when the tool is built
// (make_tables.py); keys are computed by running those programs, so that they are those of this
// build.
//
// Tested by: fuzz/report/collect_test.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/base/historical.h"
#include "fuzz/exec/executor.h"
#include "fuzz/report/report.h"

namespace daxfuzz::report {

struct InvariantText {
  const char* tag;
  const char* text;
  const char* declared;
};

struct KnownProgram {
  const char* bugs;  // ids, separated by spaces
  const char* text;
};

std::span<const InvariantText> invariant_texts();
std::span<const KnownProgram> known_programs();

// Every tag of docs/invariants.md in its order.
std::vector<Invariant> invariants();
// An unknown tag gets no text.
Invariant invariant_of(std::string_view tag);
// Historical bugs of known programs that show the same key, without those that are switched on.
std::vector<BugNote> bugs_with_key(exec::Executor& executor, std::string_view key);
BugNote note_of(const daxfs::BugInfo& info);

}  // namespace daxfuzz::report
