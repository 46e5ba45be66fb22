// fs/dax/memory_failure.h - a frame of the medium went bad: who maps it, and nobody maps it any more.
//
// Begins with a frame number, as a machine check does: which file, which page and which processes it concerns is found
// out on the way, while all of them may go (entry_lock.h: FrameLock).
//
// Kernel: memory_failure_dev_pagemap, mf_generic_kill_procs, unmap_and_kill (mm/memory-failure.c).
// Locking: takes the entry lock, inside it i_mmap_rwsem for read. The caller holds no lock and need not keep the inode.
// What it must keep is declared in fs/mm/rmap.h: MF1 to MF3.
// Not covered: delivery of signals. A process whose signal matters gets it from its caller, the others by their next
//   access, which faults anew and meets the bad sectors.
// Tested by: fs/dax/memory_failure_test.cc.
#pragma once

#include <vector>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/mm/memory.h"
#include "fs/mm/rmap.h"

namespace daxfs::dax {

// Takes the frame out of every process; `users` (may be null) are those that had it mapped, to be sent SIGBUS. With bad
// sectors (Device::set_poison before this call) the page is marked and the next fault of it fails; without, as after
// madvise(MADV_HWPOISON), it succeeds. Errors: kBusy if no file's entry holds the frame: nothing was done; kNxio for a
// frame that is not the medium's. YIELDS; sleeps.
Status memory_failure(mm::Memory& memory, Pfn pfn, std::vector<mm::FrameUser>* users = nullptr,
                      Site site = Site::current());

}  // namespace daxfs::dax
