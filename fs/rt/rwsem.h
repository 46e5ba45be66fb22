// fs/rt/rwsem.h - sleeping reader-writer lock. Kernel: struct rw_semaphore.
//
// Fair: a queued writer blocks later readers, so a task that reads recursively can deadlock; recursion is a verdict
// (LD2) even when nobody is queued. Hand-over is direct: a released lock goes to the first writer, or to all readers
// at the front of the queue.
//
// Invariants: LD1..LD5 as for Mutex.  Tested by: fs/rt/lock_test.cc, fs/rt/lockdep_test.cc.
#pragma once

#include "fs/rt/internal.h"

#if defined(DAXFS_RT_NATIVE)
#include <atomic>
#include <condition_variable>
#include <mutex>
#endif

namespace daxfs::rt {

class FS_CAPABILITY("rwsem") RwSem {
 public:
  explicit RwSem(Rank rank = Rank::kNone, const char* name = "rwsem");
  RwSem(const RwSem&) = delete;
  RwSem& operator=(const RwSem&) = delete;

  void down_read(Site site = Site::current()) FS_ACQUIRE_SHARED() { down_read_nested(0, site); }  // YIELDS
  void down_read_nested(unsigned subclass, Site site = Site::current()) FS_ACQUIRE_SHARED();      // YIELDS
  bool try_down_read(Site site = Site::current()) FS_TRY_ACQUIRE_SHARED(true);                    // YIELDS
  void up_read(Site site = Site::current()) FS_RELEASE_SHARED();                                  // YIELDS

  void down_write(Site site = Site::current()) FS_ACQUIRE() { down_write_nested(0, site); }  // YIELDS
  void down_write_nested(unsigned subclass, Site site = Site::current()) FS_ACQUIRE();       // YIELDS
  bool try_down_write(Site site = Site::current()) FS_TRY_ACQUIRE(true);                     // YIELDS
  void up_write(Site site = Site::current()) FS_RELEASE();                                   // YIELDS

  // The writer becomes a reader; queued readers may enter. Thread-safety analysis cannot follow it.
  void downgrade_write(Site site = Site::current()) FS_NO_THREAD_SAFETY_ANALYSIS;  // YIELDS

  bool held_read() const;   // by the current task, for reading (fiber: exact; native: by anyone)
  bool held_write() const;  // by the current task
  bool held() const { return held_read() || held_write(); }
  bool is_locked() const;
  void assert_held_read(Site site = Site::current()) const FS_ASSERT_SHARED_CAPABILITY(this);  // or write
  void assert_held_write(Site site = Site::current()) const FS_ASSERT_CAPABILITY(this);
  ObjectId object() const { return object_; }

 private:
#if defined(DAXFS_RT_FIBER)
  FS_NOINLINE void down_read_slow(unsigned subclass, Site site);
  FS_NOINLINE void down_write_slow(unsigned subclass, Site site);
  FS_NOINLINE void grant_queued();  // REQUIRES: no writer
  void announce_exclusive();
  internal::TaskCore* writer_ = nullptr;
  uint32_t readers_ = 0;
  Rank rank_;
  internal::LockQueue queue_;
  const char* name_;
  ObjectId object_;
#else
  mutable std::mutex mutex_;
  std::condition_variable readable_;
  std::condition_variable writable_;
  int readers_ = 0;
  int writers_waiting_ = 0;
  std::atomic<TaskId> writer_{kNoTask};
  static constexpr ObjectId object_ = 0;
#endif
};

class FS_SCOPED_CAPABILITY ReadLock {
 public:
  explicit ReadLock(RwSem& sem, Site site = Site::current()) FS_ACQUIRE_SHARED(sem) : sem_(sem), site_(site) {
    sem.down_read(site);
  }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;
  ~ReadLock() FS_RELEASE_GENERIC() { sem_.up_read(site_); }

 private:
  RwSem& sem_;
  Site site_;
};

class FS_SCOPED_CAPABILITY WriteLock {
 public:
  explicit WriteLock(RwSem& sem, Site site = Site::current()) FS_ACQUIRE(sem) : sem_(sem), site_(site) {
    sem.down_write(site);
  }
  WriteLock(RwSem& sem, unsigned subclass, Site site = Site::current()) FS_ACQUIRE(sem) : sem_(sem), site_(site) {
    sem.down_write_nested(subclass, site);
  }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;
  ~WriteLock() FS_RELEASE() { sem_.up_write(site_); }

