// fs/dax/writeback.cc - flushing of pages that were stored to through mappings.
#include "fs/dax/writeback.h"

#include "fs/base/report.h"
#include "fs/dax/entry.h"
#include "fs/dax/entry_lock.h"
#include "fs/mm/memory.h"
#include "fs/mm/rmap.h"
#include "fs/mm/tree_peek.h"
#include "fs/rt/trace.h"

namespace daxfs::dax {

namespace {

// The next DIRTY entry from `at` up to `last`, none() without one; `*at` moves behind it.
Entry find_dirty(mm::AddressSpace& mapping, lib::XaCursor& xas, uint64_t* at, uint64_t last)
    FS_REQUIRES(mapping.i_pages.lock()) {
  const Entry entry = Entry::from_tree(xas.find_marked(last, kMarkDirty));
  if (entry.none()) {
    FS_TRACE_READ(dirty_ref(mapping.host().ino(), PgOff(*at), /*count=*/0), 0);
  } else {
    FS_TRACE_READ(dirty_ref(mapping.host().ino(), PgOff(xas.index())), 1);
    *at = xas.index() + entry.pages();
  }
  return entry;
}

// DIRTY entries of the range are what this call writes; those that become dirty later are the next
// call's, so that a task that keeps storing cannot keep an fsync busy for ever. Kernel:
// tag_pages_for_writeback.
void tag_for_writeback(mm::AddressSpace& mapping, uint64_t first, uint64_t last) {
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, first);
  for (uint64_t at = first; !find_dirty(mapping, xas, &at, last).none();) { xas.set_mark(kMarkToWrite); }
}

// Writes the entry that the cursor is at. The tree lock is dropped on the way; the caller moves its
// cursor itself. *flushed becomes true if cache lines were flushed. Kernel: dax_writeback_one.
Status writeback_one(mm::AddressSpace& mapping, lib::XaCursor& xas, Entry entry, bool* flushed)
    FS_REQUIRES(mapping.i_pages.lock()) {
  const PgOff index(xas.index());
  FS_TRACE_SCOPE("dax_writeback_one", entry_ref(mapping.host().ino(), index));
  if (entry.is_locked()) {
    const Entry seen = entry;
    xas.reset();
    entry = get_unlocked_entry(mapping, xas).entry;
    // Reloaded: the page may be gone, at another place, or written by another task meanwhile.
    const bool same = !entry.none() && entry.pfn() == seen.pfn();
    if (!same || !xas.get_mark(kMarkToWrite)) {
      put_unlocked_entry(mapping, index, entry);
      return ok_status();
    }
  }
  if (FS_WARN_ON(!entry.is_frame(), "O7", about(entry_ref(mapping.host().ino(), index)),
                 "page %llu of inode %u is dirty but has no block", static_cast<unsigned long long>(index.value()),
                 mapping.host().ino().value())) {
    return Errc::kIo;
  }
  lock_entry(mapping, xas, entry);
  // A second fsync of the same page must not return before the flush below: it meets the lock and
  // waits.
  xas.clear_mark(kMarkToWrite);
  mapping.i_pages.lock().unlock();

  const PgOff base = entry.base(index);
  mm::wrprotect_mapping_range(mapping, base, entry.pages());
  mapping.memory().device().flush(entry.pfn().value() * kPageSize, entry.bytes());
  *flushed = true;

  // Nothing can have become dirty since the flush: every PTE is read-only and a fault waits for the
  // entry.
  mapping.i_pages.lock().lock();
  xas.reset();
  const Entry old = Entry::from_tree(xas.store(entry.to_tree()));
  trace_entry_write(mapping, base, old, entry);
  FS_BUG_ON(!old.is_locked(), "O4", about(entry_ref(mapping.host().ino(), index)),
            "writeback finds page %llu of inode %u unlocked", static_cast<unsigned long long>(index.value()),
            mapping.host().ino().value());
  xas.clear_mark(kMarkDirty);
  FS_TRACE_WRITE(dirty_ref(mapping.host().ino(), base), 1, 0);
  wake_entry(mapping, index, entry, WakeMode::kNext);
  return ok_status();
}

// Until whoever has the entry locked is done with it.
void wait_for_entry(mm::AddressSpace& mapping, lib::XaCursor& xas) FS_REQUIRES(mapping.i_pages.lock()) {
  const PgOff index(xas.index());
  xas.reset();
  put_unlocked_entry(mapping, index, get_unlocked_entry(mapping, xas).entry);
}

}  // namespace

// Kernel: dax_writeback_mapping_range.
Status writeback_mapping_range(mm::AddressSpace& mapping, PgOff first, PgOff last, bool sync) {
  if (!sync || mm::has_no_pages(mapping)) { return ok_status(); }
  FS_TRACE_SCOPE("dax_writeback_mapping_range", inode_ref(mapping.host().ino()));
  tag_for_writeback(mapping, first.value(), last.value());
  Status result;
  bool flushed = false;
  {
    const EntryRank rank(mapping, first);
    rt::SpinGuard tree(mapping.i_pages.lock());
    lib::XaCursor xas(mapping.i_pages, first.value());
    // Walks DIRTY, not TOWRITE as Linux does: another task that is writing an entry has cleared
    // TOWRITE already, while its flush is still to come; not to wait for it would be to return
    // before the data is durable.
    for (uint64_t next = first.value();;) {
      const Entry entry = find_dirty(mapping, xas, &next, last.value());
      if (entry.none()) { break; }
      if (xas.get_mark(kMarkToWrite)) {
        result = writeback_one(mapping, xas, entry, &flushed);
      } else if (entry.is_locked()) {
        wait_for_entry(mapping, xas);
      }
      if (!result.ok()) {
        mapping.wb_error.record(result.error());
        break;
      }
      if (next > last.value() || next == 0) { break; }
      xas.set(next);
    }
  }
  if (flushed) { mapping.memory().device().fence(); }
  return result;
}

}  // namespace daxfs::dax
