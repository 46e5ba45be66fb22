// fuzz/sched/conflicts.h - follows the accesses of a run: the latest one of each object, and whether the next conflicts
// with it (access.h).
//
// Locking: none; engine side only (fs/rt/engine.h, Observer). Inlined: it runs at every point of a fuzzer's runs.
// Not covered: an object's accesses before the latest of another object that falls into the same slot.
// Tested by: fuzz/exec/interleaving_test.cc, fuzz/residual/orders_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fs/rt/engine.h"
#include "fuzz/sched/access.h"

namespace daxfuzz::sched {

constexpr uint64_t hash_bits(uint64_t x) {
  x ^= x >> 31;
  x *= 0x9e3779b97f4a7c15;
  x ^= x >> 29;
  return x;
}

// Begins and ends of operations, yields and task points say nothing about shared state.
constexpr bool touches_nothing(daxfs::rt::PointKind kind) {
  using daxfs::rt::PointKind;
  return kind == PointKind::kOpBegin || kind == PointKind::kOpEnd || kind == PointKind::kYield ||
         kind == PointKind::kTask;
}

// kObjects: slots of the direct-mapped table. Note: what the caller wants to know of an access.
template <size_t kObjects, typename Note>
class Conflicts {
 public:
  struct Last {
    uint64_t object = 0;
    uint32_t run = 0;
    int32_t task = 0;
    bool write = false;
    Note note = {};
  };

  Conflicts() : last_(kObjects) {}

  void begin_run() { ++run_; }

  // Makes the event the latest access of its object. RETURNS: the one before it, if they conflict, until the next call;
  // else null. REQUIRES: !touches_nothing(event.kind).
  const Last* follow(const daxfs::rt::Event& event, const Note& note) {
    Last& last = last_[hash_bits(event.object) % kObjects];
    const bool write = access_of(event.kind) == Access::kWrite;
    const bool conflict =
        last.run == run_ && last.object == event.object && last.task != event.task && (write || last.write);
    if (conflict) { before_ = last; }
    last = {event.object, run_, event.task, write, note};
    return conflict ? &before_ : nullptr;
  }

 private:
  std::vector<Last> last_;
  Last before_;
  uint32_t run_ = 0;
};

}  // namespace daxfuzz::sched
