// fs/cache/truncate.cc - pages leave a file.
#include "fs/cache/truncate.h"

#include "fs/cache/page_cache.h"
#include "fs/mm/rmap.h"
#include "fs/mm/tree_peek.h"
#include "fs/rt/trace.h"

namespace daxfs::cache {
namespace {

using mm::Folio;
using mm::Page;

// Calls body(page) for each page of [first, last], with a reference that it gives back itself.
template <typename Body>
void for_each_page(mm::AddressSpace& mapping, PgOff first, PgOff last, Site site, Body body) {
  PgOff at = first;
  while (at <= last) {
    Page* const page = find_next_page(mapping, &at, last, site);
    if (page == nullptr) { return; }
    body(*page);
    if (at == last) { return; }
    at = at + 1;
  }
}

void unmap_if_mapped(mm::AddressSpace& mapping, Page& page, Site site) {
  if (mm::read_mapcount(page, site) != 0) {
    mm::unmap_mapping_range(mapping, page.index, 1, /*even_cows=*/false, site);
  }
}

void truncate_page(mm::AddressSpace& mapping, Page& page, Site site) {
  mm::lock_folio(page, site);
  if (mm::page_mapping(page) == &mapping) {
    mm::wait_folio_writeback(page, site);
    unmap_if_mapped(mapping, page, site);
    remove_page(mapping, page, Remove::kAlways, site);
  }
  mm::unlock_folio(page, site);
  mm::put_page(page, site);
}

// RETURNS: false if the page is dirty and stays. Kernel: invalidate_complete_folio2.
bool invalidate_page(mm::AddressSpace& mapping, Page& page, Site site) {
  mm::lock_folio(page, site);
  bool gone = true;
  if (mm::page_mapping(page) == &mapping) {
    unmap_if_mapped(mapping, page, site);
    mm::wait_folio_writeback(page, site);
    gone = remove_page(mapping, page, Remove::kClean, site);
  }
  mm::unlock_folio(page, site);
  mm::put_page(page, site);
  return gone;
}

}  // namespace

void truncate_pages(mm::AddressSpace& mapping, PgOff first, PgOff last, Site site) {
  if (mm::has_no_pages(mapping)) { return; }
  FS_TRACE_SCOPE("truncate_inode_pages_range", entry_ref(mapping.host().ino(), first, 0));
  for_each_page(mapping, first, last, site, [&](Page& page) { truncate_page(mapping, page, site); });
}

void truncate_pagecache_range(mm::AddressSpace& mapping, uint64_t start, uint64_t end, Site site) {
  const uint64_t first = div_round_up(start, kPageSize);
  const uint64_t past = end / kPageSize;
  if (first >= past) { return; }
  mm::unmap_mapping_range(mapping, PgOff(first), past - first, /*even_cows=*/false, site);
  truncate_pages(mapping, PgOff(first), PgOff(past - 1), site);
}

// Unmapped twice: a private copy may be made of a page until it has gone.
void truncate_pagecache(mm::AddressSpace& mapping, uint64_t new_size, Site site) {
  const PgOff first(div_round_up(new_size, kPageSize));
  mm::unmap_mapping_range(mapping, first, 0, /*even_cows=*/true, site);
  truncate_pages(mapping, first, PgOff(~uint64_t{0}), site);
  mm::unmap_mapping_range(mapping, first, 0, /*even_cows=*/true, site);
}

Status invalidate_pages(mm::AddressSpace& mapping, PgOff first, PgOff last, Site site) {
  if (mm::has_no_pages(mapping)) { return ok_status(); }
  FS_TRACE_SCOPE("invalidate_inode_pages2_range", entry_ref(mapping.host().ino(), first, last - first + 1));
  bool all = true;
  for_each_page(mapping, first, last, site, [&](Page& page) { all &= invalidate_page(mapping, page, site); });
  return all ? ok_status() : Status(Errc::kBusy);
}

void invalidate_unused_pages(mm::AddressSpace& mapping, Site site) {
  if (mm::has_no_pages(mapping)) { return; }
  for_each_page(mapping, PgOff(0), PgOff(~uint64_t{0}), site, [&](Page& page) {
    if (mm::try_lock_folio(page, site)) {
      const uint32_t busy = Folio::kDirty | Folio::kWriteback;
      if (mm::page_mapping(page) == &mapping && (mm::folio_state(page) & busy) == 0 &&
          mm::read_mapcount(page, site) == 0 && mm::read_pins(page, site) == 0) {
        remove_page(mapping, page, Remove::kUnused, site);
      }
      mm::unlock_folio(page, site);
    }
    mm::put_page(page, site);
  });
}

}  // namespace daxfs::cache
