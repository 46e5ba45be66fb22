// fs/dax/entry_lock.cc - waiting for, taking and giving back the lock bit of an entry.
#include "fs/dax/entry_lock.h"

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/dax/entry_owner.h"
#include "fs/mm/memory.h"
#include "fs/mm/page.h"
#include "fs/mm/rmap.h"
#include "fs/rt/wait_queue.h"

namespace daxfs::dax {

namespace {

bool is_aligned(uint64_t index, unsigned order) { return (index & ((uint64_t{1} << order) - 1)) == 0; }

uint64_t wait_key(PgOff index, Entry entry) {
  const PgOff page = historical(Bug::kWaitKeyOfPage) ? index : entry.base(index);
  return page.value() + 1;
}  // 0 would match every waiter

Entry entry_from_tree(lib::XEntry stored) {
  FS_BUG_ON(!stored.is_null() && !stored.is_value(), "DE2", "the tree of a DAX file holds a word that is no DAX entry");
  return Entry::from_tree(stored);
}

// Bug kPmdLookupMissesPte (0e40de0338d0): a load stops at the range's first slot. It may meet a subtree there, which is
// no entry either.
Entry first_in_range(lib::XaCursor& xas, unsigned order) {
  if (historical(Bug::kInternalAsEntry)) { return entry_from_tree(xas.load()); }
  if (historical(Bug::kPmdLookupMissesPte) && order != 0) {
    const lib::XEntry stored = xas.load();
    return stored.is_value() ? Entry::from_tree(stored) : Entry();
  }
  return entry_from_tree(xas.find_conflict());
}

}  // namespace

rt::ObjectId entry_rank_object(mm::AddressSpace& mapping, PgOff index) {
  return rt::object_id(rt::ObjectClass::kLock, mapping.host().ino().value(), index.value() + 1);
}

void wake_entry(mm::AddressSpace& mapping, PgOff index, Entry entry, WakeMode mode) {
  rt::WaitQueue& queue = mapping.entry_waiters;
  rt::WaitQueue& unowned = mapping.memory().frame_waiters();
  if (queue.has_waiters()) { queue.wake(mode == WakeMode::kAll ? 0 : 1, wait_key(index, entry), &mapping); }
  if (unowned.has_waiters()) { unowned.wake_all(wait_key(index, entry), &mapping); }
}

FoundEntry get_unlocked_entry(mm::AddressSpace& mapping, lib::XaCursor& xas, unsigned order) {
  const PgOff index(xas.index());
  for (;;) {
    const Entry entry = first_in_range(xas, order);
    const bool smaller = !entry.none() && entry.order() < order;  // somewhere in the range
    trace_entry_read(mapping, smaller ? PgOff(xas.first_index()) : entry.base(index), entry);
    if (entry.none()) { return {}; }
    const bool waits = historical(Bug::kPmdWaitsOnOwnKey) && entry.is_locked();
    if (entry.order() < order && !waits) {
      if (historical(Bug::kUpgradeLeavesZeroPages) && entry.is_zero()) {
        xas.reset();
        return {};
      }
      return {.entry = Entry(), .conflict = true};
    }
    if (!entry.is_locked()) { return {.entry = entry}; }

    rt::Waiter waiter(wait_key(index, entry), &mapping);
    mapping.entry_waiters.prepare_to_wait(waiter, /*exclusive=*/true);
    mapping.i_pages.lock().unlock();
    xas.reset();
    rt::schedule();
    mapping.entry_waiters.finish_wait(waiter);
    mapping.i_pages.lock().lock();
    // Reloaded: the loop looks at the tree anew.
  }
}

void put_unlocked_entry(mm::AddressSpace& mapping, PgOff index, Entry entry, WakeMode mode) {
  // A wake-up that this task consumed while it waited belongs to the next waiter, now that it does
  // not take the lock.
  if (historical(Bug::kWakeupNotPassedOn) && mode == WakeMode::kNext) { return; }
  if (!entry.none()) { wake_entry(mapping, index, entry, mode); }
}

Entry lock_entry(mm::AddressSpace& mapping, lib::XaCursor& xas, Entry entry) {
  const Entry old = entry_from_tree(xas.store(entry.locked().to_tree()));
  trace_entry_write(mapping, entry.base(PgOff(xas.index())), old, entry.locked());
  return old;
}

EntryGuard::EntryGuard(mm::AddressSpace& mapping, PgOff index, unsigned order, bool* conflict, Site site)
    : mapping_(mapping), index_(index) {
  rt::rank_acquire(rt::Rank::kDaxEntry, entry_rank_object(mapping, index), site);
  *conflict = !acquire(order);
  open_ = !*conflict;
  if (*conflict) { rt::rank_release(rt::Rank::kDaxEntry, entry_rank_object(mapping_, index_)); }
}

bool EntryGuard::acquire(unsigned order) {
  FS_TRACE_SCOPE("grab_mapping_entry", entry_ref(mapping_.host().ino(), index_));
  FS_BUG_ON(!is_aligned(index_.value(), order), "O5", about(entry_ref(mapping_.host().ino(), index_)),
            "an entry of order %u is made that begins at page %llu of inode %u", order,
            static_cast<unsigned long long>(index_.value()), mapping_.host().ino().value());
  rt::SpinGuard tree(mapping_.i_pages.lock());
  lib::XaCursor xas(mapping_.i_pages, index_.value(), order);
  if (historical(Bug::kFaultWithoutEntryLock)) {
    entry_ = entry_from_tree(xas.load()).unlocked();
    trace_entry_read(mapping_, index_, entry_);
    return true;
  }
  const bool own_key_only = historical(Bug::kPmdOwnKeyOnly) && order == 0 && entry_from_tree(xas.load()).is_pmd();
  const FoundEntry found = own_key_only ? FoundEntry{.entry = entry_from_tree(xas.load()).unlocked()}
                                        : get_unlocked_entry(mapping_, xas, order);
  if (found.conflict) { return false; }
  entry_ = found.entry;
  const bool stays = historical(Bug::kPageOverHuge);
  if (order == 0 && entry_.is_pmd() && (entry_.is_zero() || entry_.is_empty()) && !stays) {
    remove_pmd_locked(xas, entry_);
    entry_ = Entry();
  }
  if (entry_.none()) {
    entry_ = Entry::empty(order);
    mapping_.nrexceptional += entry_.pages();
  }
  lock_entry(mapping_, xas, entry_);
  locked_ = true;
  return true;
}

// Makes room for single pages where a 2 MiB zero page was mapped. The entry is locked while the
// tree lock is dropped for the unmapping, which sleeps.
void EntryGuard::remove_pmd_locked(lib::XaCursor& xas, Entry entry) {
  lock_entry(mapping_, xas, entry);
  if (entry.is_zero()) {
    mapping_.i_pages.lock().unlock();
    mm::unmap_mapping_range(mapping_, entry.base(index_), entry.pages(), /*even_cows=*/false);
    mapping_.i_pages.lock().lock();
  }
  // Reloaded: nobody but the lock's owner changes a locked entry.
  disassociate_entry(mapping_, entry, /*truncating=*/false);
  xas.reset();
  xas.store(lib::XEntry::null());
  trace_entry_write(mapping_, entry.base(index_), entry.locked(), Entry());
  wake_entry(mapping_, index_, entry, WakeMode::kAll);
  mapping_.nrexceptional -= historical(Bug::kReplaceCountsOne) ? 1 : entry.pages();
  xas.set(index_.value());
}

EntryGuard::~EntryGuard() {
  FS_BUG_ON(open_, "DE3", "the lock on the entry of page %llu of inode %u was never given back",
            static_cast<unsigned long long>(index_.value()), mapping_.host().ino().value());
}

Entry EntryGuard::store(lib::XaCursor& xas, Entry entry) {
  mapping_.i_pages.lock().assert_held();
  entry_ = entry;
  const Entry stored = locked_ ? entry.locked() : entry;
  const Entry old = entry_from_tree(xas.store(stored.to_tree()));
  trace_entry_write(mapping_, index_, old, stored);
  return old;
}

void EntryGuard::unlock(Site site) {
  open_ = false;
  if (locked_) {
    FS_TRACE_SCOPE("dax_unlock_entry", entry_ref(mapping_.host().ino(), index_));
    locked_ = false;
    FS_BUG_ON(entry_.is_locked(), "O4", "unlock would store a locked entry at page %llu of inode %u",
              static_cast<unsigned long long>(index_.value()), mapping_.host().ino().value());
    rt::SpinGuard tree(mapping_.i_pages.lock(), site);
    lib::XaCursor xas(mapping_.i_pages, index_.value(), entry_.order());
    const Entry old = entry_from_tree(xas.store(entry_.to_tree()));
    trace_entry_write(mapping_, entry_.base(index_), old, entry_);
    FS_BUG_ON(!old.is_locked(), "O4", about(entry_ref(mapping_.host().ino(), index_)),
              "unlock of page %llu of inode %u finds the entry unlocked",
              static_cast<unsigned long long>(index_.value()), mapping_.host().ino().value());
    wake_entry(mapping_, index_, entry_, WakeMode::kNext);
  }
  rt::rank_release(rt::Rank::kDaxEntry, entry_rank_object(mapping_, index_), site);
}

FrameLock::FrameLock(mm::Page& page, Site site) : pfn_(mm::page_pfn(page)) {
  FS_TRACE_SCOPE("dax_lock_page", frame_ref(pfn_));
  Attempt result = Attempt::kSlept;
  while (result == Attempt::kMoved || result == Attempt::kSlept) {
    const bool section = !historical(Bug::kFrameLockNoRcu);
    if (section) { rt::rcu_read_lock(site); }
    result = attempt(page);
    if (section && rt::rcu_read_lock_held()) { rt::rcu_read_unlock(site); }
  }
  if (locked()) { rt::rank_acquire(rt::Rank::kDaxEntry, entry_rank_object(*mapping_, index_), site); }
}

// One look at the frame, in an RCU read section, which it ends before it sleeps.
FrameLock::Attempt FrameLock::attempt(mm::Page& page) FS_NO_THREAD_SAFETY_ANALYSIS {  // of a tree that it looks up
  const rt::RcuBorrowed<mm::AddressSpace> found(mm::read_page_mapping(page));
  if (found.null() && !historical(Bug::kFrameMappingNull)) { return Attempt::kNobodys; }
  FS_BUG_ON(found.null(), "O13", about(frame_ref(pfn_)),
            "frame %llu has no file, and is asked whether it is a DAX file",
            static_cast<unsigned long long>(pfn_.value()));
  mm::AddressSpace& mapping = found.get();
  if (!mapping.dax()) { return Attempt::kNobodys; }
  mapping.i_pages.lock().lock();
  if (mm::page_mapping(page) != &mapping) {
    mapping.i_pages.lock().unlock();
    return Attempt::kMoved;
  }
  const PgOff index = page.index;
  lib::XaCursor xas(mapping.i_pages, index.value());
  const Entry entry = entry_from_tree(xas.load());
  trace_entry_read(mapping, entry.base(index), entry);
  if (entry.is_locked()) {
    // Not exclusive: this task may never take the lock, and would keep the wake-up from those that do.
    rt::WaitQueue& queue = page.memory->frame_waiters();
    rt::Waiter waiter(wait_key(index, entry), &mapping);
    queue.prepare_to_wait(waiter, /*exclusive=*/false);
    mapping.i_pages.lock().unlock();
    rt::rcu_read_unlock();
    rt::schedule();
    queue.finish_wait(waiter);
    return after_sleep(page, found, index, entry);
  }
  take(mapping, xas, index, entry);
  mapping.i_pages.lock().unlock();
  return Attempt::kLocked;
}

void FrameLock::take(mm::AddressSpace& mapping, lib::XaCursor& xas, PgOff index, Entry entry) {
  lock_entry(mapping, xas, entry);
  mapping_ = &mapping;
  index_ = index;
  entry_ = entry.unlocked();
}

// Nothing known before the sleep is touched: the inode may be gone. Each of the bugs took the tree's lock again.
FrameLock::Attempt FrameLock::after_sleep(mm::Page& page, const rt::RcuBorrowed<mm::AddressSpace>& before, PgOff index,
                                          Entry entry) FS_NO_THREAD_SAFETY_ANALYSIS {
  const bool relocks = historical(Bug::kFrameLockRetryLocked);
  if (historical(Bug::kFrameLockKeepsTree)) {
    rt::rcu_read_lock();
    before.get().i_pages.lock().lock();
  } else if (relocks || historical(Bug::kFrameLockStaleEntry)) {
    rt::rcu_read_lock();
    // In time to find the inode alive; the bugs are what follows.
    const rt::RcuBorrowed<mm::AddressSpace> now(mm::read_page_mapping(page));
    if (now.address() != before.address()) { return Attempt::kMoved; }
    now.get().i_pages.lock().lock();
    if (relocks) { return Attempt::kMoved; }
    lib::XaCursor xas(now.get().i_pages, index.value());
    take(now.get(), xas, index, entry);
    now.get().i_pages.lock().unlock();
    return Attempt::kLocked;
  }
  return Attempt::kSlept;
}

// What an unlock by frame stores: the word that the lock found.
Entry FrameLock::cookie(lib::XaCursor& xas) const {
  const Pfn own = entry_.pfn() + (index_ - entry_.base(index_));
  if (historical(Bug::kUnlockLosesPmd)) { return Entry::frame(own, 0); }
  if (historical(Bug::kUnlockWrongBase)) { return Entry::frame(own, entry_.order()); }
  if (historical(Bug::kUnlockStoresLocked)) { return entry_from_tree(xas.load()); }
  return entry_;
}

void FrameLock::unlock(Site site) FS_NO_THREAD_SAFETY_ANALYSIS {
  FS_TRACE_SCOPE("dax_unlock_page", entry_ref(mapping_->host().ino(), index_));
  mm::AddressSpace& mapping = *std::exchange(mapping_, nullptr);
  const rt::ObjectId rank = entry_rank_object(mapping, index_);
  {
    // The cursor has no order: a store takes the place of the whole entry, whatever its size.
    rt::SpinGuard tree(mapping.i_pages.lock(), site);
    lib::XaCursor xas(mapping.i_pages, index_.value());
    const Entry entry = cookie(xas);
    FS_BUG_ON(entry.is_locked(), "O4", about(entry_ref(mapping.host().ino(), index_)),
              "dax_unlock_page would store a locked entry at page %llu of inode %u",
              static_cast<unsigned long long>(index_.value()), mapping.host().ino().value());
    const Entry old = entry_from_tree(xas.store(entry.to_tree()));
    trace_entry_write(mapping, entry.base(index_), old, entry);
    FS_BUG_ON(!old.is_locked(), "O4", about(entry_ref(mapping.host().ino(), index_)),
              "dax_unlock_page of page %llu of inode %u finds the entry unlocked",
              static_cast<unsigned long long>(index_.value()), mapping.host().ino().value());
    wake_entry(mapping, index_, entry, WakeMode::kNext);
  }
  rt::rank_release(rt::Rank::kDaxEntry, rank, site);
}

FrameLock::~FrameLock() {
  FS_BUG_ON(locked(), "DE3", "the lock on the entry of page %llu, taken by its frame, was never given back",
            static_cast<unsigned long long>(index_.value()));
}

}  // namespace daxfs::dax
