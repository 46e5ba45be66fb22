// fuzz/explore/fingerprint.h - one number for all orders of a run's events that differ only in what
// commutes.
//
// Two events commute when they belong to different tasks and touch different objects, or the same
// object without changing it. The fingerprint of a prefix is the sum of its events' hashes; an
// event's hash covers its task, its place in the task, its object and the accesses that the object
// had seen. So it is the same for every order that respects program order and the order of
// conflicting accesses, and state is a function of it: the program is deterministic and shares
// state only behind points. Source: Musuvathi, Qadeer, "Partial-order reduction for context-bounded
// state exploration", MSR-TR-2007-12.
//
// Not covered: collisions of 64-bit sums, about n^2 / 2^65 for n states.
// Locking: none; engine side (fs/rt/engine.h): no memory is taken after the first runs.
// Tested by: fuzz/explore/fingerprint_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "fs/rt/engine.h"
#include "fs/rt/point.h"
#include "fuzz/sched/access.h"

namespace daxfuzz::explore {

using sched::Access;
using sched::access_of;
using sched::object_of;

class Fingerprint {
 public:
  static constexpr size_t kTasks = daxfs::rt::kMaxTasks;

  Fingerprint();
  void reset();
  // The event's access took place.
  void add(daxfs::rt::TaskId task, daxfs::rt::PointKind kind, daxfs::rt::ObjectId object);
  uint64_t value() const { return sum_; }

 private:
  struct Slot {
    daxfs::rt::ObjectId object = 0;
    uint64_t version = 0;  // hash of the last access that changed it
    uint64_t reads = 0;    // sum of those since
    uint32_t epoch = 0;
  };
  Slot& slot(daxfs::rt::ObjectId object);
  void grow();

  std::vector<Slot> slots_;  // open addressing, power of two; a slot of an older epoch is free
  size_t used_ = 0;
  uint32_t epoch_ = 0;
  std::array<uint64_t, kTasks> task_{};  // hash of the task's last event
  uint64_t sum_ = 0;
};

}  // namespace daxfuzz::explore
