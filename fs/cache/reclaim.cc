// fs/cache/reclaim.cc - the scan of the inactive list.
#include "fs/cache/reclaim.h"

#include <algorithm>

#include "fs/base/historical.h"
#include "fs/cache/page_cache.h"
#include "fs/cache/writeback.h"
#include "fs/mm/rmap.h"
#include "fs/rt/step.h"
#include "fs/rt/trace.h"

namespace daxfs::cache {
namespace {

using mm::Folio;
using mm::Page;

// The oldest page, with a reference; null if there is none. It goes to the young end. Frames that left the cache drop
// out.
Page* take_oldest(mm::Memory& memory, Site site) {
  rt::SpinGuard guard(memory.lru().lock, site);
  std::vector<Pfn>& frames = memory.lru().frames.write();
  while (!frames.empty()) {
    const Pfn pfn = frames.front();
    frames.erase(frames.begin());
    Page& page = memory.page(pfn);
    rt::also(rt::PointKind::kRef, rt::object_id(rt::ObjectClass::kFrame, pfn.value()));
    if (!page.is_cached() || mm::page_mapping(page) == nullptr || !mm::try_get_page_unscheduled(page)) { continue; }
    frames.push_back(pfn);
    return &page;
  }
  return nullptr;
}

bool pinned(const Page& page, Site site) { return mm::read_pins(page, site) != 0; }

// REQUIRES: locked; unlocks it if it returns false with *unlocked. RETURNS: whether the page left its file.
bool shrink_locked(mm::AddressSpace& mapping, Page& page, bool* unlocked, Site site) {
  if (mm::folio_test(page, Folio::kWriteback, site)) { return false; }
  if (mm::folio_test_and_clear(page, Folio::kReferenced, site)) { return false; }
  if (historical(Bug::kReclaimChecksFirst) && pinned(page, site)) { return false; }
  if (mm::read_mapcount(page, site) != 0) {
    mm::unmap_mapping_range(mapping, page.index, 1, /*even_cows=*/false, site);
  }
  // After the unmapping: fast GUP takes its pins through PTEs.
  const bool ignores_pins = historical(Bug::kReclaimStripsPinned) || historical(Bug::kReclaimChecksFirst);
  if (!ignores_pins && pinned(page, site)) { return false; }
  if (mm::folio_test(page, Folio::kDirty, site)) {
    if (!clear_dirty_for_io(mapping, page, site)) { return false; }
    mapping.cache_ops->write_page(mapping, page);
    // It may be on the device already; else the next pass finds it clean. Kernel: PAGE_SUCCESS.
    *unlocked = mm::folio_test(page, Folio::kWriteback, site) || !mm::try_lock_folio(page, site);
    // Reloaded: somebody else may have written it, or still does, between the two locks.
    if (*unlocked || mm::page_mapping(page) != &mapping || (mm::folio_state(page) & Folio::kWriteback) != 0 ||
        mm::folio_test(page, Folio::kDirty, site) || (!ignores_pins && pinned(page, site))) {
      return false;
    }
    if (mm::read_mapcount(page, site) != 0) { return false; }
  }
  // Bug: the buffer goes before it is known whether the page can.
  if (ignores_pins) { drop_buffer(page, site); }
  return remove_page(mapping, page, Remove::kUnused, site);
}

bool shrink_page(Page& page, Site site) {
  FS_TRACE_SCOPE("shrink_folio_list", frame_ref(mm::page_pfn(page)));
  bool freed = false;
  if (mm::try_lock_folio(page, site)) {
    bool unlocked = false;
    // While it is locked nobody truncates it, so its file stays.
    if (mm::AddressSpace* const mapping = mm::page_mapping(page)) {
      freed = shrink_locked(*mapping, page, &unlocked, site);
    }
    if (!unlocked) { mm::unlock_folio(page, site); }
  }
  mm::put_page(page, site);
  return freed;
}

}  // namespace

unsigned shrink_pages(mm::Memory& memory, unsigned scan, Site site) {
  FS_TRACE_SCOPE("shrink_inactive_list", {});
  unsigned freed = 0;
  for (unsigned n = 0; n < scan; ++n) {
    Page* const page = take_oldest(memory, site);
    if (page == nullptr) { break; }
    freed += shrink_page(*page, site) ? 1 : 0;
  }
  return freed;
}

void Kswapd::run(void* self) {
  FS_TRACE_SCOPE("kswapd", {});
  const Kswapd& kswapd = *static_cast<Kswapd*>(self);
  shrink_pages(kswapd.memory_, kswapd.scan_);
}

}  // namespace daxfs::cache
