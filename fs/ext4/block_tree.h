// fs/ext4/block_tree.h - what finding the blocks of a file means in either format: extents or the block map.
//
// Kernel: the calls that ext4_map_blocks, ext4_truncate and ext4_punch_hole (fs/ext4/inode.c) make through
//   EXT4_INODE_EXTENTS.
// Locking: the caller's i_data_sem: for read to look, exclusive to change.
// Errors: kCorrupted for media that is no such tree, kIo, kNoSpc.
// Tested by: fs/ext4/extent_tree_test.cc, fs/ext4/indirect_test.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/extent_node.h"

namespace daxfs::ext4 {

class BlockTree {
 public:
  struct Lookup {
    std::optional<ExtentRun> run;       // the run that contains the block
    uint64_t hole_end = kLogicalEnd;    // without one: up to here there is none, and perhaps further
    std::optional<ExtentRun> neighbor;  // the run before the block, or else behind it, in the same leaf
    std::optional<FsBlock> leaf;        // the leaf's own block, unless it is the root
  };

  virtual Result<Lookup> lookup(LogicalBlock lblk) = 0;
  // The first run that ends behind `from`.
  virtual Result<std::optional<ExtentRun>> next_extent(LogicalBlock from) = 0;
  // How many blocks from `lblk` on one insert() can take; 0: none can be there.
  virtual uint32_t insert_max(LogicalBlock lblk) const = 0;
  // REQUIRES: the run covers a hole, fits insert_max() and, in extents, one record.
  virtual Status insert(const ExtentRun& run) = 0;
  virtual Status remove_range(LogicalBlock first, LogicalBlock end) = 0;
  // Nodes besides the root. Reads and checks the whole tree.
  virtual Result<uint64_t> check() = 0;

 protected:
  ~BlockTree() = default;
};

}  // namespace daxfs::ext4
