// fs/cache/writeback.cc - marks of pages on their way to the device.
#include "fs/cache/writeback.h"

#include <cinttypes>

#include "fs/base/report.h"
#include "fs/cache/page_cache.h"
#include "fs/mm/rmap.h"
#include "fs/mm/tree_peek.h"
#include "fs/rt/trace.h"

namespace daxfs::cache {

using mm::Folio;
using mm::Page;

void tag_pages_for_writeback(mm::AddressSpace& mapping, PgOff first, PgOff last, Site site) {
  rt::SpinGuard tree(mapping.i_pages.lock(), site);
  lib::XaCursor xas(mapping.i_pages, first.value());
  while (!xas.find_marked(last.value(), mm::kPageDirty, site).is_null()) { xas.set_mark(mm::kPageToWrite, site); }
}

// The PTEs first: what they knew becomes the folio's, and only then the folio is clean. Kernel:
// clear_page_dirty_for_io.
bool clear_dirty_for_io(mm::AddressSpace& mapping, Page& page, Site site) {
  FS_TRACE_SCOPE("clear_page_dirty_for_io", frame_ref(mm::page_pfn(page)));
  if (mm::read_mapcount(page, site) != 0) { mm::wrprotect_mapping_range(mapping, page.index, 1, site); }
  return mm::folio_test_and_clear(page, Folio::kDirty, site);
}

void start_writeback(mm::AddressSpace& mapping, Page& page, Site site) {
  rt::SpinGuard tree(mapping.i_pages.lock(), site);
  FS_WARN_ON((mm::folio_state(page) & Folio::kWriteback) != 0, "CF5",
             about(writeback_ref(mm::page_pfn(page)), frame_ref(mm::page_pfn(page))),
             "page %" PRIu64 " of inode %u is written a second time before the first has ended", page.index.value(),
             mapping.host().ino().value());
  mm::folio_set(page, Folio::kWriteback, site);
  ++mm::folio_of(page).writes_begun;
  FS_TRACE_WRITE(writeback_ref(mm::page_pfn(page)), 0, 1);
  lib::XaCursor xas(mapping.i_pages, page.index.value());
  xas.load(site);
  xas.set_mark(mm::kPageWriteback, site);
  // Unless somebody made it dirty again since: a store through a fault that came after the write protection.
  if ((mm::folio_state(page) & Folio::kDirty) == 0) {
    xas.clear_mark(mm::kPageDirty, site);
    mm::folio_of(page).marked_dirty = false;
    FS_TRACE_WRITE(dirty_ref(mapping.host().ino(), page.index), 1, 0);
  }
  xas.clear_mark(mm::kPageToWrite, site);
}

void end_writeback(mm::AddressSpace& mapping, Page& page, Site site) {
  {
    rt::SpinGuard tree(mapping.i_pages.lock(), site);
    lib::XaCursor xas(mapping.i_pages, page.index.value());
    xas.load(site);
    xas.clear_mark(mm::kPageWriteback, site);
    mm::folio_clear(page, Folio::kWriteback, site);
    mm::Folio& folio = mm::folio_of(page);
    ++folio.writes_ended;
    folio.last_write_ended = page.memory->device().watch_time();
    FS_TRACE_WRITE(writeback_ref(mm::page_pfn(page)), 1, 0);
  }
  page.memory->folio_waiters().wake_all(mm::page_pfn(page).value() + 1, nullptr, site);
}

void wait_writeback_range(mm::AddressSpace& mapping, PgOff first, PgOff last, Site site) {
  if (mm::has_no_pages(mapping)) { return; }
  PgOff at = first;
  while (Page* const page = find_next_marked(mapping, &at, last, mm::kPageWriteback, site)) {
    mm::wait_folio_writeback(*page, site);
    mm::put_page(*page, site);
    if (at == last) { return; }
    at = at + 1;
  }
}

}  // namespace daxfs::cache
