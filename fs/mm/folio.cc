// fs/mm/folio.cc - flags, lock and dirtying of pages of the page cache.
#include "fs/mm/folio.h"

#include <cinttypes>

#include "fs/base/flags.h"
#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/mm/address_space.h"
#include "fs/rt/lock_rank.h"
#include "fs/rt/point.h"
#include "fs/rt/rcu.h"
#include "fs/rt/step.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
namespace {

static_assert(distinct_bits({Folio::kLocked, Folio::kUptodate, Folio::kDirty, Folio::kWriteback, Folio::kPrivate,
                             Folio::kReferenced, Folio::kError}));

rt::ObjectId folio_object(const Page& page) {
  return rt::object_id(rt::ObjectClass::kFrame, page_pfn(page).value(), 1);
}

uint64_t key_of(const Page& page) { return page_pfn(page).value() + 1; }

// Changes of these come with a change of the reference count: one object. Programs access their bytes under it, too.
rt::ObjectId counts_object(const Page& page) { return rt::object_id(rt::ObjectClass::kFrame, page_pfn(page).value()); }

bool set_bit(Page& page, Folio::Bit bit) {
  return (__atomic_fetch_or(&folio_of(page).state, bit, __ATOMIC_SEQ_CST) & bit) == 0;
}
bool clear_bit(Page& page, Folio::Bit bit) {
  return (__atomic_fetch_and(&folio_of(page).state, ~uint32_t{bit}, __ATOMIC_SEQ_CST) & bit) != 0;
}

template <typename Done>
void wait_until(Page& page, Done done, Site site) {
  rt::WaitQueue& queue = page.memory->folio_waiters();
  rt::Waiter waiter(key_of(page));
  for (;;) {
    queue.prepare_to_wait(waiter, false, site);
    if (done()) { break; }
    rt::schedule(site);
  }
  queue.finish_wait(waiter, site);
}

void unlock_and_wake(Page& page, Site site) {
  const bool was = clear_bit(page, Folio::kLocked);
  FS_TRACE_WRITE(folio_lock_ref(page_pfn(page)), was ? 1 : 0, 0);
  FS_BUG_ON(!was, "CF1", about(frame_ref(page_pfn(page))), "frame %" PRIu64 ": folio unlocked twice",
            page_pfn(page).value());
  rt::point(rt::PointKind::kUnlock, folio_object(page), site);  // behind the deed, as with every lock
  page.memory->folio_waiters().wake_all(key_of(page), nullptr, site);
}

}  // namespace

uint32_t folio_state(const Page& page) {
  rt::also(rt::PointKind::kAtomicLoad, folio_object(page));
  return __atomic_load_n(&folio_of(page).state, __ATOMIC_SEQ_CST);
}

void note_folio_change(const Page& page) { rt::also(rt::PointKind::kAtomicStore, folio_object(page)); }
void note_bytes_read(const Page& page) { rt::also(rt::PointKind::kUserLoad, counts_object(page)); }
void note_bytes_written(const Page& page) { rt::also(rt::PointKind::kUserStore, counts_object(page)); }

bool folio_test(const Page& page, Folio::Bit bit, Site site) {
  rt::point(rt::PointKind::kAtomicLoad, folio_object(page), site);
  return (folio_state(page) & bit) != 0;
}

void folio_set(Page& page, Folio::Bit bit, Site site) {
  rt::point(rt::PointKind::kAtomicStore, folio_object(page), site);
  set_bit(page, bit);
}

void folio_clear(Page& page, Folio::Bit bit, Site site) {
  rt::point(rt::PointKind::kAtomicStore, folio_object(page), site);
  clear_bit(page, bit);
}

bool folio_test_and_clear(Page& page, Folio::Bit bit, Site site) {
  rt::point(rt::PointKind::kAtomicRmw, folio_object(page), site);
  return clear_bit(page, bit);
}

int read_mapcount(const Page& page, Site site) {
  rt::point(rt::PointKind::kAtomicLoad, counts_object(page), site);
  return __atomic_load_n(&folio_of(page).mapcount, __ATOMIC_SEQ_CST);
}

int read_pins(const Page& page, Site site) {
  rt::point(rt::PointKind::kAtomicLoad, counts_object(page), site);
  return __atomic_load_n(&folio_of(page).pins, __ATOMIC_SEQ_CST);
}

void change_mapcount(Page& page, int by, Site site) {
  rt::point(rt::PointKind::kAtomicRmw, counts_object(page), site);
  __atomic_fetch_add(&folio_of(page).mapcount, by, __ATOMIC_SEQ_CST);
}

