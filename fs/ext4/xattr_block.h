// fs/ext4/xattr_block.h - the block of extended attributes that an inode may point to: only what deletion needs.
//
// Kernel: ext4_xattr_release_block (fs/ext4/xattr.c). Not covered: reading or setting attributes.
// Tested by: fs/vfs/syscalls_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4 {

class Volume;

// Drops one inode's use of the block; frees it with its last. Block 0 is none. YIELDS. Errors: kCorrupted, kIo.
Status release_xattr_block(Volume& volume, jbd2::Handle& handle, FsBlock block);

}  // namespace daxfs::ext4
