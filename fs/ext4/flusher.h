// fs/ext4/flusher.h - Flusher: a task that writes dirty pages by itself, those of the longest dirty inode first.
//
// With the mount option flush=N. It is woken with each call and runs when the schedule lets it, so it can strike at any
// event of the others; each time it writes N pages, and goes on where it stopped. It waits for no page that is being
// written, and for no end of what it began: that is for who wants it on the medium (fsync, sync, truncate).
//
// It holds no reference to the inode it writes. The inode is marked kSync meanwhile, and who takes an inode out of
// memory waits for the mark to go, behind which nobody puts it on the list again.
//
// Kernel: fs/fs-writeback.c (wb_workfn, writeback_sb_inodes, __mark_inode_dirty, requeue_inode,
//   inode_wait_for_writeback, inode_io_list_del); wb->b_dirty, I_DIRTY_PAGES, I_SYNC, I_FREEING.
// Locking: lock_ (leaf; kernel: wb->list_lock and i_lock, which are one here) guards the list and WritebackState.
//   note_dirty in any context, also for an inode of which RCU keeps nothing but the memory.
// Invariants:
//   FL1  an inode leaves memory when the flusher neither has it on its list nor writes it.
//   FL2  at rest a file with a dirty page is on the list.
// Not covered: dirty metadata, which is written when its handle stops; limits of dirty pages; inodes' ages.
// Tested by: fs/check/flusher_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/compiler.h"
#include "fs/base/types.h"
#include "fs/ext4/writeback_state.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/wait_queue.h"
#include "fs/rt/workqueue.h"

namespace daxfs::ext4 {

class Inode;

class Flusher {
 public:
  explicit Flusher(uint32_t pages) : pages_(pages) {}
  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

  void wake() { queue_.queue(work_); }  // YIELDS
  // Until it is done with what it was woken for. May sleep. YIELDS.
  void stop() {
    if (!queue_.idle()) { queue_.flush(); }
  }

  // Of files without DAX; the marks of others are those of their entries.
  // A page of the file became dirty; its tree's DIRTY mark is set. YIELDS.
  void note_dirty(Inode& inode);
  // For fsync, behind the data: until the flusher is done with the inode; a clean one leaves the list. May sleep.
  // YIELDS. Kernel: writeback_single_inode, of WB_SYNC_ALL.
  void sync_inode(Inode& inode);
  // Before the inode leaves memory: it is taken off the list for good, and not being written when this returns. May
  // sleep. YIELDS.
  void forget(Inode& inode);

  // For auditors and assertions: on the list; marked kSync. Not a scheduling point.
  bool listed(const Inode& inode) const;
  bool writing(const Inode& inode) const;

 private:
  static void run_work(void* self) { static_cast<Flusher*>(self)->run(); }
  void run();
  // The oldest, marked kSync and off the list; null if there is none.
  Inode* take_oldest();
  void finish(Inode& inode);
  size_t count();
  void append_locked(Inode& inode) FS_REQUIRES(lock_);
  void remove_locked(Inode& inode) FS_REQUIRES(lock_);
  // On the list if a page is dirty, off it if none is.
  void requeue_locked(Inode& inode) FS_REQUIRES(lock_);

  const uint32_t pages_;
  mutable rt::SpinLock lock_{rt::Rank::kLeaf, "wb list_lock"};
  rt::Shared<Inode*, "b_dirty"> first_ FS_GUARDED_BY(lock_) = nullptr;
  rt::WaitQueue done_{"i_state sync"};
  rt::Workqueue queue_{"flush"};
  rt::Work work_{&Flusher::run_work, this};
};

}  // namespace daxfs::ext4