bool try_lock_folio(Page& page, Site site) {
  rt::point(rt::PointKind::kLock, folio_object(page), site);
  if (!set_bit(page, Folio::kLocked)) { return false; }
  FS_TRACE_WRITE(folio_lock_ref(page_pfn(page)), 0, 1);
  rt::rank_acquire(rt::Rank::kFolio, folio_object(page), site);
  return true;
}

void lock_folio(Page& page, Site site) {
  FS_TRACE_SCOPE("folio_lock", frame_ref(page_pfn(page)));
  rt::point(rt::PointKind::kLock, folio_object(page), site);
  if (!set_bit(page, Folio::kLocked)) {
    FS_TRACE_READ(folio_lock_ref(page_pfn(page)), 1);
    const auto taken = [&] {
      rt::also(rt::PointKind::kLock, folio_object(page));
      return set_bit(page, Folio::kLocked);
    };
    wait_until(page, taken, site);
  }
  FS_TRACE_WRITE(folio_lock_ref(page_pfn(page)), 0, 1);
  rt::rank_acquire(rt::Rank::kFolio, folio_object(page), site);
}

void unlock_folio(Page& page, Site site) {
  rt::rank_release(rt::Rank::kFolio, folio_object(page), site);
  unlock_and_wake(page, site);
}

void hand_over_folio(Page& page, Site site) { rt::rank_release(rt::Rank::kFolio, folio_object(page), site); }

void unlock_handed_folio(Page& page, Site site) { unlock_and_wake(page, site); }

void wait_folio_unlocked(Page& page, Site site) {
  if (!folio_test(page, Folio::kLocked, site)) { return; }
  FS_TRACE_READ(folio_lock_ref(page_pfn(page)), 1);
  wait_until(page, [&] { return (folio_state(page) & Folio::kLocked) == 0; }, site);
  FS_TRACE_READ(folio_lock_ref(page_pfn(page)), 0);
}

void wait_folio_writeback(Page& page, Site site) {
  const bool writeback = folio_test(page, Folio::kWriteback, site);
  FS_TRACE_READ(writeback_ref(page_pfn(page)), writeback ? 1 : 0);
  if (!writeback) { return; }
  FS_TRACE_SCOPE("folio_wait_writeback", frame_ref(page_pfn(page)));
  wait_until(page, [&] { return (folio_state(page) & Folio::kWriteback) == 0; }, site);
  FS_TRACE_READ(writeback_ref(page_pfn(page)), 0);
}

namespace {

// RETURNS: false if it was dirty already, or (with `check`) is not this file's any more.
bool mark_dirty_in(AddressSpace& mapping, Page& page, bool check, Site site) {
  rt::SpinGuard tree(mapping.i_pages.lock(), site);
  // Reloaded: truncate takes the page out of its file under this lock.
  if ((check && page_mapping(page) != &mapping) || folio_test(page, Folio::kDirty, site)) { return false; }
  FS_TRACE_READ(buffer_ref(page_pfn(page)), traced_buffer(page));
  FS_WARN_ON((folio_state(page) & Folio::kPrivate) == 0, "O20",
             about(frame_ref(page_pfn(page)), dirty_ref(mapping.host().ino(), page.index), buffer_ref(page_pfn(page)))
                 .came(page_mapping(page) == &mapping ? "its buffer was taken away" : "it has been truncated"),
             "page %" PRIu64 " of inode %u becomes dirty, and nothing says where its bytes will go", page.index.value(),
             mapping.host().ino().value());
  folio_set(page, Folio::kDirty, site);
  lib::XaCursor xas(mapping.i_pages, page.index.value());
  xas.load(site);
  xas.set_mark(kPageDirty, site);
  folio_of(page).marked_dirty = true;
  FS_TRACE_WRITE(dirty_ref(mapping.host().ino(), page.index), 0, 1);
  return true;
}

bool dirty_in(AddressSpace& mapping, Page& page, bool check, Site site) {
  FS_TRACE_SCOPE("folio_mark_dirty", frame_ref(page_pfn(page)));
  if (!mark_dirty_in(mapping, page, check, site)) { return false; }
  mapping.host().note_dirty_page();
  return true;
}

}  // namespace

bool set_page_dirty(Page& page, Site site) {
  const rt::RcuReadGuard rcu;  // who has nothing but a pin does not keep the inode
  AddressSpace* const mapping = page_mapping(page);
  return mapping != nullptr && dirty_in(*mapping, page, /*check=*/true, site);
}

void set_pinned_page_dirty(const PagePin& pin, Site site) {
  if (historical(Bug::kDmaDoesNotDirty)) { return; }
  if (historical(Bug::kDirtyAfterTruncate) && pin.mapping() != nullptr) {
    const rt::RcuReadGuard rcu;
    dirty_in(*pin.mapping(), pin.page(), /*check=*/false, site);
    return;
  }
  set_page_dirty(pin.page(), site);
}

}  // namespace daxfs::mm
