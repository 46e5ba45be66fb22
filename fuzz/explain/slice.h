// fuzz/explain/slice.h - which steps of a run matter to its finding.
//
// A backward slice over the recorded run. What a task did up to some step may have decided that step, so of each task
// a prefix counts; how far it reaches is found by going back along values:
//   1. The task that noticed counts to its end (in a deadlock, every blocked task). Noticed at rest: whoever wrote last
//      to what the finding is about.
//   2. What matters are the properties of objects that the finding is about (Finding::about), and all others that two
//      counted operations share while one of them changes it: a pin that one drops and the other waits for, a PTE that
//      one reads and the other clears.
//   3. Another task whose value a counted step saw counts at least until it wrote it; and so on until nothing comes in.
// How much a shared property says depends on its noun: some matter only where somebody waited for them (locks,
// writeback, requests in flight), some only where the finding is about them (buffers, cached extents, marks of
// requests). What ended before the first task of the program began is how things were, and no step.
// Drawn are accesses to what matters, the calls around them, where tasks were preempted and what they blocked on.
// Left out are reads that tell their task nothing new, and changes that were undone before another task looked.
// No object, tag or bug is known by name.
//
// Tested by: fuzz/explain/slice_test.cc.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "fs/base/report.h"
#include "fs/rt/engine.h"
#include "fuzz/explain/timeline.h"

namespace daxfuzz::explain {

struct Slice {
  std::vector<bool> keep;                  // by step
  std::vector<daxfs::rt::TaskId> columns;  // ascending, without the root
  // Where a task was preempted and another one did the next step that matters; ascending.
  struct Preempted {
    size_t step = 0;           // the event at which it was
    size_t taken = 0;          // index into the switches of the run
    daxfs::rt::TaskId to = 0;  // who acts next
  };
  std::vector<Preempted> preempted;
  daxfs::rt::TaskId reporter = 0;  // who noticed
  unsigned rounds = 0;             // how often something came in: how far away the furthest of it is
};

// Merges what a task did to one property before anybody else looked into its last step there: changes `timeline`.
// Of what came in after `rounds_max` rounds nothing is drawn.
Slice slice(Timeline* timeline, const daxfs::Finding& finding, std::span<const daxfs::rt::TakenSwitch> taken,
            unsigned rounds_max = ~0U);

}  // namespace daxfuzz::explain
