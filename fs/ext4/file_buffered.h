// fs/ext4/file_buffered.h - read, write and faults of files without DAX: through the page cache.
//
// Kernel: generic_file_read_iter, generic_perform_write, ext4_da_write_begin, ext4_da_write_end, ext4_page_mkwrite,
//   ext4_block_zero_page_range.
// Locking: reads take no inode lock (a concurrent write may be seen in part, page by page); writes want i_rwsem
//   exclusive; faults mmap_lock, as ever. Inside: invalidate_lock, folio, i_data_sem.
// Not covered: user bytes are copied before a folio is locked, not while it is (the kernel copies with faults off and
//   tries again), so a page changes in one step.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/ext4/inode.h"
#include "fs/io/user_buffer.h"
#include "fs/mm/vma.h"

namespace daxfs::ext4 {

// As file_read and file_write (file_rw.h), without their checks. YIELDS.
Result<uint64_t> buffered_read(Inode& inode, io::IovBuffer& buffer, uint64_t pos);
// REQUIRES: i_rwsem exclusive. The size grows page by page. Errors: of the first page; later ones end the write early.
Result<uint64_t> buffered_write(Inode& inode, io::IovBuffer& buffer, uint64_t pos);

// No PTE, or (vmf.orig_pte) a store to a read-only one of a shared mapping.
mm::FaultResult buffered_fault(mm::VmFault& vmf, Inode& inode);
mm::FaultResult buffered_mkwrite(mm::VmFault& vmf, Inode& inode);

// Zeros in part of one page: of what is cached, and where the block is written also if nothing is. Dirty afterwards,
// to be
// written back as a store would. REQUIRES: [pos, pos + length) in one page; i_rwsem exclusive, invalidate_lock or not.
Status zero_page_part(Inode& inode, uint64_t pos, uint64_t length);

}  // namespace daxfs::ext4
