// fs/ext4/fault.h - page faults of mappings of regular files.
//
// Kernel: fs/ext4/file.c (ext4_dax_huge_fault; .fault, .page_mkwrite and .pfn_mkwrite are all
// this), fs/ext4/inode.c. Locking: caller holds mmap_lock shared. Takes the invalidate lock shared,
// for writes freeze protection outside it and
//   the journal handle inside it, all outside the DAX entry lock.
// Not covered: files without the DAX flag cannot be mapped (mmap_check). Without huge mappings (mount option huge=) an
// attempt at one still allocates what it would. Tested by: fs/ext4/fault_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/mm/vma.h"

namespace daxfs::ext4 {

class Inode;

// What vfs::File's mm::VmFile entries fault() and pfn_mkwrite() call. YIELDS.
mm::FaultResult dax_fault(mm::VmFault& fault, Inode& inode);
// What huge_fault() calls. YIELDS.
mm::FaultResult dax_huge_fault(mm::VmFault& fault, Inode& inode);

// May this file be mapped so? Errors: kNoDev (no regular file, or not DAX), kOpNotSupp (MAP_SYNC
// without DAX). Updates atime never.
Status mmap_check(Inode& inode, bool sync);

}  // namespace daxfs::ext4