 private:
  RwSem& sem_;
  Site site_;
};

#if defined(DAXFS_RT_FIBER)

FS_NO_TSAN inline void RwSem::down_read_nested(unsigned subclass, Site site) {
  internal::check_may_sleep(site);
  if (__builtin_expect(readers_ != 0 || writer_ != nullptr, 0) && internal::find_held(this) != nullptr) {
    internal::report_recursion(this, name_, site);
  }
  internal::check_rank(this, rank_, subclass, name_, site);
  point(PointKind::kLock, object_, site);
  if (__builtin_expect(writer_ != nullptr || !queue_.empty(), 0)) {
    down_read_slow(subclass, site);
    return;
  }
  ++readers_;
  internal::push_held(this, object_, name_, site, rank_, subclass, internal::LockMode::kShared);
  internal::announce_acquire(this, name_);
}

FS_NO_TSAN inline bool RwSem::try_down_read(Site site) {
  point(PointKind::kLock, object_, site);
  if (writer_ != nullptr || !queue_.empty()) { return false; }
  if (readers_ != 0 && internal::find_held(this) != nullptr) { internal::report_recursion(this, name_, site); }
  ++readers_;
  internal::push_held(this, object_, name_, site, rank_, 0, internal::LockMode::kShared);
  internal::announce_acquire(this, name_);
  return true;
}

FS_NO_TSAN inline void RwSem::up_read(Site site) {
  if (__builtin_expect(readers_ == 0 || !internal::pop_held(this), 0)) {
    internal::report_not_held(name_, object_, writer_ == nullptr ? kNoTask : writer_->id, site);
    return;
  }
  internal::announce_release(&readers_, name_);
  if (--readers_ == 0 && __builtin_expect(!queue_.empty(), 0)) { grant_queued(); }
  point(PointKind::kUnlock, object_, site);
}

// Readers wait for writers, writers for both; readers are not ordered among each other.
FS_NO_TSAN inline void RwSem::announce_exclusive() {
  internal::announce_acquire(this, name_);
  internal::announce_acquire(&readers_, name_);
}

FS_NO_TSAN inline void RwSem::down_write_nested(unsigned subclass, Site site) {
  internal::check_may_sleep(site);
  if (__builtin_expect(readers_ != 0 || writer_ != nullptr, 0) && internal::find_held(this) != nullptr) {
    internal::report_recursion(this, name_, site);
  }
  internal::check_rank(this, rank_, subclass, name_, site);
  point(PointKind::kLock, object_, site);
  if (__builtin_expect(writer_ != nullptr || readers_ != 0 || !queue_.empty(), 0)) {
    down_write_slow(subclass, site);
    return;
  }
  writer_ = internal::g_current;
  internal::push_held(this, object_, name_, site, rank_, subclass, internal::LockMode::kExclusive);
  announce_exclusive();
}

FS_NO_TSAN inline bool RwSem::try_down_write(Site site) {
  point(PointKind::kLock, object_, site);
  if (writer_ != nullptr || readers_ != 0 || !queue_.empty()) { return false; }
  writer_ = internal::g_current;
  internal::push_held(this, object_, name_, site, rank_, 0, internal::LockMode::kExclusive);
  announce_exclusive();
  return true;
}

FS_NO_TSAN inline void RwSem::up_write(Site site) {
  if (__builtin_expect(writer_ != internal::g_current, 0) || !internal::pop_held(this)) {
    internal::report_not_held(name_, object_, writer_ == nullptr ? kNoTask : writer_->id, site);
    return;
  }
  internal::announce_release(this, name_);
  writer_ = nullptr;
  if (__builtin_expect(!queue_.empty(), 0)) { grant_queued(); }
  point(PointKind::kUnlock, object_, site);
}

FS_NO_TSAN inline bool RwSem::held_write() const { return writer_ == internal::g_current; }
FS_NO_TSAN inline bool RwSem::held_read() const {
  if (readers_ == 0) { return false; }
  return internal::find_held(this) != nullptr;
}
FS_NO_TSAN inline bool RwSem::is_locked() const { return writer_ != nullptr || readers_ != 0; }
FS_NO_TSAN inline void RwSem::assert_held_read(Site site) const {
  if (!held()) { internal::report_assert_held(name_, object_, site); }
}
FS_NO_TSAN inline void RwSem::assert_held_write(Site site) const {
  if (!held_write()) { internal::report_assert_held(name_, object_, site); }
}

#endif

}  // namespace daxfs::rt
