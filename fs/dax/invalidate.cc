// fs/dax/invalidate.cc - deleting entries, one by one and by range.
#include "fs/dax/invalidate.h"

#include <algorithm>
#include <array>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/dax/entry.h"
#include "fs/dax/entry_lock.h"
#include "fs/dax/entry_owner.h"
#include "fs/mm/memory.h"
#include "fs/mm/rmap.h"
#include "fs/mm/tree_peek.h"
#include "fs/pmem/device.h"
#include "fs/rt/trace.h"

namespace daxfs::dax {

namespace {

// Where entries begin, gathered under the tree lock and worked on without it (kernel: a pagevec's
// indices).
struct IndexBatch {
  static constexpr size_t kMax = 15;
  std::array<uint64_t, kMax> index;
  size_t count = 0;

  bool empty() const { return count == 0; }
  uint64_t back() const { return index[count - 1]; }
};

enum class Wanted : uint8_t { kAll, kWithoutBlock };

// A tracer hears that [first, last] has no entries, or no more from `first` on.
void trace_no_entries(mm::AddressSpace& mapping, uint64_t first, uint64_t last) {
  if (first > last) { return; }
  FS_TRACE_READ(entry_ref(mapping.host().ino(), PgOff(first), last == kLastIndex ? 0 : last - first + 1), 0);
}

// Entries that begin in [first, last], or cover `first`.
void gather(mm::AddressSpace& mapping, uint64_t first, uint64_t last, IndexBatch* batch, Wanted wanted = Wanted::kAll) {
  batch->count = 0;
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, first);
  while (batch->count < IndexBatch::kMax) {
    const lib::XEntry stored = xas.find(last);
    if (stored.is_null()) {
      trace_no_entries(mapping, batch->empty() ? first : batch->back() + 1, last);
      return;
    }
    if (wanted == Wanted::kWithoutBlock && Entry::from_tree(stored).is_frame()) { continue; }
    batch->index[batch->count++] = xas.first_index();
  }
}

// Removes the entry and what is mapped for it, unless it has a block. An entry that is being made is
// waited for: it may become a zero page. Unmapped under the entry lock: whoever comes later and finds
// no entry may rely on no zero page being mapped.
void remove_hole_entry(mm::AddressSpace& mapping, PgOff index) {
  FS_TRACE_SCOPE("dax_drop_hole_entry", entry_ref(mapping.host().ino(), index));
  const EntryRank rank(mapping, index);
  Entry entry;
  {
    rt::SpinGuard tree(mapping.i_pages.lock());
    lib::XaCursor xas(mapping.i_pages, index.value());
    if (Entry::from_tree(xas.load()).is_frame()) { return; }
    xas.reset();
    entry = get_unlocked_entry(mapping, xas).entry;
    if (entry.none() || entry.is_frame()) {
      put_unlocked_entry(mapping, index, entry);
      return;
    }
    lock_entry(mapping, xas, entry);
  }
  mm::unmap_mapping_range(mapping, entry.base(index), entry.pages(), /*even_cows=*/false);
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, index.value());
  xas.store(lib::XEntry::null());
  trace_entry_write(mapping, entry.base(index), entry.locked(), Entry());
  mapping.nrexceptional -= entry.pages();
  wake_entry(mapping, index, entry, WakeMode::kAll);
}

// The pages of a huge entry that lie outside of the range stay in the file, as single pages from now on: nothing may
// go on to map them by an entry that is gone, and what was stored to them must not lose its way to the medium with the
// entry's DIRTY mark. REQUIRES: entry locked.
void release_rest(mm::AddressSpace& mapping, PgOff base, Entry entry, bool dirty) {
  mm::unmap_mapping_range(mapping, base, entry.pages(), /*even_cows=*/false);
  // Bug kPunchCountsPagesOnly (cca32b7eeb4e): DAX entries are no pages.
  if (dirty && !(historical(Bug::kPunchCountsPagesOnly) && mapping.nrpages == 0)) {
    pmem::Device& device = mapping.memory().device();
    device.flush(entry.pfn().value() * kPageSize, entry.bytes());
    device.fence();
  }
}

// Deletes the entry that covers `index`, because pages [first, last] go.
bool delete_entry(mm::AddressSpace& mapping, PgOff index, PgOff first, PgOff last) {
  FS_TRACE_SCOPE("__dax_invalidate_entry", entry_ref(mapping.host().ino(), index));
  const EntryRank rank(mapping, index);
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, index.value());
  const Entry entry = get_unlocked_entry(mapping, xas).entry;
  if (entry.none()) { return false; }
  const PgOff base = entry.base(index);
  const bool dirty = xas.get_mark(kMarkDirty);
  if (base < first || base + (entry.pages() - 1) > last) {
    lock_entry(mapping, xas, entry);
    mapping.i_pages.lock().unlock();
    release_rest(mapping, base, entry, dirty);
    mapping.i_pages.lock().lock();
    xas.reset();
  }
  // Reloaded: nobody else changes a locked entry, and the tree lock was held otherwise.
  if (dirty) { FS_TRACE_WRITE(dirty_ref(mapping.host().ino(), base), 1, 0); }
  disassociate_entry(mapping, entry, /*truncating=*/true);
  xas.store(lib::XEntry::null());
  trace_entry_write(mapping, base, entry, Entry());
  mapping.nrexceptional -= entry.pages();
  put_unlocked_entry(mapping, index, entry, WakeMode::kAll);
  return true;
}

