// fs/rt/mutex.h - sleeping exclusive lock. Kernel: struct mutex.
//
// Hand-over is direct and first come, first served: the unlocking task gives the lock to the first waiter.
//
// Invariants: LD1 not taken in atomic context; LD2 not recursive; LD3 rank order; LD4 unlocked only while locked;
// LD5 unlocked only by its owner.  Tested by: fs/rt/lock_test.cc, fs/rt/lockdep_test.cc.
#pragma once

#include "fs/rt/internal.h"

#if defined(DAXFS_RT_NATIVE)
#include <atomic>
#include <mutex>
#endif

namespace daxfs::rt {

class FS_CAPABILITY("mutex") Mutex {
 public:
  // `name` must outlive the lock; a string literal.
  explicit Mutex(Rank rank = Rank::kNone, const char* name = "mutex");
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock(Site site = Site::current()) FS_ACQUIRE() { lock_nested(0, site); }  // YIELDS
  // A second lock of the same rank: `subclass` must grow.
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
  std::mutex mutex_;
  std::atomic<TaskId> owner_{kNoTask};
  static constexpr ObjectId object_ = 0;
#endif
};

class FS_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex, Site site = Site::current()) FS_ACQUIRE(mutex) : mutex_(mutex), site_(site) {
    mutex.lock(site);
  }
  MutexLock(Mutex& mutex, unsigned subclass, Site site = Site::current()) FS_ACQUIRE(mutex)
      : mutex_(mutex), site_(site) {
    mutex.lock_nested(subclass, site);
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() FS_RELEASE() { mutex_.unlock(site_); }

 private:
  Mutex& mutex_;
  Site site_;
};

#if defined(DAXFS_RT_FIBER)

FS_NO_TSAN inline void Mutex::lock_nested(unsigned subclass, Site site) {
  internal::check_may_sleep(site);
  internal::check_rank(this, rank_, subclass, name_, site);
  point(PointKind::kLock, object_, site);
  if (__builtin_expect(owner_ != nullptr, 0)) {
    lock_slow(subclass, site);
    return;
  }
  owner_ = internal::g_current;
  internal::push_held(this, object_, name_, site, rank_, subclass, internal::LockMode::kExclusive);
  internal::announce_acquire(this);
}

FS_NO_TSAN inline bool Mutex::try_lock(Site site) {
  point(PointKind::kLock, object_, site);
  if (owner_ != nullptr) { return false; }
  owner_ = internal::g_current;
  internal::push_held(this, object_, name_, site, rank_, 0, internal::LockMode::kExclusive);
  internal::announce_acquire(this);
  return true;
}

FS_NO_TSAN inline void Mutex::unlock(Site site) {
  if (__builtin_expect(owner_ != internal::g_current, 0) || !internal::pop_held(this)) {
    internal::report_not_held(this, name_, owner_ == nullptr ? kNoTask : owner_->id, site);
    return;
  }
  internal::announce_release(this);
  owner_ = nullptr;
  if (__builtin_expect(!queue_.empty(), 0)) { unlock_slow(site); }
  point(PointKind::kUnlock, object_, site);
}

FS_NO_TSAN inline bool Mutex::held() const { return owner_ == internal::g_current; }
FS_NO_TSAN inline bool Mutex::is_locked() const { return owner_ != nullptr; }
FS_NO_TSAN inline void Mutex::assert_held(Site site) const {
  if (!held()) { internal::report_assert_held(name_, site); }
}

#else

inline Mutex::Mutex(Rank /*rank*/, const char* /*name*/) {}
inline void Mutex::lock_nested(unsigned /*subclass*/, Site /*site*/) {
  mutex_.lock();
  owner_.store(current_task(), std::memory_order_relaxed);
}
inline bool Mutex::try_lock(Site /*site*/) {
  if (!mutex_.try_lock()) { return false; }
  owner_.store(current_task(), std::memory_order_relaxed);
  return true;
}
inline void Mutex::unlock(Site /*site*/) {
  owner_.store(kNoTask, std::memory_order_relaxed);
  mutex_.unlock();
}
inline bool Mutex::held() const { return owner_.load(std::memory_order_relaxed) == current_task(); }
inline bool Mutex::is_locked() const { return owner_.load(std::memory_order_relaxed) != kNoTask; }
inline void Mutex::assert_held(Site /*site*/) const {}

#endif

}  // namespace daxfs::rt
