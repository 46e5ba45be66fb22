// fs/ext4/migrate.h - a file changes from a block map to extents and back (chattr +e, -e).
//
// Kernel: ext4_ext_migrate, ext4_ind_migrate (fs/ext4/migrate.c).
// Locking: REQUIRES i_rwsem exclusive; take a handle and i_data_sem exclusive, under which all of it happens. (The
//   kernel builds the tree in a temporary inode, and gives up if a fault allocates a block meanwhile.) Requests in
//   flight go on: data blocks stay where they are.
// Errors: kInval if the volume has no extents or the file has that format already; kCorrupted, kIo, kNoSpc: then the
//   file keeps its format.
// All YIELD.
// Tested by: fs/vfs/block_map_test.cc.
#pragma once

#include "fs/base/compiler.h"
#include "fs/base/result.h"
#include "fs/ext4/inode.h"

namespace daxfs::ext4 {

Status migrate_to_extents(Inode& inode) FS_REQUIRES(inode.i_rwsem);
// kOpNotSupp: the file is more than one written extent, or has blocks that i_block has no place for.
Status migrate_to_block_map(Inode& inode) FS_REQUIRES(inode.i_rwsem);

}  // namespace daxfs::ext4