PgOff page_after(uint64_t pos) { return PgOff(div_round_up(pos, kPageSize)); }

}  // namespace

// Kernel: __dax_invalidate_entry.
bool delete_mapping_entry(mm::AddressSpace& mapping, PgOff index) {
  return delete_entry(mapping, index, PgOff(0), PgOff(kLastIndex));
}

// Goes round until a whole pass finds nothing: entries may have been made behind the cursor
// meanwhile.
void truncate_mapping_range(mm::AddressSpace& mapping, PgOff first, PgOff last) {
  FS_TRACE_SCOPE("truncate_inode_pages_range", inode_ref(mapping.host().ino()));
  if (mm::has_no_pages(mapping) || first > last) {
    trace_no_entries(mapping, first.value(), last.value());
    return;
  }
  IndexBatch batch;
  for (uint64_t at = first.value();;) {
    gather(mapping, at, last.value(), &batch);
    if (batch.empty()) {
      if (at == first.value()) { return; }
      at = first.value();
      continue;
    }
    for (size_t i = 0; i < batch.count; ++i) { delete_entry(mapping, PgOff(batch.index[i]), first, last); }
    if (batch.back() >= last.value()) {
      at = first.value();
    } else {
      at = batch.back() + 1;
    }
  }
}

void truncate_pagecache_range(mm::AddressSpace& mapping, uint64_t start, uint64_t end) {
  FS_TRACE_SCOPE("truncate_pagecache_range", inode_ref(mapping.host().ino()));
  const PgOff first = page_after(start);
  const PgOff past(end / kPageSize);
  if (first >= past) { return; }
  // Private copies of the hole survive, as the kernel's unmap of a punched range leaves them.
  mm::unmap_mapping_range(mapping, first, past - first, /*even_cows=*/false);
  truncate_mapping_range(mapping, first, past - 1);
}

// Unmapped twice: a private copy may have been made from a page between the first pass and its
// entry's end.
void truncate_pagecache(mm::AddressSpace& mapping, uint64_t new_size) {
  FS_TRACE_SCOPE("truncate_pagecache", inode_ref(mapping.host().ino()));
  const PgOff first = page_after(new_size);
  mm::unmap_mapping_range(mapping, first, 0, /*even_cows=*/true);
  truncate_mapping_range(mapping, first, PgOff(kLastIndex));
  mm::unmap_mapping_range(mapping, first, 0, /*even_cows=*/true);
}

void drop_hole_entries(mm::AddressSpace& mapping, PgOff first, PgOff last) {
  FS_TRACE_SCOPE("dax_drop_hole_entries", entry_ref(mapping.host().ino(), first, last - first + 1));
  if (mm::has_no_pages(mapping)) {
    trace_no_entries(mapping, first.value(), last.value());
    return;
  }
  IndexBatch batch;
  for (uint64_t at = first.value();;) {
    gather(mapping, at, last.value(), &batch, Wanted::kWithoutBlock);
    if (batch.empty()) { break; }
    for (size_t i = 0; i < batch.count; ++i) { remove_hole_entry(mapping, PgOff(batch.index[i])); }
    if (batch.back() >= last.value()) { break; }
    at = batch.back() + 1;
  }
}

void drop_clean_entries(mm::AddressSpace& mapping) {
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, 0);
  for (;;) {
    const Entry entry = Entry::from_tree(xas.find(kLastIndex));
    if (entry.none()) { return; }
    if (entry.is_locked() || xas.get_mark(kMarkDirty) || xas.get_mark(kMarkToWrite)) { continue; }
    const PgOff base(xas.first_index());
    disassociate_entry(mapping, entry, /*truncating=*/false);
    xas.store(lib::XEntry::null());
    trace_entry_write(mapping, base, entry, Entry());
    mapping.nrexceptional -= entry.pages();
  }
}

void truncate_inode_pages_final(mm::AddressSpace& mapping) {
  FS_TRACE_SCOPE("truncate_inode_pages_final", inode_ref(mapping.host().ino()));
  truncate_mapping_range(mapping, PgOff(0), PgOff(kLastIndex));
  // Reclaim may be about to let go of the last page: it must be out of the tree before the inode goes. Kernel:
  // clear_inode.
  if (!mapping.dax()) { const rt::SpinGuard tree(mapping.i_pages.lock()); }
  FS_BUG_ON(!mm::has_no_pages(mapping), "O2", about(inode_ref(mapping.host().ino())),
            "inode %u is evicted with entries in its tree", mapping.host().ino().value());
  FS_BUG_ON(mapping.nrexceptional != 0, "O2", about(inode_ref(mapping.host().ino())),
            "inode %u is evicted with nrexceptional %llu", mapping.host().ino().value(),
            static_cast<unsigned long long>(mapping.nrexceptional));
  FS_BUG_ON(mapping.nrpages != 0, "O2", about(inode_ref(mapping.host().ino())), "inode %u is evicted with nrpages %llu",
            mapping.host().ino().value(), static_cast<unsigned long long>(mapping.nrpages));
}

}  // namespace daxfs::dax
