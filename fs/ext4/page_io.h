// fs/ext4/page_io.h - pages of the page cache to and from the device.
//
// Kernel: fs/ext4/readpage.c, fs/ext4/page-io.c (ext4_io_submit, ext4_end_bio, ext4_end_io_rsv_work).
// Locking: as named. Completions run in irq context; what was written to an unwritten extent is converted by a worker,
//   and only then the page's writeback ends.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/cache/cache_ops.h"
#include "fs/ext4/inode.h"
#include "fs/mm/folio.h"

namespace daxfs::ext4 {

// For AddressSpace::cache_ops of every regular file without DAX.
cache::CacheOps& page_ops();

// Reads the locked page, which stays locked: holes and unwritten blocks are zeros. Errors: kIo. YIELDS; sleeps.
Status read_page_locked(Inode& inode, mm::Page& page);

// Says where the page's bytes will go: its block, or one that is reserved (kDelayed). REQUIRES: locked.
// Errors: kNoSpc, kCorrupted. YIELDS. Kernel: ext4_da_get_block_prep.
Status prepare_buffer(Inode& inode, mm::Page& page);
// Whether the page's block holds bytes, by the extent tree. YIELDS.
Result<bool> has_written_block(Inode& inode, const mm::Page& page);

// Sends the page to its block. REQUIRES: locked, start_writeback() done, buffer kMapped or kUnwritten. Unlocks. YIELDS.
void submit_page(Inode& inode, mm::Page& page);

}  // namespace daxfs::ext4
