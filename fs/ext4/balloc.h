// fs/ext4/balloc.h - blocks: allocate contiguous runs near a goal, free them.
//
// Kernel: ext4_mb_new_blocks, ext4_free_blocks (fs/ext4/mballoc.c). Much simpler search: first fit from the goal in its
// group, then the following groups; a run that asks for PMD alignment takes whole free 2 MiB units first.
// Locking: takes group locks (spinlock, one at a time). Callers hold a handle, usually i_data_sem.
// Invariants:
//   BA1  a run handed out had all its bits clear, lies in one group and outside the system zone (GR2).
//   BA2  a block that is freed was allocated: a clear bit means bad media (double use) or a double free of ours.
// Tested by: fs/ext4/balloc_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/groups.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4 {

// Bits of AllocationRequest::flags.
inline constexpr unsigned kAllocAlignPmd = 1;     // prefer a start that is a multiple of Volume::huge_blocks()
inline constexpr unsigned kAllocMetadata = 2;     // for tree or directory blocks; searched for like data so far
inline constexpr unsigned kAllocUseReserved = 4;  // may take what is kept back for extent splits (kernel: USE_RESERVED)
inline constexpr unsigned kAllocExact = 8;        // all of count_wanted in one run, or kNoSpc

struct AllocationRequest {
  FsBlock goal;               // 0: none
  uint32_t count_wanted = 1;  // 1..32768; fewer may come, never more
  unsigned flags = 0;
};

// Marks a run used in bitmap and counters. Contents are whatever was there before. YIELDS.
// Errors: kNoSpc, kCorrupted (bitmap), kIo. The caller adds to i_blocks.
Result<BlockRun> allocate_blocks(Volume& volume, jbd2::Handle& handle, const AllocationRequest& request);

// Gives a run back (it may span groups) and drops cached copies of its blocks; fills it with poison if the mount asks.
// Errors: kCorrupted (outside the volume, system zone, already free on the medium), kIo. YIELDS.
Status free_blocks(Volume& volume, jbd2::Handle& handle, FsBlock first, uint64_t count);

// Where to look for a file's first block. Kernel: ext4_inode_to_goal_block.
FsBlock default_goal(Volume& volume, Ino ino);

}  // namespace daxfs::ext4
