// fs/rt/fiber/locks.cc - contended halves of the locks: queueing and hand-over.
#include "fs/rt/fiber/engine_state.h"
#include "fs/rt/mutex.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/trace.h"

namespace daxfs::rt {

using internal::g_current;
using internal::LockMode;
using internal::LockWaiter;

namespace {

FS_NO_TSAN internal::Task* task_of(const LockWaiter* waiter) { return static_cast<internal::Task*>(waiter->task); }

}  // namespace

template <Holder kHolder>
ExclusiveLock<kHolder>::ExclusiveLock(Rank rank, const char* name)
    : name_(name), object_(new_object_id(ObjectClass::kLock)), rank_(rank) {
  daxfs::internal::order_begin(this);
  if constexpr (kHolder == Holder::kMaySleep) {
    FS_TRACE_NAME(lock_ref(object_), name);
  } else {
    FS_TRACE_NAME(ObjectRef{Noun::kSpinLock, object_}, name);
  }
}

template <Holder kHolder>
FS_NO_TSAN void ExclusiveLock<kHolder>::lock_slow(unsigned subclass, Site site) {
  if (owner_ == g_current) { internal::report_recursion(this, name_, site); }
  LockWaiter waiter;
  waiter.task = g_current;
  queue_.push(&waiter);
  internal::block_on_lock(this, object_, name_, site);
  note_held(subclass, site);  // the unlocking task made us the owner
}

template <Holder kHolder>
FS_NO_TSAN void ExclusiveLock<kHolder>::unlock_slow() {
  LockWaiter* waiter = queue_.pop();
  owner_ = waiter->task;
  internal::make_runnable(task_of(waiter));
}

template class ExclusiveLock<Holder::kMaySleep>;
template class ExclusiveLock<Holder::kMayNotSleep>;

RwSem::RwSem(Rank rank, const char* name) : rank_(rank), name_(name), object_(new_object_id(ObjectClass::kLock)) {
  daxfs::internal::order_begin(this);
  daxfs::internal::order_begin(&readers_);
  FS_TRACE_NAME(lock_ref(object_), name);
}

FS_NO_TSAN void RwSem::down_read_slow(unsigned subclass, Site site) {
  LockWaiter waiter;
  waiter.task = g_current;
  waiter.exclusive = false;
  queue_.push(&waiter);
  internal::block_on_lock(this, object_, name_, site);
  internal::push_held(this, object_, name_, site, rank_, subclass, LockMode::kShared);
  internal::announce_acquire(this, name_);
}

FS_NO_TSAN void RwSem::down_write_slow(unsigned subclass, Site site) {
  LockWaiter waiter;
  waiter.task = g_current;
  queue_.push(&waiter);
  internal::block_on_lock(this, object_, name_, site);
  internal::push_held(this, object_, name_, site, rank_, subclass, LockMode::kExclusive);
  announce_exclusive();
}

FS_NO_TSAN void RwSem::grant_queued() {
  while (!queue_.empty()) {
    if (queue_.head->exclusive) {
      if (readers_ == 0) {
        LockWaiter* waiter = queue_.pop();
        writer_ = waiter->task;
        internal::make_runnable(task_of(waiter));
      }
      return;
    }
    LockWaiter* waiter = queue_.pop();
    ++readers_;
    internal::make_runnable(task_of(waiter));
  }
}

FS_NO_TSAN void RwSem::downgrade_write(Site site) {
  if (writer_ != g_current) {
    internal::report_not_held(name_, object_, writer_ == nullptr ? kNoTask : writer_->id, site);
    return;
  }
  for (unsigned i = 0; i < g_current->held_count; ++i) {
    if (g_current->held[i].lock == this) { g_current->held[i].mode = LockMode::kShared; }
  }
  internal::announce_release(this, name_);
  writer_ = nullptr;
  readers_ = 1;
  grant_queued();
  point(PointKind::kUnlock, object_, site);
}

}  // namespace daxfs::rt
