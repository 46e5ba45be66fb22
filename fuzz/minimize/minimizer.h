// fuzz/minimize/minimizer.h - the smallest program and schedule that still show a finding.
//
// Greedy, largest cuts first: tasks and runs of operations, then single operations, then edits that make others
// superfluous (another image template, another file, a mapping that populates), then tasks and processes merged,
// operations moved into the set-up, operands simplified. After each cut the race is looked for near the recorded
// schedule, because a cut moves anchors; after each success superfluous preemptions go. What was tried is not tried
// again.
//
// Invariants: MIN1 the result is never larger than the input (cost.h) and fires by itself (judged in tests).
// MIN2 a result that calls itself minimal loses the finding without any one preemption, and without any one operation
// in every schedule of the last, widest search (judged in tests).
// Not covered: several edits that only together keep the finding, except the pairs named above.
//
// Deterministic: same subject, program and options, same result. No clock: the effort is counted in runs.
// Tested by: fuzz/minimize/minimizer_test.cc, fuzz/tools/minimize_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/minimize/cost.h"
#include "fuzz/minimize/subject.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::minimize {

enum class Mode : uint8_t {
  kEverything,
  kSchedule,  // preemptions only
};

struct Options {
  Mode mode = Mode::kEverything;
  std::vector<std::string> images;  // templates to try instead of the program's
  unsigned walks = 60;              // random schedules after each cut
  unsigned walks_last = 400;        // and before the result calls itself minimal
  uint64_t runs_max = 3'000'000;
};

// Told what goes on; asked whether to stop.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual bool stop() { return false; }  // between runs
  virtual void better(const prog::Program& /*best*/, const Cost& /*cost*/) {}
  virtual void progress(const char* /*doing*/, uint64_t /*runs*/) {}
};

enum class End : uint8_t {
  kMinimal,  // one operation or one preemption less loses the finding
  kStopped,  // by the watcher
  kRunsUsedUp,
  kDoesNotFire,  // neither by its own schedule nor near it
};

struct Result {
  End end = End::kDoesNotFire;
  prog::Program program;    // the best so far
  uint64_t trace_hash = 0;  // of its run
  uint64_t runs = 0;
  bool searched = false;  // the schedule had to be looked for: it did not fire as recorded
  size_t drift = 0;       // anchors of the input that its own run did not meet
};

Result minimize(Subject& subject, const prog::Program& program, const Options& options, Watcher* watcher = nullptr);

}  // namespace daxfuzz::minimize
