// fs/ext4/truncate.h - changes of size, and the last act on an inode's blocks.
//
// Kernel: fs/ext4/inode.c (ext4_setattr size part, ext4_truncate, ext4_block_truncate_page,
// ext4_evict_inode). Tested by: fs/ext4/truncate_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"

namespace daxfs::ext4 {

class Inode;

// Sets the size. Growing never zeroes (bytes stored beyond EOF in the last page stay); shrinking
// zeroes the rest of the last block and frees the blocks behind it. The same size again frees
// blocks beyond EOF and changes the times. REQUIRES: inode.i_rwsem exclusive. Errors: kFBig beyond
// kMaxFileBytes, kPerm immutable or append-only, kInval for anything but a regular file, kRoFs,
// kNoSpc, kIo, kCorrupted. YIELDS.
Status setattr_size(Inode& inode, uint64_t new_size);

// Removes every block at or beyond i_size. For callers that hold i_rwsem exclusive (failed
// extending writes, orphans) or own the inode alone. YIELDS.
Status truncate_blocks(Inode& inode);

// For the inode cache, before an inode leaves memory: waits until nobody pins its pages, drops its
// tree (O2), and if links == 0 removes every block. Nobody else can reach the inode. The caller
// frees the inode itself. YIELDS.
Status evict_data(Inode& inode);

}  // namespace daxfs::ext4
