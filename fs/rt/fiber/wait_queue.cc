// fs/rt/fiber/wait_queue.cc - wait queues of the fiber flavour. Kernel: kernel/sched/wait.c.
#include "fs/rt/wait_queue.h"

#include "fs/rt/fiber/engine_state.h"
#include "fs/rt/step.h"
#include "fs/rt/trace.h"

namespace daxfs::rt {

using internal::g_current;
using internal::Task;

WaitQueue::WaitQueue(const char* name) : name_(name), object_(new_object_id(ObjectClass::kWaitQueue)) {
  daxfs::internal::order_begin(this);
  FS_TRACE_NAME(wait_ref(object_), name);
}
WaitQueue::WaitQueue(const char* name, ObjectId object) : name_(name), object_(object) {
  daxfs::internal::order_begin(this);
}

FS_NO_TSAN bool Waiter::matches(uint64_t key, const void* owner) const {
  if (wake_function_ != nullptr) { return wake_function_(*this, key, owner); }
  if (key == 0 && owner == nullptr) { return true; }
  if (key_ == 0 && owner_ == nullptr) { return true; }
  return key_ == key && owner_ == owner;
}

FS_NO_TSAN void WaitQueue::link(Waiter& waiter, bool exclusive) {
  waiter.queue_ = this;
  waiter.exclusive_ = exclusive;
  waiter.task_ = g_current;
  if (head_ == nullptr) {
    waiter.next_ = waiter.prev_ = nullptr;
    head_ = tail_ = &waiter;
  } else if (exclusive) {
    waiter.next_ = nullptr;
    waiter.prev_ = tail_;
    tail_->next_ = &waiter;
    tail_ = &waiter;
  } else {
    waiter.prev_ = nullptr;
    waiter.next_ = head_;
    head_->prev_ = &waiter;
    head_ = &waiter;
  }
}

FS_NO_TSAN void WaitQueue::unlink(Waiter& waiter) {
  (waiter.prev_ == nullptr ? head_ : waiter.prev_->next_) = waiter.next_;
  (waiter.next_ == nullptr ? tail_ : waiter.next_->prev_) = waiter.prev_;
  waiter.queue_ = nullptr;
}

FS_NO_TSAN void WaitQueue::prepare_to_wait(Waiter& waiter, bool exclusive, Site site) {
  point(PointKind::kWait, object_, site);
  internal::announce_acquire(this);
  if (waiter.queue_ == nullptr) { link(waiter, exclusive); }
  Task* task = internal::current();
  task->sleep_intent = true;
  task->wait_object = object_;
  task->wait_name = name_;
  task->wait_site = site;
  internal::announce_release(this);
}

FS_NO_TSAN void WaitQueue::finish_wait(Waiter& waiter, Site site) {
  internal::current()->sleep_intent = false;
  point(PointKind::kWait, object_, site);
  internal::announce_acquire(this);
  if (waiter.queue_ != nullptr) { unlink(waiter); }
  internal::announce_release(this);
}

FS_NO_TSAN unsigned WaitQueue::wake(unsigned nr_exclusive, uint64_t key, const void* owner, Site site) {
  unsigned woken = 0;
  // The queue may die with its last waiter: nothing of it is touched after the point.
  const ObjectId object = object_;
  internal::announce_acquire(this);
  internal::announce_release(this);
  for (Waiter* waiter = head_; waiter != nullptr;) {
    Waiter* next = waiter->next_;
    if (waiter->matches(key, owner)) {
      Task* task = static_cast<Task*>(waiter->task_);
      const bool exclusive = waiter->exclusive_;
      unlink(*waiter);
      task->sleep_intent = false;
      if (task->state == internal::TaskState::kBlocked && task->reason == internal::BlockReason::kWaitQueue) {
        internal::make_runnable(task);
      }
      ++woken;
      if (exclusive && nr_exclusive != 0 && --nr_exclusive == 0) { break; }
    }
    waiter = next;
  }
  point(PointKind::kWake, object, site);
  return woken;
}

FS_NO_TSAN bool WaitQueue::has_waiters() const {
  also(PointKind::kAtomicLoad, object_);
  return head_ != nullptr;
}

FS_NO_TSAN void schedule(Site site) {
  internal::check_may_sleep(site);
  Task* task = internal::current();
  if (!task->sleep_intent) {
    point(PointKind::kWait, task->wait_object, site);
    return;
  }
  task->wait_site = site;
  internal::block_current(internal::BlockReason::kWaitQueue, PointKind::kWait);
}

}  // namespace daxfs::rt
