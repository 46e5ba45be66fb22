// fuzz/explore/blocks.h - what tasks do in one go: the accesses between one point and the next.
//
// Most points come before their access, but some come after it: a lock is free, a sleeper is awake, an operation has
// its end before the point that says so. Whoever is preempted there has done it already. So what a preemption keeps
// from happening is a block: the access of the point where it is, if that is still to come, and the deed of the next
// point, if that is one of those; often nothing, and then there is no need to preempt.
//
// Locking: none; engine side (fs/rt/engine.h). Memory is taken when a block is seen for the first time.
// Tested by: fuzz/explore/explorer_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "fs/rt/point.h"
#include "fuzz/sched/access.h"

namespace daxfuzz::explore {

// On which side of its point a deed is (fs/rt). One of RCU may be on either. It is taken for two accesses: were it
// one, a block would begin in the state in which the one before it began, and seem to have been explored.
constexpr bool deed_behind(daxfs::rt::PointKind kind) {
  using daxfs::rt::PointKind;
  return kind != PointKind::kUnlock && kind != PointKind::kWake && kind != PointKind::kOpEnd &&
         kind != PointKind::kTask;
}
constexpr bool deed_before(daxfs::rt::PointKind kind) {
  return !deed_behind(kind) || kind == daxfs::rt::PointKind::kRcu;
}

struct Touch {
  daxfs::rt::ObjectId object = 0;
  uint64_t write = 0;  // a whole word: written to files as it is
  bool operator==(const Touch&) const = default;
};

// Each distinct list of accesses once, by number.
class Blocks {
 public:
  static constexpr uint32_t kUnknown = 0;

  Blocks() : begins_{0, 0} {}

  uint32_t number_of(std::span<const Touch> touches);
  std::span<const Touch> touches(uint32_t number) const {
    return std::span(touches_).subspan(begins_[number], begins_[number + 1] - begins_[number]);
  }
  const std::vector<Touch>& all_touches() const { return touches_; }
  const std::vector<uint32_t>& begins() const { return begins_; }
  // What the two above gave; false when it cannot be that.
  bool restore(std::vector<Touch> touches, std::vector<uint32_t> begins);
  size_t count() const { return begins_.size() - 1; }

 private:
  static uint64_t hash(std::span<const Touch> touches);

  std::vector<Touch> touches_;
  std::vector<uint32_t> begins_;          // of block i, and one more; block 0 is kUnknown and empty
  std::map<uint64_t, uint32_t> numbers_;  // by hash
};

}  // namespace daxfuzz::explore
