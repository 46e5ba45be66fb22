// fs/rt/exclusive_lock.h - Mutex (mutex.h) and SpinLock (spinlock.h): one lock but for whether its holder may sleep.
//
// Hand-over is direct and first come, first served: the unlocking task gives the lock to the first waiter.
//
// Invariants: LD1 not taken in atomic context (Mutex); LD2 not recursive; LD3 rank order; LD4 unlocked only while
// locked; LD5 unlocked only by its owner.  Tested by: fs/rt/lock_test.cc, fs/rt/lockdep_test.cc.
#pragma once

#include "fs/rt/internal.h"

#if defined(DAXFS_RT_NATIVE)
#include <atomic>
#include <mutex>
#endif

namespace daxfs::rt {

enum class Holder : uint8_t { kMaySleep, kMayNotSleep };

template <Holder kHolder>
class FS_CAPABILITY("exclusive lock") ExclusiveLock {
 public:
  // `name` must outlive the lock; a string literal.
  explicit ExclusiveLock(Rank rank = Rank::kNone, const char* name = kName);
  ExclusiveLock(const ExclusiveLock&) = delete;
  ExclusiveLock& operator=(const ExclusiveLock&) = delete;

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
  static constexpr const char* kName = kHolder == Holder::kMaySleep ? "mutex" : "spinlock";
#if defined(DAXFS_RT_FIBER)
  FS_NOINLINE void lock_slow(unsigned subclass, Site site);
  FS_NOINLINE void unlock_slow();
  void note_held(unsigned subclass, Site site);  // by the current task
  internal::TaskCore* owner_ = nullptr;
  internal::LockQueue queue_;
  const char* name_;
  ObjectId object_;
  Rank rank_;
#else
  std::mutex mutex_;  // also of a spinlock: its holder may be descheduled by the host, so waiters sleep
  std::atomic<TaskId> owner_{kNoTask};
  static constexpr ObjectId object_ = 0;
#endif
};

// Holds the lock while it lives.
template <Holder kHolder>
class FS_SCOPED_CAPABILITY ExclusiveGuard {
 public:
  explicit ExclusiveGuard(ExclusiveLock<kHolder>& lock, Site site = Site::current()) FS_ACQUIRE(lock)
      : lock_(lock), site_(site) {
    lock.lock(site);
  }
  ExclusiveGuard(ExclusiveLock<kHolder>& lock, unsigned subclass, Site site = Site::current()) FS_ACQUIRE(lock)
      : lock_(lock), site_(site) {
    lock.lock_nested(subclass, site);
  }
  ExclusiveGuard(const ExclusiveGuard&) = delete;
  ExclusiveGuard& operator=(const ExclusiveGuard&) = delete;
  ~ExclusiveGuard() FS_RELEASE() { lock_.unlock(site_); }

 private:
  ExclusiveLock<kHolder>& lock_;
  Site site_;
};

#if defined(DAXFS_RT_FIBER)

template <Holder kHolder>
FS_NO_TSAN inline void ExclusiveLock<kHolder>::note_held(unsigned subclass, Site site) {
  constexpr bool kSleeps = kHolder == Holder::kMaySleep;
  if constexpr (!kSleeps) { ++internal::g_current->no_sleep; }
  constexpr internal::LockMode kMode = kSleeps ? internal::LockMode::kExclusive : internal::LockMode::kSpin;
  internal::push_held(this, object_, name_, site, rank_, subclass, kMode);
  internal::announce_acquire(this, name_);
}

template <Holder kHolder>
FS_NO_TSAN inline void ExclusiveLock<kHolder>::lock_nested(unsigned subclass, Site site) {
  if constexpr (kHolder == Holder::kMaySleep) { internal::check_may_sleep(site); }
  internal::check_rank(this, rank_, subclass, name_, site);
  point(PointKind::kLock, object_, site);
  if (__builtin_expect(owner_ != nullptr, 0)) {
    lock_slow(subclass, site);
    return;
  }
  owner_ = internal::g_current;
  note_held(subclass, site);
}

template <Holder kHolder>
FS_NO_TSAN inline bool ExclusiveLock<kHolder>::try_lock(Site site) {
  point(PointKind::kLock, object_, site);
  if (owner_ != nullptr) { return false; }
  owner_ = internal::g_current;
  note_held(0, site);
  return true;
}

template <Holder kHolder>
FS_NO_TSAN inline void ExclusiveLock<kHolder>::unlock(Site site) {
  if (__builtin_expect(owner_ != internal::g_current, 0) || !internal::pop_held(this)) {
    internal::report_not_held(name_, object_, owner_ == nullptr ? kNoTask : owner_->id, site);
    return;
  }
  if constexpr (kHolder == Holder::kMayNotSleep) { --owner_->no_sleep; }
  internal::announce_release(this, name_);
  owner_ = nullptr;
  if (__builtin_expect(!queue_.empty(), 0)) { unlock_slow(); }
  point(PointKind::kUnlock, object_, site);
}

template <Holder kHolder>
FS_NO_TSAN inline bool ExclusiveLock<kHolder>::held() const {
  return owner_ == internal::g_current;
}
template <Holder kHolder>
FS_NO_TSAN inline bool ExclusiveLock<kHolder>::is_locked() const {
  return owner_ != nullptr;
}
template <Holder kHolder>
FS_NO_TSAN inline void ExclusiveLock<kHolder>::assert_held(Site site) const {
  if (!held()) { internal::report_assert_held(name_, object_, site); }
}

extern template class ExclusiveLock<Holder::kMaySleep>;
extern template class ExclusiveLock<Holder::kMayNotSleep>;

#else

template <Holder kHolder>
inline ExclusiveLock<kHolder>::ExclusiveLock(Rank /*rank*/, const char* /*name*/) {}
template <Holder kHolder>
inline void ExclusiveLock<kHolder>::lock_nested(unsigned /*subclass*/, Site /*site*/) {
  mutex_.lock();
  owner_.store(current_task(), std::memory_order_relaxed);
}
template <Holder kHolder>
inline bool ExclusiveLock<kHolder>::try_lock(Site /*site*/) {
  if (!mutex_.try_lock()) { return false; }
  owner_.store(current_task(), std::memory_order_relaxed);
  return true;
}
template <Holder kHolder>
inline void ExclusiveLock<kHolder>::unlock(Site /*site*/) {
  owner_.store(kNoTask, std::memory_order_relaxed);
  mutex_.unlock();
}
template <Holder kHolder>
inline bool ExclusiveLock<kHolder>::held() const {
  return owner_.load(std::memory_order_relaxed) == current_task();
}
template <Holder kHolder>
inline bool ExclusiveLock<kHolder>::is_locked() const {
  return owner_.load(std::memory_order_relaxed) != kNoTask;
}
template <Holder kHolder>
inline void ExclusiveLock<kHolder>::assert_held(Site /*site*/) const {}

#endif

}  // namespace daxfs::rt
