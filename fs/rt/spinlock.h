// fs/rt/spinlock.h - exclusive lock whose holder may not sleep. Kernel: spinlock_t.
//
// A contended spinlock parks the task (its CPU spins; the schedule has nothing to decide there). Usable in every
// context; interrupts run on a CPU of their own, so there is no irqsave variant.
//
// Invariants: LD1..LD5 as for Mutex.  Tested by: fs/rt/lock_test.cc, fs/rt/lockdep_test.cc.
#pragma once

#include "fs/rt/internal.h"

#if defined(DAXFS_RT_NATIVE)
#include <atomic>
#include <mutex>
#endif

namespace daxfs::rt {

class FS_CAPABILITY("spinlock") SpinLock {
 public:
  explicit SpinLock(Rank rank = Rank::kNone, const char* name = "spinlock");
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  void lock(Site site = Site::current()) FS_ACQUIRE() { lock_nested(0, site); }  // YIELDS
  void lock_nested(unsigned subclass, Site site = Site::current()) FS_ACQUIRE();  // YIELDS
  bool try_lock(Site site = Site::current()) FS_TRY_ACQUIRE(true);                // YIELDS
  void unlock(Site site = Site::current()) FS_RELEASE();                          // YIELDS

  bool held() const;  // by the current task
  bool is_locked() const;
  void assert_held(Site site = Site::current()) const FS_ASSERT_CAPABILITY(this);
  ObjectId object() const { return object_; }

 private:
#if defined(DAXFS_RT_FIBER)
  FS_NOINLINE void lock_slow(unsigned subclass, Site site);
  FS_NOINLINE void unlock_slow(Site site);
  internal::TaskCore* owner_ = nullptr;
  internal::LockQueue queue_;
  const char* name_;
  ObjectId object_;
  Rank rank_;
#else
  std::mutex mutex_;  // the holder may be descheduled by the host, so waiters sleep
  std::atomic<TaskId> owner_{kNoTask};
  static constexpr ObjectId object_ = 0;
#endif
};

class FS_SCOPED_CAPABILITY SpinGuard {
 public:
  explicit SpinGuard(SpinLock& lock, Site site = Site::current()) FS_ACQUIRE(lock) : lock_(lock), site_(site) {
    lock.lock(site);
  }
  SpinGuard(SpinLock& lock, unsigned subclass, Site site = Site::current()) FS_ACQUIRE(lock)
      : lock_(lock), site_(site) {
    lock.lock_nested(subclass, site);
  }
  SpinGuard(const SpinGuard&) = delete;
  SpinGuard& operator=(const SpinGuard&) = delete;
  ~SpinGuard() FS_RELEASE() { lock_.unlock(site_); }

 private:
  SpinLock& lock_;
  Site site_;
};

#if defined(DAXFS_RT_FIBER)

FS_NO_TSAN inline void SpinLock::lock_nested(unsigned subclass, Site site) {
  internal::check_rank(this, rank_, subclass, name_, site);
  point(PointKind::kLock, object_, site);
  if (__builtin_expect(owner_ != nullptr, 0)) {
    lock_slow(subclass, site);
    return;
  }
  owner_ = internal::g_current;
  ++owner_->no_sleep;
  internal::push_held(this, object_, name_, site, rank_, subclass, internal::LockMode::kSpin);
  internal::announce_acquire(this);
}

FS_NO_TSAN inline bool SpinLock::try_lock(Site site) {
  point(PointKind::kLock, object_, site);
  if (owner_ != nullptr) { return false; }
  owner_ = internal::g_current;
  ++owner_->no_sleep;
  internal::push_held(this, object_, name_, site, rank_, 0, internal::LockMode::kSpin);
  internal::announce_acquire(this);
  return true;
}

FS_NO_TSAN inline void SpinLock::unlock(Site site) {
  if (__builtin_expect(owner_ != internal::g_current, 0) || !internal::pop_held(this)) {
    internal::report_not_held(this, name_, owner_ == nullptr ? kNoTask : owner_->id, site);
    return;
  }
  --owner_->no_sleep;
  internal::announce_release(this);
  owner_ = nullptr;
  if (__builtin_expect(!queue_.empty(), 0)) { unlock_slow(site); }
  point(PointKind::kUnlock, object_, site);
}

FS_NO_TSAN inline bool SpinLock::held() const { return owner_ == internal::g_current; }
FS_NO_TSAN inline bool SpinLock::is_locked() const { return owner_ != nullptr; }
FS_NO_TSAN inline void SpinLock::assert_held(Site site) const {
  if (!held()) { internal::report_assert_held(name_, site); }
}

#else

inline SpinLock::SpinLock(Rank /*rank*/, const char* /*name*/) {}
inline void SpinLock::lock_nested(unsigned /*subclass*/, Site /*site*/) {
  mutex_.lock();
  owner_.store(current_task(), std::memory_order_relaxed);
}
inline bool SpinLock::try_lock(Site /*site*/) {
  if (!mutex_.try_lock()) { return false; }
  owner_.store(current_task(), std::memory_order_relaxed);
  return true;
}
inline void SpinLock::unlock(Site /*site*/) {
  owner_.store(kNoTask, std::memory_order_relaxed);
  mutex_.unlock();
}
inline bool SpinLock::held() const { return owner_.load(std::memory_order_relaxed) == current_task(); }
inline bool SpinLock::is_locked() const { return owner_.load(std::memory_order_relaxed) != kNoTask; }
inline void SpinLock::assert_held(Site /*site*/) const {}

#endif

}  // namespace daxfs::rt
