// fs/cache/filemap.cc - reading pages into the cache.
#include "fs/cache/filemap.h"

#include "fs/base/historical.h"
#include "fs/cache/page_cache.h"
#include "fs/rt/trace.h"

namespace daxfs::cache {
namespace {

using mm::Folio;
using mm::Page;

uint64_t pages_in_file(mm::AddressSpace& mapping) { return div_round_up(mapping.host().i_size(), kPageSize); }

void read_ahead(mm::AddressSpace& mapping, PgOff index, Site site) {
  const uint64_t end = std::min(index.value() + 1 + kReadAhead, pages_in_file(mapping));
  for (uint64_t at = index.value() + 1; at < end; ++at) {
    const auto page = add_page(mapping, PgOff(at), site);
    if (!page.ok() || *page == nullptr) { return; }
    mapping.cache_ops->read_page(mapping, **page);
    mm::put_page(**page, site);
  }
}

Status make_page(mm::AddressSpace& mapping, PgOff index, Site site) {
  FS_ASSIGN_OR_RETURN(Page* const page, add_page(mapping, index, site));
  if (page == nullptr) { return ok_status(); }
  mapping.cache_ops->read_page(mapping, *page);
  read_ahead(mapping, index, site);
  mm::wait_folio_unlocked(*page, site);
  mm::put_page(*page, site);
  return ok_status();
}

// Makes and reads the page if it is not there. Kernel: filemap_create_folio.
Status create_page(mm::AddressSpace& mapping, PgOff index, Site site) {
  FS_TRACE_SCOPE("filemap_create_folio", entry_ref(mapping.host().ino(), index));
  if (historical(Bug::kReadWithoutInvalidateLock)) { return make_page(mapping, index, site); }
  const rt::ReadLock invalidate(mapping.invalidate_lock, site);
  return make_page(mapping, index, site);
}

}  // namespace

Result<Page*> read_cached_page(mm::AddressSpace& mapping, PgOff index, Site site) {
  for (;;) {
    Page* const page = find_get_page(mapping, index, site);
    if (page == nullptr) {
      FS_RETURN_IF_ERROR(create_page(mapping, index, site));
      continue;
    }
    if (!mm::folio_test(*page, Folio::kUptodate, site)) {
      mm::wait_folio_unlocked(*page, site);
      const uint32_t state = mm::folio_state(*page);
      if ((state & Folio::kUptodate) == 0) {
        // Truncated, or could not be read, or a write that has not filled it gave up: again under the lock.
        const rt::ReadLock invalidate(mapping.invalidate_lock, site);
        mm::lock_folio(*page, site);
        const bool ours = mm::page_mapping(*page) == &mapping;
        if (ours && (mm::folio_state(*page) & Folio::kUptodate) == 0) {
          mapping.cache_ops->read_page(mapping, *page);
          mm::wait_folio_unlocked(*page, site);
        } else {
          mm::unlock_folio(*page, site);
        }
        if ((mm::folio_state(*page) & Folio::kUptodate) == 0) {
          mm::put_page(*page, site);
          if (ours) { return Errc::kIo; }
          continue;
        }
      }
    }
    mm::folio_set(*page, Folio::kReferenced, site);
    return page;
  }
}

mm::FaultResult fault_page(mm::VmFault& vmf, mm::AddressSpace& mapping, Page** out, Site site) {
  for (;;) {
    if (vmf.pgoff.value() >= pages_in_file(mapping)) { return mm::FaultResult::kSigbus; }
    const auto got = read_cached_page(mapping, vmf.pgoff, site);
    if (!got.ok()) { return got.error() == Errc::kNoMem ? mm::FaultResult::kOom : mm::FaultResult::kSigbus; }
    Page& page = **got;
    mm::lock_folio(page, site);
    const bool ours = mm::page_mapping(page) == &mapping;
    if (ours && vmf.pgoff.value() < pages_in_file(mapping)) {
      *out = &page;
      return mm::FaultResult::kDone;
    }
    mm::unlock_folio(page, site);
    mm::put_page(page, site);
  }
}

}  // namespace daxfs::cache
