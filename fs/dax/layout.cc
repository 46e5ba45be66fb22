// fs/dax/layout.cc - the search for pinned pages.
#include "fs/dax/layout.h"

#include "fs/base/historical.h"
#include "fs/dax/entry.h"
#include "fs/dax/entry_lock.h"
#include "fs/mm/memory.h"
#include "fs/mm/rmap.h"
#include "fs/rt/trace.h"

namespace daxfs::dax {

namespace {

constexpr unsigned kScanBatch = 64;  // entries between two chances for others (kernel: XA_CHECK_SCHED)

// Kernel: dax_busy_page.
mm::Page* busy_page(mm::Memory& memory, Entry entry) {
  if (!entry.is_frame()) { return nullptr; }
  for (uint64_t i = 0; i < entry.pages(); ++i) {
    mm::Page& page = memory.page(entry.pfn() + i);
    memory.history().note_searched(entry.pfn() + i);
    if (mm::read_page_ref(page) > 1) { return &page; }
  }
  return nullptr;
}

}  // namespace

// A reference taken by a fast walker is either seen by the scan, or was taken on a PTE that the
// walker finds gone when it reads it again; then it backs out and has to fault, which the
// invalidate lock forbids. That is why the unmapping comes first.
//
// The kernel of 2022 returns at once when no VMA maps the file. A pin can outlive its mapping, so
// that misses it; later kernels scan always, and so does this one.
mm::Page* layout_busy_page_range(mm::AddressSpace& mapping, uint64_t start, uint64_t end) {
  if (!mapping.dax()) { return nullptr; }
  FS_TRACE_SCOPE("dax_layout_busy_page", inode_ref(mapping.host().ino()));
  const uint64_t first = start / kPageSize;
  const uint64_t last = end == kToEnd ? kLastIndex : end / kPageSize;
  if (!historical(Bug::kDioPinNoUnmap)) {
    mm::unmap_mapping_range(mapping, PgOff(first), end == kToEnd ? 0 : last - first + 1,
                            /*even_cows=*/false);
  }
  mapping.memory().history().note_search();
  const EntryRank rank(mapping, PgOff(first));
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, first);
  unsigned scanned = 0;
  uint64_t at = first;  // nothing behind it was looked at yet
  for (;;) {
    Entry entry = Entry::from_tree(xas.find(last));
    if (entry.none()) {
      FS_TRACE_READ(entry_ref(mapping.host().ino(), PgOff(at), 0), 0);
      return nullptr;
    }
    const uint64_t index = xas.first_index();
    const uint64_t next = index + entry.pages();
    if (entry.is_locked()) {
      xas.set(index);
      entry = get_unlocked_entry(mapping, xas).entry;
    }
    trace_entry_read(mapping, PgOff(index), entry);
    mm::Page* const page = busy_page(mapping.memory(), entry);
    put_unlocked_entry(mapping, PgOff(index), entry);
    if (page != nullptr) { return page; }
    if (next > last || next == 0) { return nullptr; }
    xas.set(next);
    at = next;
    if (++scanned % kScanBatch == 0) {
      mapping.i_pages.lock().unlock();
      rt::cond_resched();
      mapping.i_pages.lock().lock();
    }
  }
}

}  // namespace daxfs::dax
