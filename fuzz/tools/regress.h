// fuzz/tools/regress.h - programs of corpus/regress: what they must show, replayed after every edit of the library.
//
// A program without switches once showed a defect that was repaired: it must be silent, in its schedule and near it.
// One that names switches (the line `# replay: ... --bug ID`) must show its finding (`key=` of the line `# FINDING`)
// with them, and be silent without. Edits of the library move anchors: where the recorded schedule misses, the race
// is looked for near it (fuzz/minimize/near_search.h), and what was found is offered as the new schedule.
//
// Tested by: fuzz/tools/regress_test.cc
#pragma once

#include <string>
#include <string_view>

#include "fuzz/prog/program.h"

namespace daxfuzz::tools {

enum class RegressState : uint8_t {
  kAsExpected,
  kMoved,       // fires with its switches, but near the recorded schedule only
  kFiresAgain,  // without switches
  kLost,        // switches on, and nothing near the recorded schedule shows its finding
  kUnusable,    // does not parse, cannot be mounted, names an unknown switch
};

struct RegressResult {
  RegressState state = RegressState::kUnusable;
  std::string message;    // one line; empty where all is as expected and no anchor moved
  size_t drift = 0;       // anchors that no event met
  prog::Program program;  // kMoved: with the schedule that fires
};

// `text` is the contents of the file, `name` what messages call it. Leaves all switches off.
RegressResult replay_regression(std::string_view text, const std::string& name);

// The text with another schedule; comments outside the schedule stay.
std::string with_schedule(std::string_view text, const prog::Program& program);

}  // namespace daxfuzz::tools
