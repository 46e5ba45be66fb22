// fuzz/report/collect.h - runs a finding's program and gathers what a report says about it.
//
// Tested by: fuzz/report/collect_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fuzz/exec/executor.h"
#include "fuzz/report/report.h"

namespace daxfuzz::report {

enum class Collected : uint8_t {
  kOk,
  kCannotRun,  // the image cannot be mounted
  kNoFinding,  // the program runs clean
  kStopped,
  kDishonest,  // it does not replay: a defect of the harness, no finding to tell anybody of
};

struct CollectOptions {
  std::string file;  // Report::file
  uint64_t events_max = exec::RunConfig().events_max;
  size_t rows_max = 40;        // of the diagram
  std::function<bool()> stop;  // asked now and then
  // For tests of the gate: told the number of each of its replays.
  std::function<void(unsigned)> before_replay;
};

// Bug switches are those of the process; they are the same afterwards. On anything but kOk *error
// says what happened.
Collected collect(exec::Executor& executor, const prog::Program& program, const CollectOptions& options, Report* out,
                  std::string* error);

// Historical bugs, not switched on, each of which alone makes the program show a finding: what to
// try.
std::vector<std::string> bugs_that_fire(exec::Executor& executor, const prog::Program& program);

}  // namespace daxfuzz::report
