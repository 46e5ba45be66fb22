// fs/ext4/extents.h - the blocks of a file, by extents or by a block map: look up, allocate, convert, remove, shift.
//
// Kernel: ext4_map_blocks (fs/ext4/inode.c), ext4_ext_map_blocks, ext4_ext_remove_space,
//   ext4_ext_shift_extents, ext4_convert_unwritten_extents (fs/ext4/extents.c). The trees themselves:
//   extent_tree.h, indirect.h.
// Locking: i_data_sem guards the tree. Functions without `_locked` take it (read to look, exclusive
//   to change) inside the running handle; `_locked` ones want it exclusive.
// Errors: kCorrupted for media that is not a tree, kIo for poison, kNoSpc for data or tree blocks.
//   After any error the tree is whole, and every block that left or entered it is accounted in
//   i_blocks.
// All YIELD. The inode (i_block, i_blocks) is written through the handle before each call returns.
// Not covered: bigalloc, the extent status cache (every lookup walks the tree), handle restarts for
//   huge truncates.
// Tested by: fs/ext4/extents_image_test.cc, fs/ext4/map_blocks_test.cc,
//   fs/ext4/extent_tree_test.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "fs/base/compiler.h"
#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/ext4/extent_node.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/map_blocks.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4 {

// One extent, hole, or part of one. Without a flag that changes something it only looks, under
// i_data_sem read, and
// `handle` may be null. With kCreate it looks again under the exclusive lock, and may do less than
// asked: call again behind the part that it did. Blocks that kZero covers are zeroed and fenced
// before the tree shows them as written. kNoSpc only if nothing at all could be mapped. kFBig: the
// range reaches past the last logical block.
Result<MapResult> map_blocks(jbd2::Handle* handle, Inode& inode, const MapRequest& request,
                             Site site = Site::current());

// Unwritten becomes written in [first, first + len) wherever it is unwritten. RETURNS: whether there was a block
// everywhere. Kernel: ext4_convert_unwritten_extents.
Result<bool> convert_unwritten_extents(jbd2::Handle& handle, Inode& inode, LogicalBlock first, uint32_t len);

// Frees the blocks of [first, end) and the tree nodes that become empty. kNoSpc only if it had to
// split an extent and found no block for that: then nothing changed.
Status remove_range_locked(jbd2::Handle& handle, Inode& inode, LogicalBlock first, LogicalBlock end)
    FS_REQUIRES(inode.i_data_sem);

// REQUIRES of both shifts: a file of extents (BF1).
// Moves every extent at or behind `start` by `blocks` towards 0 (COLLAPSE_RANGE). kInval if
// something is in the way.
Status shift_left_locked(jbd2::Handle& handle, Inode& inode, LogicalBlock start, uint32_t blocks)
    FS_REQUIRES(inode.i_data_sem);
// Moves every extent at or behind `start` by `blocks` away from 0, splitting one that straddles
// `start` (INSERT_RANGE). kInval if the last extent would pass the last logical block, kNoSpc for
// the split: nothing changed.
Status shift_right_locked(jbd2::Handle& handle, Inode& inode, LogicalBlock start, uint32_t blocks)
    FS_REQUIRES(inode.i_data_sem);

// The first extent that ends behind `from` (it may begin before it); nullopt when there is none.
// For fiemap and SEEK.
Result<std::optional<ExtentRun>> next_extent(Inode& inode, LogicalBlock from);
Result<std::optional<ExtentRun>> next_extent_locked(Inode& inode, LogicalBlock from)
    FS_REQUIRES_SHARED(inode.i_data_sem);

// Nodes of the tree outside the inode, each counted in i_blocks.
Result<uint64_t> extent_node_count(Inode& inode);
// Reads the whole tree and checks it.
Status check_extent_tree(Inode& inode);

// An empty root, for a new inode.
void format_extent_root(Inode::RootBytes& root);

}  // namespace daxfs::ext4
