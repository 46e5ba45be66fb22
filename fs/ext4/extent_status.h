// fs/ext4/extent_status.h - ExtentStatus: what lookups in an inode's extent tree found, kept until the tree changes.
//
// A range is an extent or a hole as the tree had it. Whoever changes the tree empties the cache first; lookups during
// the change do not fill it, because they see a tree that is half changed.
//
// Kernel: fs/ext4/extents_status.c (struct extent_status, ext4_es_insert_extent, ext4_es_lookup_extent,
// ext4_es_remove_extent).
// Locking: a lock of its own, which no task is preempted under, inside i_data_sem. Lookups and insertions want
// i_data_sem shared at least, removal exclusive or nobody else who looks.
// Invariants:
//   O18  each range says what the extent tree says of its blocks.
//   ES1  ranges do not overlap.
//
// Delayed blocks are those that a page of the cache has room reserved for. An unwritten extent counts as delayed as a
// whole if one block of it is, as in the kernel; a written one never does (O18).
//
// Not covered: Linux looks here before it takes i_data_sem, and changes only the part that a change of the tree
// touched.
// Tested by: fs/ext4/extent_status_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fs/base/raw_lock.h"
#include "fs/base/types.h"
#include "fs/rt/point.h"

namespace daxfs::ext4 {

class ExtentStatus {
 public:
  explicit ExtentStatus(Ino ino = Ino(0)) : ino_(ino) {}  // whose: for traces

  enum class State : uint8_t { kHole, kWritten, kUnwritten };
  struct Range {
    LogicalBlock lblk;
    uint64_t end = 0;  // one past the last block
    FsBlock pblk;      // of lblk; none for a hole
    State state = State::kHole;

    uint64_t length() const { return end - lblk.value(); }
    bool operator==(const Range&) const = default;
  };

  // The range that covers all of [lblk, lblk + len), if there is one.
  std::optional<Range> lookup(LogicalBlock lblk, uint32_t len) const;
  // Replaces what overlaps. REQUIRES: not empty.
  void insert(const Range& range);
  void remove(LogicalBlock first, uint64_t end);
  void clear();

  // --- delayed blocks; they stay when ranges are forgotten
  struct Delayed {
    uint64_t begin = 0;
    uint64_t end = 0;  // one past the last block
    bool operator==(const Delayed&) const = default;
  };
  void add_delayed(LogicalBlock first, uint64_t end);
  void remove_delayed(LogicalBlock first, uint64_t end);
  // If any block of the range is delayed, all are.
  void spread_delayed(LogicalBlock first, uint64_t end);
  bool is_delayed(LogicalBlock lblk) const;
  // The first range that has lblk or lies behind it.
  std::optional<Delayed> next_delayed(LogicalBlock lblk) const;
  bool has_delayed() const;

  // For audits, in order.
  std::vector<Range> ranges() const;
  std::vector<Delayed> delayed() const;

 private:
  static constexpr size_t kRangesMax = 32;  // more, and all are forgotten (kernel: the shrinker)

  void remove_locked(uint64_t first, uint64_t end) FS_REQUIRES(lock_);
  void clear_locked() FS_REQUIRES(lock_);
  // Delayed blocks are also looked at and given back outside i_data_sem.
  void tell_delayed(rt::PointKind kind) const;
  bool delayed_in(uint64_t first, uint64_t end) const FS_REQUIRES(lock_);
  void add_delayed_locked(uint64_t first, uint64_t end) FS_REQUIRES(lock_);

  const Ino ino_;
  mutable RawLock lock_;
  std::vector<Range> ranges_ FS_GUARDED_BY(lock_);     // in order
  std::vector<Delayed> delayed_ FS_GUARDED_BY(lock_);  // in order, not touching each other
};

}  // namespace daxfs::ext4
