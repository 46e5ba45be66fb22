// fs/ext4/fallocate.h - fallocate(2).
//
// Kernel: fs/ext4/extents.c (ext4_fallocate, ext4_zero_range, ext4_collapse_range,
// ext4_insert_range),
//   fs/ext4/inode.c (ext4_punch_hole).
// Locking: takes i_rwsem exclusive, then the invalidate lock exclusive around every change of
// existing blocks, then waits
//   for pinned pages (layout.h), drops the tree's entries, and only then changes extents under
//   i_data_sem.
// Tested by: fs/ext4/fallocate_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"

namespace daxfs::ext4 {

class Inode;

// Bits of `mode`, as in <linux/falloc.h>.
inline constexpr unsigned kFallocKeepSize = 0x01;
inline constexpr unsigned kFallocPunchHole = 0x02;
inline constexpr unsigned kFallocCollapseRange = 0x08;
inline constexpr unsigned kFallocZeroRange = 0x10;
inline constexpr unsigned kFallocInsertRange = 0x20;
inline constexpr unsigned kFallocUnshareRange = 0x40;  // always kOpNotSupp in the end

// The part of the checks that comes before the descriptor's access mode: offset and length, then
// mode. Errors: kInval, kOpNotSupp.
Status fallocate_check_arguments(unsigned mode, int64_t offset, int64_t length);

// The rest: permissions, limits, the work. REQUIRES: fallocate_check_arguments said ok; a regular
// file. Errors: kPerm, kFBig, kInval, kNoSpc (what could be allocated stays, and counts into the
// size), kIo. YIELDS.
Status fallocate(Inode& inode, unsigned mode, uint64_t offset, uint64_t length);

}  // namespace daxfs::ext4
