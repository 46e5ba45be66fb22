// fuzz/minimize/landmarks.h - preemptions named by what happens there instead of by the number of the event.
//
// An anchor counts events, and almost every edit of a program moves those: a page that is mapped already takes thirty
// events less to read. What stays is the place in the source: "when T1 is for the second time where punch unlocks the
// entry". A landmark names that, a LandmarkPolicy runs it, and what it took is a schedule with the new numbers.
//
// Locking: engine side only (fs/rt/engine.h).  Tested by: fuzz/minimize/landmarks_test.cc
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fs/rt/engine.h"
#include "fuzz/prog/program.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::minimize {

struct Landmark {
  daxfs::rt::TaskId task = 0;
  daxfs::rt::TaskId next = 0;
  uint32_t op = 0;     // not looked at in system tasks: what woke them before is no part of the race
  uint32_t event = 1;  // where it was
  uint32_t site = 0;   // rt::site_hash; 0: unknown, `event` counts
  uint32_t visit = 0;  // the how manieth visit of `site` inside the operation, from 1
};

// Every event of a run.
class EventLog final : public daxfs::rt::Observer {
 public:
  struct Entry {
    daxfs::rt::TaskId task;
    uint32_t op;
    uint32_t event;
    uint32_t site;
    daxfs::rt::PointKind kind;
    daxfs::rt::ObjectId object;
  };

  void clear() { entries_.clear(); }
  void on_event(const daxfs::rt::Event& event) override;
  const std::vector<Entry>& entries() const { return entries_; }

  // Objects that two tasks touched, one of them writing, from entry `first` on; ascending.
  std::vector<daxfs::rt::ObjectId> shared_objects(size_t first) const;

 private:
  std::vector<Entry> entries_;
};

// One for each preemption, in order. Those that `log` has no event for keep site 0.
std::vector<Landmark> landmarks_of(std::span<const prog::Preemption> schedule, const EventLog& log);
// By event number alone.
Landmark exact_landmark(const prog::Preemption& preemption);

// Like sched::PreemptionList, by landmarks. One whose `next` cannot run at the place is spent there, except in system
// tasks: those come by the place once for each interrupt.
class LandmarkPolicy final : public daxfs::rt::Policy {
 public:
  void set(std::span<const Landmark> landmarks) { landmarks_.assign(landmarks.begin(), landmarks.end()); }
  void begin_run() override;
  uint64_t budget(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override;

 private:
  struct State {
    bool used = false;
    uint32_t visits = 0;
    uint32_t op = 0;  // that the visits were counted in
  };
  static bool waits_in(const Landmark& mark, const daxfs::rt::SchedView& view);
  const Landmark* meet(const daxfs::rt::SchedView& view);

  std::vector<Landmark> landmarks_;
  std::vector<State> states_;
};

}  // namespace daxfuzz::minimize
