// fs/cache/truncate.h - pages leave a file: truncate, punch, direct writes, drop_caches.
//
// Kernel: mm/truncate.c.
// Locking: folio locks, i_mmap_rwsem inside. Callers hold invalidate_lock for write where blocks go (truncate,
// punch), so
//   that no fault and no read brings a page back before they are gone.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/mm/address_space.h"

namespace daxfs::cache {

// Pages [first, last] go with all that they hold; waits for their writeback. YIELDS.
void truncate_pages(mm::AddressSpace& mapping, PgOff first, PgOff last, Site site = Site::current());
// Unmaps the whole pages in [start, end) (bytes) and truncates them; private copies stay. YIELDS.
void truncate_pagecache_range(mm::AddressSpace& mapping, uint64_t start, uint64_t end, Site site = Site::current());
// The same from the page behind the one that holds byte new_size - 1 to the end of the file; private copies go. YIELDS.
void truncate_pagecache(mm::AddressSpace& mapping, uint64_t new_size, Site site = Site::current());

// Pages [first, last] go, mapped or not, if they are clean; before and after a direct write. Errors: kBusy if one is
// dirty and stays. YIELDS. Kernel: invalidate_inode_pages2_range.
Status invalidate_pages(mm::AddressSpace& mapping, PgOff first, PgOff last, Site site = Site::current());
// Pages that nobody uses go: clean, not mapped, not locked. YIELDS. Kernel: invalidate_mapping_pages.
void invalidate_unused_pages(mm::AddressSpace& mapping, Site site = Site::current());

}  // namespace daxfs::cache
