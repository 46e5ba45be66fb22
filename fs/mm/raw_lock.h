// fs/mm/raw_lock.h - a few instructions of mutual exclusion for pools of the simulator itself.
//
// Frame and table pools, and the order in which they hand things out, are not state that the
// modelled kernel races on, so taking this lock is no scheduling point. In the fiber engine it is
// never contended.
//
// Locking: innermost of all; never held across a point or a call out of mm.
#pragma once

#include "fs/base/compiler.h"

namespace daxfs::mm {

class FS_CAPABILITY("raw lock") RawLock {
 public:
  void lock() FS_ACQUIRE() {
    while (__atomic_exchange_n(&held_, true, __ATOMIC_ACQUIRE)) {
      pause();
    }
  }
  void unlock() FS_RELEASE() { __atomic_store_n(&held_, false, __ATOMIC_RELEASE); }

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

 private:
  bool held_ = false;
};

class FS_SCOPED_CAPABILITY RawLockGuard {
 public:
  explicit RawLockGuard(RawLock& lock) FS_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  ~RawLockGuard() FS_RELEASE() { lock_.unlock(); }
  RawLockGuard(const RawLockGuard&) = delete;
  RawLockGuard& operator=(const RawLockGuard&) = delete;

 private:
  RawLock& lock_;
};

}  // namespace daxfs::mm
