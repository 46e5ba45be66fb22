// fs/ext4/extent_host.h - what an extent tree or a block map needs from the world: root, nodes, blocks.
//
// The tree's code knows neither inode nor volume, so that tests can run it on a model of both. The
// real one is in extents.cc. Kernel: none (there the tree calls the buffer cache, the journal and
// mballoc by name).
// Locking: every call happens with the tree locked (i_data_sem); those that change something,
//   exclusively.
// Invariants:
//   BF1  code for one format never runs on an inode of the other: whoever asks for a root says which.
// Tested by: fs/ext4/extent_tree_test.cc, fs/ext4/indirect_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/object_ref.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/block_run.h"
#include "fs/ext4/extent_node.h"
#include "fs/jbd2/buffer.h"

namespace daxfs::ext4 {

struct ExtentTreeLimits {
  uint16_t root_entries = kExtentRootEntries;
  uint16_t node_entries = kExtentNodeEntries;  // that a new node gets; smaller only in tests
  FsBlock block_end;                           // one past the last block of the device
};

class ExtentHost {
 public:
  // A node held in memory.
  struct NodePin {
    ExtentNode node;         // read-only until will_change
    FsBlock block;           // none for the root
    jbd2::BufferRef buffer;  // empty for the root, and in tests
  };

  virtual ~ExtentHost() = default;

  virtual const ExtentTreeLimits& limits() const = 0;
  virtual BlockFormat format() const { return BlockFormat::kExtents; }
  // REQUIRES: the format is kExtents, kIndirect (BF1).
  virtual ExtentNode root() = 0;
  virtual std::byte* map_root() { return root().bytes(); }
  virtual void root_changed() = 0;

  // Reads a node (of a block map: an indirect block) and checks its checksum, if it has one, nothing else.
  // REQUIRES: block_valid(block, 1). YIELDS. Errors: kIo, kCorrupted.
  virtual Result<NodePin> read_node(FsBlock block) = 0;
  // Before a change of a node's bytes. YIELDS.
  virtual Status will_change(NodePin& pin) = 0;
  // After a change: the checksum is the host's.
  virtual Status changed(NodePin& pin) = 0;
  // A zeroed node, ready to change; counted in i_blocks. YIELDS. Errors: kNoSpc.
  virtual Result<NodePin> allocate_node(FsBlock goal) = 0;
  // Its pins may stay until their owner drops them; nothing of them will be written. YIELDS.
  virtual Status free_node(FsBlock block) = 0;

  // Whether the blocks may belong to a file: inside the device and not filesystem metadata.
  virtual bool block_valid(FsBlock first, uint32_t count) const = 0;

  // Data blocks, counted in i_blocks. allocate_data may return fewer than wanted, never none.
  // `align_pmd`: the start should be a multiple of huge_blocks(), so that a huge mapping fits.
  virtual Result<BlockRun> allocate_data(FsBlock goal, uint32_t count, bool align_pmd) = 0;
  virtual uint32_t huge_blocks() const { return kPagesPerPmd; }
  virtual Status free_data(FsBlock first, uint32_t count) = 0;
  // PERSISTS: zeros, over media errors too.
  virtual Status zero_data(FsBlock first, uint32_t count) = 0;
  // Where to look for a file's first block.
  virtual FsBlock home_goal() const = 0;
  // The tree was searched at `lblk` in the middle of a split, when it shows a hole up to `end` that is none.
  virtual void searched_in_split(LogicalBlock /*lblk*/, uint64_t /*end*/) {}
  // Unwritten blocks became written, perhaps more than were asked for: `first` is at `pblk`. For traces.
  virtual void became_written(LogicalBlock /*first*/, uint32_t /*len*/, FsBlock /*pblk*/) {}
  // Whose blocks they are, for findings.
  virtual ObjectRef traced_format() const { return {}; }
  // i_disksize rounded up to blocks.
  virtual uint64_t eof_block() const = 0;
};

}  // namespace daxfs::ext4
