// fs/cache/writeback.h - the steps from a dirty page to a written one.
//
//   tag_pages_for_writeback(...);                 what this call will write
//   page = find_next_marked(.., kPageToWrite), locked
//   clear_dirty_for_io(page): from here on a store through a mapping faults and makes it dirty again
//   start_writeback(page); unlock; submit; in the interrupt or later: end_writeback(page)
//   wait_writeback_range(...)
//
// Kernel: mm/page-writeback.c, filemap_fdatawait_range.
// Locking: as named. All yield.
// Invariants:
//   CF5  a page is on its way to the device once at a time.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/mm/address_space.h"
#include "fs/mm/page.h"

namespace daxfs::cache {

void tag_pages_for_writeback(mm::AddressSpace& mapping, PgOff first, PgOff last, Site site = Site::current());
// Write-protects every mapping of the page. RETURNS: whether it was dirty. REQUIRES: locked.
bool clear_dirty_for_io(mm::AddressSpace& mapping, mm::Page& page, Site site = Site::current());
// REQUIRES: locked, not being written.
void start_writeback(mm::AddressSpace& mapping, mm::Page& page, Site site = Site::current());
// Any context.
void end_writeback(mm::AddressSpace& mapping, mm::Page& page, Site site = Site::current());
// Until no page of the range is being written.
void wait_writeback_range(mm::AddressSpace& mapping, PgOff first, PgOff last, Site site = Site::current());

}  // namespace daxfs::cache
