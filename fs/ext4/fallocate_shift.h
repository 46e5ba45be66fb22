// fs/ext4/fallocate_shift.h - COLLAPSE_RANGE and INSERT_RANGE: everything behind a point of the
// file moves.
//
// Kernel: fs/ext4/extents.c (ext4_collapse_range, ext4_insert_range).
// Locking: i_rwsem exclusive, held by the caller; takes the layout lock.
// Tested by: fs/ext4/fallocate_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"

namespace daxfs::ext4 {
class Inode;
}

namespace daxfs::ext4::internal {

// Removes [offset, offset + length) and closes the gap. Errors: kInval (not block aligned; reaches
// EOF). YIELDS.
Status collapse_range(Inode& inode, uint64_t offset, uint64_t length);
// Opens a hole of `length` bytes at `offset`. Errors: kInval (not block aligned; offset at or
// behind EOF), kFBig. YIELDS.
Status insert_range(Inode& inode, uint64_t offset, uint64_t length);

}  // namespace daxfs::ext4::internal
