// fs/mm/page.cc - reference counts of frames, and pins.
#include "fs/mm/page.h"

#include <cinttypes>

#include "fs/base/flags.h"
#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/mm/address_space.h"
#include "fs/mm/folio.h"
#include "fs/mm/memory.h"
#include "fs/rt/point.h"
#include "fs/rt/step.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
namespace {

static_assert(distinct_bits({Page::kPmem, Page::kReserved}));

rt::ObjectId frame_object(const Page& page) { return rt::object_id(rt::ObjectClass::kFrame, page_pfn(page).value()); }

void trace_count(const Page& page, int32_t before, int32_t now) {
  FS_TRACE_WRITE(frame_ref(page_pfn(page)), static_cast<uint64_t>(before), static_cast<uint64_t>(now));
}

}  // namespace

Pfn page_pfn(const Page& page) { return page.memory->pfn(page); }

int read_page_ref(const Page& page, Site site) {
  rt::point(rt::PointKind::kAtomicLoad, frame_object(page), site);
  const int count = page_ref_count(page);
  FS_TRACE_READ(frame_ref(page_pfn(page)), static_cast<uint64_t>(count));
  return count;
}

AddressSpace* read_page_mapping(const Page& page, Site site) {
  rt::point(rt::PointKind::kAtomicLoad, frame_object(page), site);
  return page_mapping(page);
}

// Told, because who has nothing but the frame asks without the lock.
void set_page_mapping(Page& page, AddressSpace* mapping, PgOff index) {
  rt::also(rt::PointKind::kAtomicStore, frame_object(page));
  page.index = index;
  __atomic_store_n(&page.mapping, mapping, __ATOMIC_RELEASE);
}

void get_page(Page& page, Site site) {
  rt::point(rt::PointKind::kRef, frame_object(page), site);
  const int32_t before = __atomic_fetch_add(&page.refcount, 1, __ATOMIC_SEQ_CST);
  trace_count(page, before, before + 1);
  FS_BUG_ON(before <= 0, "MM2", about(frame_ref(page_pfn(page))), "frame %" PRIu64 " taken at reference count %d",
            page_pfn(page).value(), before);
}

void put_page(Page& page, Site site) {
  rt::point(rt::PointKind::kRef, frame_object(page), site);
  const int32_t now = __atomic_sub_fetch(&page.refcount, 1, __ATOMIC_SEQ_CST);
  trace_count(page, now + 1, now);
  const int32_t lowest = page.is_pmem() || page.is_zero_page() ? 1 : 0;
  FS_BUG_ON(now < lowest, "MM2", about(frame_ref(page_pfn(page))),
            "reference count of frame %" PRIu64 " falls to %d, idle is %d", page_pfn(page).value(), now, lowest);
  if (now != lowest) { return; }
  if (page.is_pmem()) {
    if (historical(Bug::kPutClearsMapping)) { set_page_mapping(page, nullptr, PgOff(0)); }
    page.memory->wake_page_idle(page, site);
  } else if (!page.is_zero_page()) {
    page.memory->recycle_dram(page_pfn(page));
  }
}

bool try_get_page_unscheduled(Page& page) {
  int32_t count = page_ref_count(page);
  while (count > 0) {
    if (__atomic_compare_exchange_n(&page.refcount, &count, count + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
      trace_count(page, count, count + 1);
      return true;
    }
  }
  return false;
}

void PagePin::require_owned(const Page& page, const char* what, Site site) {
  if (page.is_pmem()) {
    rt::also(rt::PointKind::kUserLoad, rt::object_id(rt::ObjectClass::kPmem, page_pfn(page).value()));
    page.memory->device().require_owned(page_pfn(page).value() * kPageSize, kPageSize, what, site);
  }
}

bool PagePin::note_pinned(const Page& page) {
  if (page.is_pmem()) { page.memory->history().note(page_pfn(page), FrameEvent::kPinned); }
  if (!page.is_cached()) { return false; }
  __atomic_fetch_add(&folio_of(page).pins, 1, __ATOMIC_SEQ_CST);
  return (__atomic_load_n(&folio_of(page).state, __ATOMIC_SEQ_CST) & Folio::kPrivate) != 0;
}

// The flag first: a page that is truncated leaves its file before its buffer goes.
FS_NO_TSAN bool PagePin::lost_buffer(const Page& page) const {
  return prepared_ && (__atomic_load_n(&folio_of(page).state, __ATOMIC_SEQ_CST) & Folio::kPrivate) == 0 &&
         mapping_ != nullptr && page.mapping == mapping_;
}

void PagePin::note_released(const Page& page) const {
  if (!page.is_cached()) { return; }
  FS_WARN_ON(lost_buffer(page), "O20", about(frame_ref(page_pfn(page)), buffer_ref(page_pfn(page))),
             "page %" PRIu64
             " of inode %u lost its buffer under a pin, and is still in its file: who has it pinned "
             "may write to it, and nothing would say where its bytes will go",
             page.index.value(), mapping_->host().ino().value());
  rt::point(rt::PointKind::kRef, frame_object(page));
  __atomic_fetch_sub(&folio_of(page).pins, 1, __ATOMIC_SEQ_CST);
}

PagePin& PagePin::operator=(PagePin&& other) noexcept {
  if (this == &other) { return *this; }
  if (page_ != nullptr) { report_unreleased(); }
  page_ = other.page_;
  mapping_ = other.mapping_;
  index_ = other.index_;
  prepared_ = other.prepared_;
  other.page_ = nullptr;
  return *this;
}

void PagePin::release(Site site) {
  FS_BUG_ON(page_ == nullptr, "MM1", "release of an empty pin");
  Page* page = page_;
  page_ = nullptr;
  require_owned(*page, "unpin", site);
  note_released(*page);
  put_page(*page, site);
}

void PagePin::report_unreleased() const {
  FS_BUG_ON(page_ != nullptr, "MM1", about(frame_ref(pfn())), "pin of frame %" PRIu64 " was dropped without release",
            pfn().value());
}

}  // namespace daxfs::mm
