// fs/dax/entry_lock.h - the lock bit of a DAX entry: serialises faults, writeback and truncate of
// one page.
//
// The bit lives in the entry's word, which only changes under the tree lock. Who finds it set
// sleeps on the mapping's wait queue under the key of the entry's first index, as an exclusive
// waiter: an unlock wakes one of them, and who does not take the lock after all passes the wake-up
// on (put_unlocked_entry). When an entry goes away all waiters wake and look again.
//
// Kernel: fs/dax.c (get_unlocked_entry, put_unlocked_entry, dax_wake_entry, dax_lock_entry,
// dax_unlock_entry,
//   grab_mapping_entry).
// Locking: rank kDaxEntry; inside the journal handle, outside i_data_sem.
// Invariants:
//   O4   unlock finds the entry locked by this task, and never stores a locked word.
//   DE2  the tree of a DAX file holds nothing but DAX entries.
//   DE3  every grabbed entry is unlocked, by name.
// Tested by: fs/dax/entry_test.cc.
#pragma once

#include <utility>

#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/dax/entry.h"
#include "fs/lib/xarray.h"
#include "fs/mm/address_space.h"
#include "fs/rt/lock_rank.h"
#include "fs/rt/rcu.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
struct Page;
}

namespace daxfs::dax {

enum class WakeMode : uint8_t {
  kNext,  // the entry stays: one waiter may take it
  kAll,   // the entry changed or is gone: everybody looks again
};

// What a search under the tree lock met.
struct FoundEntry {
  Entry entry;            // unlocked; none() if there is nothing
  bool conflict = false;  // an entry of a smaller order is in the way; `entry` is none() then
};

// What a tracer hears of an entry (fs/rt/trace.h).
inline void trace_entry_read(mm::AddressSpace& mapping, PgOff index, Entry entry) {
  FS_TRACE_READ(entry_ref(mapping.host().ino(), index), entry.trace_value());
}
inline void trace_entry_write(mm::AddressSpace& mapping, PgOff index, Entry before, Entry now) {
  FS_TRACE_WRITE(entry_ref(mapping.host().ino(), index), before.trace_value(), now.trace_value());
}

// All of these: tree lock held, `xas` belongs to `mapping`.
// The unlocked entry in the cursor's range, waiting for its lock if necessary: the tree lock is
// dropped meanwhile, and everything known from before is stale. With a found entry the caller locks
// it, or owes put_unlocked_entry. YIELDS.
FoundEntry get_unlocked_entry(mm::AddressSpace& mapping, lib::XaCursor& xas, unsigned order = 0)
    FS_REQUIRES(mapping.i_pages.lock());
void put_unlocked_entry(mm::AddressSpace& mapping, PgOff index, Entry entry, WakeMode mode = WakeMode::kNext)
    FS_REQUIRES(mapping.i_pages.lock());
// Stores the entry with its lock bit set; returns what was there.
Entry lock_entry(mm::AddressSpace& mapping, lib::XaCursor& xas, Entry entry) FS_REQUIRES(mapping.i_pages.lock());
// Wakes waiters of `entry` at `index`. Any context.
void wake_entry(mm::AddressSpace& mapping, PgOff index, Entry entry, WakeMode mode);

// The lock order's view of a task that holds, or may wait for, entry locks of a mapping.
// Pseudo-lock.
rt::ObjectId entry_rank_object(mm::AddressSpace& mapping, PgOff index);
class EntryRank {
 public:
  EntryRank(mm::AddressSpace& mapping, PgOff index, Site site = Site::current())
      : object_(entry_rank_object(mapping, index)) {
    rt::rank_acquire(rt::Rank::kDaxEntry, object_, site);
  }
  EntryRank(const EntryRank&) = delete;
  EntryRank& operator=(const EntryRank&) = delete;
  ~EntryRank() { rt::rank_release(rt::Rank::kDaxEntry, object_); }

 private:
  rt::ObjectId object_;
};

// The right to a locked entry: knows the value that unlock() restores. Lives on one task's stack.
class [[nodiscard]] EntryGuard {
 public:
  // Locks the entry that covers `index`; makes an EMPTY one of `order` if there is none. A 2 MiB
  // zero or empty entry in the way of a single page is unmapped and removed first. *conflict:
  // single pages are in the way of `order`, nothing is locked. YIELDS.
  EntryGuard(mm::AddressSpace& mapping, PgOff index, unsigned order, bool* conflict, Site site = Site::current());
  EntryGuard(const EntryGuard&) = delete;
  EntryGuard& operator=(const EntryGuard&) = delete;
  ~EntryGuard();  // asserts DE3

  mm::AddressSpace& mapping() const { return mapping_; }
  PgOff index() const { return index_; }
  Entry entry() const { return entry_; }  // without the lock bit
  // False in runs with kFaultWithoutEntryLock: the tree may have changed since.
  bool locked() const { return locked_; }

  // Replaces the entry under its lock. REQUIRES: tree lock held, same order. Returns what the tree
  // held.
  Entry store(lib::XaCursor& xas, Entry entry);
  // Gives the entry back and wakes the next waiter. YIELDS.
  void unlock(Site site = Site::current());

 private:
  bool acquire(unsigned order);
  void remove_pmd_locked(lib::XaCursor& xas, Entry entry) FS_REQUIRES(mapping_.i_pages.lock());

  mm::AddressSpace& mapping_;
  PgOff index_;
  Entry entry_;
  bool open_ = false;  // unlock() is still owed
  bool locked_ = false;
};

// The lock on the entry that holds a frame, taken by who has nothing but the frame: no inode, no index, no promise that
// either lives on. Lives on one task's stack.
//
// page->mapping says which tree to look at. RCU keeps that inode's memory while the tree lock is taken, under which the
// frame is asked again: it may have left the file, or belong to another one. If the entry is locked the read section
// ends before the task sleeps; then the inode may go, so that after the sleep nothing known before is touched: not the
// tree, nor its queue. It starts over from the frame. A lock on any page of a huge entry is the lock on all of it.
// Kernel: dax_lock_page, dax_unlock_page, wait_entry_unlocked.
class [[nodiscard]] FrameLock {
 public:
  // YIELDS; sleeps. Not from atomic context.
  explicit FrameLock(mm::Page& page, Site site = Site::current());
  FrameLock(const FrameLock&) = delete;
  FrameLock& operator=(const FrameLock&) = delete;
  ~FrameLock();  // asserts DE3

  // False: no DAX file's entry holds the frame; there is nothing to unlock.
  bool locked() const { return mapping_ != nullptr; }
  // REQUIRES of these: locked(). The inode lives until unlock(), as its eviction waits for the entry.
  mm::AddressSpace& mapping() const { return *mapping_; }
  PgOff index() const { return index_; }  // of the frame's page
  Entry entry() const { return entry_; }  // without the lock bit: the cookie that unlock() stores again
  void unlock(Site site = Site::current());

 private:
  enum class Attempt : uint8_t { kLocked, kNobodys, kMoved, kSlept };
  Attempt attempt(mm::Page& page);
  Attempt after_sleep(mm::Page& page, const rt::RcuBorrowed<mm::AddressSpace>& before, PgOff index, Entry entry);
  void take(mm::AddressSpace& mapping, lib::XaCursor& xas, PgOff index, Entry entry)
      FS_REQUIRES(mapping.i_pages.lock());
  Entry cookie(lib::XaCursor& xas) const;

  Pfn pfn_;
  mm::AddressSpace* mapping_ = nullptr;
  PgOff index_{0};
  Entry entry_;
};

}  // namespace daxfs::dax
