// fuzz/explore/shared_objects.h - which objects more than one task touches, one of them writing,
// over all runs so far.
//
// Preemptions matter only before accesses to these: one before any other access can be moved on to
// the task's next such access without changing an outcome, because what is in between commutes with
// everything (CHESS does the same with synchronisation operations: Musuvathi et al., "Finding and
// reproducing Heisenbugs in concurrent programs", OSDI 2008).
//
// Locking: none; engine side (fs/rt/engine.h). Memory is taken when an object is seen for the first
// time. Tested by: fuzz/explore/explorer_test.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "fs/rt/engine.h"
#include "fuzz/explore/fingerprint.h"

namespace daxfuzz::explore {

class SharedObjects {
 public:
  struct Slot {
    daxfs::rt::ObjectId object = 0;
    int16_t task = -1;  // who touched it first; -1: free slot
    bool several_tasks = false;
    bool written = false;
    bool shared() const { return several_tasks && written; }
  };

  SharedObjects() : slots_(4096) {}

  // True if the access makes the object a shared one.
  bool note(daxfs::rt::TaskId task, Access access, daxfs::rt::ObjectId object);
  bool has(daxfs::rt::ObjectId object) const;
  size_t count() const { return shared_; }
  const std::vector<Slot>& slots() const { return slots_; }
  // What slots() gave; false when it cannot be that.
  bool restore(std::vector<Slot> slots);

 private:
  size_t index_of(daxfs::rt::ObjectId object) const;
  void grow();

  std::vector<Slot> slots_;
  size_t used_ = 0;
  size_t shared_ = 0;
};

}  // namespace daxfuzz::explore
