// fs/ext4/writepages.h - dirty pages of a file go to the device; blocks for them are allocated here.
//
// Kernel: ext4_writepages, mpage_prepare_extent_to_map, mpage_map_and_submit_extent (fs/ext4/inode.c).
// Locking: a handle, then the folio, then i_data_sem. Callers may hold i_rwsem.
// Not covered: one page an extent: neighbours are not mapped or written together.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/ext4/inode.h"

namespace daxfs::ext4 {

// Writes what is dirty in pages [first, last] now and waits for it. What a bio or a conversion could not do is in
// mapping().wb_error. Errors: of the allocation. YIELDS; sleeps.
Status write_pages(Inode& inode, PgOff first, PgOff last);

// Starts to write up to `count` dirty pages from *at on, and from the front behind the last one; waits for none, and
// passes by those that are being written. *at is where to go on. Ends early where a block cannot be had. RETURNS: how
// many pages it looked at. YIELDS; sleeps. Kernel: ext4_writepages of WB_SYNC_NONE with range_cyclic.
uint32_t write_some_pages(Inode& inode, PgOff* at, uint32_t count);

}  // namespace daxfs::ext4
