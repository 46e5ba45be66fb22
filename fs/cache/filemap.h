// fs/cache/filemap.h - pages with their bytes: for reads and for faults.
//
// Kernel: mm/filemap.c (filemap_get_pages, filemap_create_folio, filemap_fault, page_cache_ra_unbounded).
// Locking: a page that is not there is made and read under invalidate_lock shared, so that truncate and punch, who
// have it
//   exclusive, are not passed by a page of blocks that they are about to free.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/mm/address_space.h"
#include "fs/mm/page.h"
#include "fs/mm/vma.h"

namespace daxfs::cache {

// Pages read ahead of the one that was missing, within the file.
inline constexpr uint64_t kReadAhead = 2;

// The page, up to date and with a reference. It may have been truncated when the caller looks at it. Errors: kIo,
// kNoMem.
// YIELDS.
Result<mm::Page*> read_cached_page(mm::AddressSpace& mapping, PgOff index, Site site = Site::current());
// For a fault: the page locked, up to date, of this file and not beyond its end; *page has a reference. kDone, or
// kSigbus, kOom. YIELDS.
mm::FaultResult fault_page(mm::VmFault& vmf, mm::AddressSpace& mapping, mm::Page** page, Site site = Site::current());

}  // namespace daxfs::cache
