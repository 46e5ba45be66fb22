// fuzz/tools/finding_input.h - a finding's file as the input of a command: loaded, replayed, and refused with a message
// that says what to do.
//
// Tested by: fuzz/tools/daxfuzz_test.py
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fs/base/historical.h"
#include "fuzz/prog/program.h"
#include "fuzz/tools/finding_file.h"

namespace daxfuzz::tools {

struct FindingInput {
  prog::Program program;
  std::optional<FindingNote> note;  // what the file says about itself
  daxfs::BugSet bugs;               // switched on for this process
  std::string key;                  // of the file's note, otherwise of the replay
  bool fires = false;               // as recorded; otherwise it has to be looked for near its schedule
  uint64_t trace_hash = 0;          // of the replay
  size_t drift = 0;
  uint64_t events_max = 0;  // for runs of programs like it: more events are a livelock
  bool livelock = false;    // that is what it is; runs with the usual budget would take minutes
};

// How many events a run of a program may have that is like one with `events`: more are a livelock.
uint64_t events_max_near(uint64_t events, bool livelock);
// Loads `file`, sets the switches and runs it once, in a process of its own. False, with a message, for what no command
// can work with: unreadable or of a newer format, unknown switch, an image that cannot be mounted, a run that kills the
// process, another finding than the file says, or none though switches are missing.
bool load_finding(const std::string& file, const std::vector<std::string>& bugs, FindingInput* input,
                  std::string* error);

// Why a finding that was looked for in vain may be gone.
std::string no_finding_message(const FindingInput& input, const std::string& file);

// Whether a file could be written there; leaves nothing behind.
bool can_write(const std::string& path, std::string* error);

}  // namespace daxfuzz::tools
