// fs/ext4/extent_tree.h - the extent tree of one file: find, insert, split, merge, remove, shift.
//
// Kernel: fs/ext4/extents.c. As there: a full leaf is split behind the place of insertion, so that
//   appending fills leaves; a tree grows at the root; only a leaf that a merge shrank to fit the
//   root is pulled up; neighbours merge inside one leaf only. Different: index nodes split one
//   level at a time, and each step leaves a whole tree, so that kNoSpc anywhere needs no repair.
// Locking: the caller's i_data_sem; const-like calls (lookup, next_extent, check) need it for read,
//   all others exclusive.
// Invariants (of what we write; media is checked against them and gives kCorrupted):
//   ET1  extents of a tree do not overlap.
//   ET2  (judged in tests) a node's first key equals the index entry that leads to it.
//   ET3  no node but a root of depth 0 is empty.
//   ET4  a change of state covers a part of one extent that fits one record in the new state.
// Not covered: two index entries of different files that lead to one node (the checksum seed tells
//   them apart). A tree that punching left thin is not made shorter, as in the kernel: e2fsck may
//   offer to ("could be shorter"), exit code 0.
// Tested by: fs/ext4/extent_tree_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/block_tree.h"
#include "fs/ext4/extent_host.h"
#include "fs/ext4/extent_node.h"

namespace daxfs::ext4 {

// An entry of a node from a position in a path that is not before the first.
constexpr unsigned slot(int pos) { return static_cast<unsigned>(pos); }

// The nodes from the root to a leaf, held in memory. pos is the entry taken (in the leaf: the last
// one that begins at or before the block looked for; -1 if none does).
class ExtentPath {
 public:
  struct Level {
    ExtentHost::NodePin pin;
    int pos = -1;
    uint64_t lblk_end = kLogicalEnd;  // first key of the next node at this level, as far as the path shows it
  };

  ExtentPath() = default;
  ExtentPath(const ExtentPath&) = delete;
  ExtentPath& operator=(const ExtentPath&) = delete;

  void reset();
  unsigned depth() const { return depth_; }
  Level& operator[](unsigned level) { return levels_[level]; }
  const Level& operator[](unsigned level) const { return levels_[level]; }
  Level& leaf() { return levels_[depth_]; }
  ExtentNode node() { return leaf().pin.node; }
  std::optional<ExtentRun> run();
  // First key of the next leaf; nullopt for the last leaf.
  std::optional<LogicalBlock> next_leaf() const;

 private:
  friend class ExtentTree;

  unsigned depth_ = 0;
  std::array<Level, kExtentDepthMax + 1> levels_;
};

class ExtentTree final : public BlockTree {
 public:
  explicit ExtentTree(ExtentHost& host) : host_(host), limits_(host.limits()) {}

  // A hole ends where the next extent begins.
  Result<Lookup> lookup(LogicalBlock lblk) override;
  Result<std::optional<ExtentRun>> next_extent(LogicalBlock from) override;

  uint32_t insert_max(LogicalBlock /*lblk*/) const override { return UINT32_MAX; }
  // REQUIRES: the run covers a hole (ET1) and fits one record. Merges with neighbours.
  Status insert(const ExtentRun& run) override;
  // Makes [first, first + len) an extent of its own. REQUIRES: it lies in one extent.
  Status isolate(LogicalBlock first, uint32_t len);
  // Changes the state of a part of one extent. REQUIRES: ET4, and len fits the new state. On kNoSpc
  // nothing changed.
  Status set_state(LogicalBlock first, uint32_t len, bool unwritten);
  // As set_state(first, len, false), but without any split when a written extent of the same leaf
  // continues the run logically and physically on the side where `run` ends. RETURNS whether it
  // did.
  Result<bool> transfer_to_neighbor(const ExtentRun& run, LogicalBlock first, uint32_t len);

  Status remove_range(LogicalBlock first, LogicalBlock end) override;
  Status shift_left(LogicalBlock start, uint32_t blocks);
  Status shift_right(LogicalBlock start, uint32_t blocks);

  Result<uint64_t> check() override;

 private:
  using NodePin = ExtentHost::NodePin;

  Status find(LogicalBlock lblk, ExtentPath* path);
  Status enter_child(ExtentPath* path);
  Status verify(const NodePin& pin, const ExtentNodeBounds& bounds) const;
  Status verify_run(const ExtentRun& run) const;

  // Write access and its end, for a level of a path; the root is the inode's.
  Status will_change(ExtentPath* path, unsigned level);
  Status changed(ExtentPath* path, unsigned level);
  // Copies the first key of `level` into the index entries above, as far up as it is the first one
  // there.
  Status correct_keys(ExtentPath* path, unsigned level);

  Status insert_run(const ExtentRun& run, bool merge);
  Result<bool> merge_into_neighbor(ExtentPath* path, const ExtentRun& run);
  Status insert_into_leaf(ExtentPath* path, const ExtentRun& run);
  Result<bool> make_room(ExtentPath* path, const ExtentRun& run);
  Status grow(const ExtentRun& run);
  Result<bool> split_node(ExtentPath* path, unsigned level, const ExtentRun& run);

  // Where the next extent begins, behind the path's entry.
  uint64_t next_key(ExtentPath* path) const;
  Result<bool> split_at(LogicalBlock at);
  Status join_at(LogicalBlock at);
  Status merge_around(ExtentPath* path);
  Status pull_up(ExtentPath* path);

  Result<uint64_t> remove_in_leaf(ExtentPath* path, LogicalBlock first, LogicalBlock end);
  Status remove_empty(ExtentPath* path);

  ExtentHost& host_;
  const ExtentTreeLimits limits_;
};

}  // namespace daxfs::ext4
