// fuzz/sched/pos.h - partial order sampling: a random priority for each event, drawn anew when the event loses a race.
//
// At every point the runnable task whose next event has the highest priority goes on. When an event was executed,
// the priorities of the pending events that race with it (fuzz/sched/access.h) are redrawn; without that, an event that
// lost once would lose to the rest of the winner's events as well. So every order of racing events has a fair chance,
// and a task that races with nobody is hardly interrupted: only when an event draws lower than all that waits, which
// k events do about log k times.
// Source: Yuan, Yang, Gu, "Partial order aware concurrency sampling", CAV 2018.
//
// Not covered: the next event of a task that did not start yet, or was just woken, is unknown until it comes to its
// next point; it has a priority, but races with nothing. Preemptions end after RandomWalk::kSwitchesMax switches:
// a program records no more.
// Locking: none; engine side (fs/rt/engine.h): no memory is taken.
// Tested by: fuzz/sched/pos_test.cc.
#pragma once

#include <array>
#include <cstdint>

#include "fs/rt/engine.h"
#include "fuzz/sched/access.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::sched {

class Pos final : public daxfs::rt::Policy {
 public:
  // No preemptions before event `first_event` of the run.
  explicit Pos(uint64_t seed, uint64_t first_event = 0) { reseed(seed, first_event); }
  void reseed(uint64_t seed, uint64_t first_event = 0) {
    random_ = SmallRandom(seed);
    first_event_ = first_event;
  }
  void begin_run() override;
  uint64_t budget(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override;

 private:
  // The event that a task executes when it goes on.
  struct Next {
    uint64_t priority = 0;  // 0: not drawn yet
    daxfs::rt::ObjectId object = 0;
    Access access = Access::kNone;  // kNone: unknown, or races with nothing
  };
  Next& next(daxfs::rt::TaskId task) { return next_[static_cast<size_t>(task)]; }
  uint64_t draw() { return random_.next() | 1; }
  daxfs::rt::TaskId highest(const daxfs::rt::SchedView& view, bool with_current);
  daxfs::rt::TaskId execute(daxfs::rt::TaskId task, std::span<const daxfs::rt::TaskId> runnable);

  SmallRandom random_{0};
  uint64_t first_event_ = 0;
  uint32_t switches_ = 0;
  std::array<Next, daxfs::rt::kMaxTasks> next_{};
};

}  // namespace daxfuzz::sched
