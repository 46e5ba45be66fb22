// fs/rt/wait_queue.h - sleeping until somebody wakes. Kernel: wait_queue_head_t, prepare_to_wait, autoremove wake.
//
//   Waiter waiter;
//   for (;;) {
//     queue.prepare_to_wait(waiter, /*exclusive=*/false);
//     if (condition) { break; }
//     schedule();
//   }
//   queue.finish_wait(waiter);
//
// A wake-up takes the waiter off the queue and makes its task runnable; a wake-up between prepare_to_wait and
// schedule() makes schedule() return at once. Nothing else makes a task runnable: a lost wake-up is a deadlock verdict.
//
// Locking: wake may be called in any context. The queue's own lock is modelled as atomic with the call.
// Tested by: fs/rt/wait_test.cc.
#pragma once

#include "fs/rt/internal.h"

#if defined(DAXFS_RT_NATIVE)
#include <mutex>
#endif

namespace daxfs::rt {

class WaitQueue;
class Waiter;

// Decides whether a wake-up with (key, owner) is for `waiter`; only those that return true are dequeued, woken and
// counted. Runs inside wake(): must not block, and passes no points.
using WakeFunction = bool (*)(const Waiter& waiter, uint64_t key, const void* owner);

// One wait of one task; on its stack. With neither key nor owner it takes every wake-up; else those whose key and
// owner match (a wake-up without key and owner matches all).
class Waiter {
 public:
  explicit Waiter(uint64_t key = 0, const void* owner = nullptr, WakeFunction wake_function = nullptr)
      : key_(key), owner_(owner), wake_function_(wake_function) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  uint64_t key() const { return key_; }
  const void* owner() const { return owner_; }
  bool exclusive() const { return exclusive_; }
  // Still on the queue: no wake-up has taken it. Kernel: !list_empty(&wait->entry).
  bool queued() const { return queue_ != nullptr; }

 private:
  friend class WaitQueue;
  bool matches(uint64_t key, const void* owner) const;

  Waiter* next_ = nullptr;
  Waiter* prev_ = nullptr;
  WaitQueue* queue_ = nullptr;
  void* task_ = nullptr;
  uint64_t key_;
  const void* owner_;
  WakeFunction wake_function_;
  bool exclusive_ = false;
};

class WaitQueue {
 public:
  explicit WaitQueue(const char* name = "wait queue");
  WaitQueue(const char* name, ObjectId object);
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  // Queues the waiter if it is not queued (non-exclusive ones in front, exclusive ones behind) and marks the task as
  // about to sleep. YIELDS (before it queues).
  void prepare_to_wait(Waiter& waiter, bool exclusive = false, Site site = Site::current());
  // Marks the task running and dequeues. YIELDS.
  void finish_wait(Waiter& waiter, Site site = Site::current());

  // Wakes all matching non-exclusive waiters and up to nr_exclusive exclusive ones (0: all). Returns how many woke.
  // YIELDS (after).
  unsigned wake(unsigned nr_exclusive = 1, uint64_t key = 0, const void* owner = nullptr, Site site = Site::current());
  unsigned wake_all(uint64_t key = 0, const void* owner = nullptr, Site site = Site::current()) {
    return wake(0, key, owner, site);
  }

  bool has_waiters() const;  // Kernel: waitqueue_active
  ObjectId object() const { return object_; }
  const char* name() const { return name_; }

  // Sleeps until pred() holds; pred is evaluated after every wake-up. YIELDS; may sleep.
  template <typename Pred>
  void wait_event(Pred pred, Site site = Site::current()) {
    if (pred()) { return; }
    Waiter waiter;
    wait_event_loop(waiter, pred, site);
  }

 private:
  template <typename Pred>
  void wait_event_loop(Waiter& waiter, Pred& pred, Site site);
  void link(Waiter& waiter, bool exclusive);
  void unlink(Waiter& waiter);

  const char* name_;
  ObjectId object_;
  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
#if defined(DAXFS_RT_NATIVE)
  mutable std::mutex mutex_;
#endif
};

// Sleeps until woken, if the task has prepared to wait and no wake-up came since; else a mere point. Verdict LD1 in
// atomic context. YIELDS.
void schedule(Site site = Site::current());

template <typename Pred>
void WaitQueue::wait_event_loop(Waiter& waiter, Pred& pred, Site site) {
  for (;;) {
    prepare_to_wait(waiter, false, site);
    if (pred()) { break; }
    schedule(site);
  }
  finish_wait(waiter, site);
}

}  // namespace daxfs::rt
