// fs/ext4/file_pages.h - what memory keeps of a file, whichever kind it is: DAX entries or pages of the cache.
//
// Locking: as the functions of fs/dax/invalidate.h and fs/cache/truncate.h that they stand for.
// Tested by: fs/ext4/truncate_test.cc, fs/ext4/fallocate_test.cc, fs/check/page_cache_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/ext4/inode.h"

namespace daxfs::ext4 {

// Nothing of [begin, end) stays, in whole pages; bytes. YIELDS.
void drop_file_range(Inode& inode, uint64_t begin, uint64_t end);
// The same from the page behind the one that holds byte size - 1 to the end; private copies go as well. YIELDS.
void drop_file_tail(Inode& inode, uint64_t size);
// At eviction: everything. YIELDS.
void drop_file_finally(Inode& inode);
// Of pages that were never reachable through a mapping: behind a failed write. YIELDS.
void drop_file_behind(Inode& inode, uint64_t size);
// Zeros in [pos, pos + length), within one block, if anything is there. YIELDS.
Status zero_file_part(Inode& inode, uint64_t pos, uint64_t length);
// Waits until what is dirty in [begin, end] (bytes, both included) is on the device. YIELDS.
Status flush_file_range(Inode& inode, uint64_t begin, uint64_t end);
// Around direct I/O of [pos, pos + length): what is cached goes to the device first, and a write leaves nothing cached.
// Errors: kBusy if a page became dirty again before it could go (the caller writes through the cache then), as
// flush_file_range. YIELDS. Kernel: kiocb_write_and_wait, kiocb_invalidate_pages, kiocb_invalidate_post_direct_write.
Status before_direct_io(Inode& inode, uint64_t pos, uint64_t length, bool write);
void after_direct_write(Inode& inode, uint64_t pos, uint64_t length);
// Before something that looks at blocks, not at pages: flushes a file without DAX. Errors: also of earlier writeback,
// if nobody was told. YIELDS. Kernel: filemap_write_and_wait_range.
Status flush_cached_range(Inode& inode, uint64_t begin, uint64_t end);

}  // namespace daxfs::ext4
