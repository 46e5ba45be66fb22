// fs/ext4/inode_cache.h - one in-memory inode per number, counted users, eviction.
//
// Kernel: iget_locked/iput/evict (fs/inode.c), ext4_iget, ext4_evict_inode (fs/ext4/inode.c).
// Locking: the cache lock is a leaf spinlock; loading and evicting drop it; an inode on its way in or
// out is marked so and later comers wait.
// Invariants:
//   IC1  at most one Inode object per number is visible at any time.
//   IC2  at unmount no inode has users left.
//   IC3  a reference is put once.
// Tested by: fs/ext4/inode_test.cc.
#pragma once

#include <utility>
#include <vector>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/inode.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/wait_queue.h"

namespace daxfs::ext4 {

class InodeCache;

// One counted use of an inode; move-only. Must be released by put() on paths where eviction may run (it YIELDS);
// the destructor does the same.
class [[nodiscard]] InodeRef {
 public:
  InodeRef() = default;
  InodeRef(InodeRef&& other) noexcept : inode_(std::exchange(other.inode_, nullptr)) {}
  InodeRef& operator=(InodeRef&& other) noexcept {
    if (this != &other) {
      put();
      inode_ = std::exchange(other.inode_, nullptr);
    }
    return *this;
  }
  InodeRef(const InodeRef&) = delete;
  InodeRef& operator=(const InodeRef&) = delete;
  ~InodeRef() { put(); }

  explicit operator bool() const { return inode_ != nullptr; }
  Inode& operator*() const { return *inode_; }
  Inode* operator->() const { return inode_; }
  Inode* get() const { return inode_; }
  InodeRef dup() const;
  // Drops the use. YIELDS: the last put of an unlinked inode frees its blocks. REQUIRES: no inode lock held then.
  void put();
  // Takes over one count that the caller holds.
  static InodeRef adopt(Inode* inode) {
    InodeRef ref;
    ref.inode_ = inode;
    return ref;
  }

 private:
  Inode* inode_ = nullptr;
};

class InodeCache {
 public:
  explicit InodeCache(Volume& volume);
  InodeCache(const InodeCache&) = delete;
  InodeCache& operator=(const InodeCache&) = delete;
  ~InodeCache();

  // The inode, loaded from the table if it is not in memory. YIELDS.
  // Errors: kCorrupted (number out of range, checksum, deleted or unsupported inode), kIo.
  // `allow_unlinked`: also an inode without links, for the orphan list.
  Result<InodeRef> iget(Ino ino, bool allow_unlinked = false);

  // A fresh inode with a number of its own, written to the table; no name yet (links 0), an empty extent tree.
  // Errors: kNoSpc, kCorrupted, kIo. REQUIRES: `dir` locked exclusively. YIELDS.
  Result<InodeRef> create(jbd2::Handle& handle, Inode& dir, uint16_t mode);

  // A reference to every inode in memory, by number. YIELDS.
  std::vector<InodeRef> all();

  // Evicts unused inodes whose pages may go (kernel: drop_caches). YIELDS.
  void shrink();
  // Evicts everything at unmount; inodes still in use are a finding (IC2). YIELDS.
  void evict_all();
  // Visits every inode in memory, in order of inode number. Only at quiescence (audit).
  template <typename F>
  void for_each(F&& visit) {
    for (Inode* inode = first_; inode != nullptr; inode = inode->next_in_cache_) { visit(*inode); }
  }

 private:
  friend class InodeRef;

  enum class Lookup : uint8_t { kAbsent, kBusy, kFound };

  // kFound takes a reference.
  Lookup try_get(Ino ino, Inode** found, uint64_t* evictions);
  void put(Inode* inode);
  void evict(Inode* inode);
  Status delete_on_media(Inode& inode);
  // Sleeps until no object of this number is on its way in or out.
  void wait_busy(Ino ino);
  // Of an inode that is in the cache, and busy until it is checked. On failure it is gone.
  Status check_block_map(Inode* inode);
  Inode* take_unused();
  void remove_locked(Inode* inode) FS_REQUIRES(lock_);
  Inode* find_locked(Ino ino) FS_REQUIRES(lock_);
  void insert_locked(Inode* inode) FS_REQUIRES(lock_);

  Volume& volume_;
  rt::SpinLock lock_;
  rt::WaitQueue state_changed_;
  Inode* first_ = nullptr;  // sorted by number; a fuzzing run has a handful
  rt::Shared<uint64_t, "evictions"> evictions_ FS_GUARDED_BY(lock_) = 0;  // tells a loader that what it read may be old
};

}  // namespace daxfs::ext4
