// fs/ext4/ialloc.h - inode numbers: allocate, free.
//
// Kernel: ext4_new_inode, find_group_orlov, find_group_other, ext4_free_inode (fs/ext4/ialloc.c). Orlov in its simple
// form: directories of the root spread to the group with most free inodes among those with average room; others go to
// the parent's group if it has room, then to the groups behind it.
// Locking: takes group locks. Callers hold a handle.
// Invariants:
//   IA1  an inode number handed out had a clear bit and is not a reserved one.
// Tested by: fs/ext4/ialloc_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4 {

class Volume;

// Marks a number used, counts directories. The slot in the table keeps its old bytes: write it with init_inode
// (inode_io.h). YIELDS. Errors: kNoSpc, kCorrupted, kIo.
Result<Ino> allocate_inode(Volume& volume, jbd2::Handle& handle, Ino parent, bool directory);

// Errors: kCorrupted (already free or out of range), kIo. YIELDS.
Status free_inode(Volume& volume, jbd2::Handle& handle, Ino ino, bool directory);

}  // namespace daxfs::ext4
