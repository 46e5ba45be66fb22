// fs/base/raw_lock.h - a few instructions of mutual exclusion for bookkeeping of the library
// itself.
//
// Pools and indices that the modelled kernel does not race on are no scheduling points. In the
// fiber engine this lock is never contended. Locking: innermost of all; never held across a
// scheduling point. Tested by: fs/jbd2/jbd2_test.cc, fs/mm/memory_test.cc under TSan with OS
// threads.
#pragma once

#include "fs/base/compiler.h"
#include "fs/base/happens_before.h"

namespace daxfs {

class FS_CAPABILITY("raw lock") RawLock {
 public:
  RawLock() { internal::order_begin(this); }
  void lock() FS_ACQUIRE() {
    while (__atomic_exchange_n(&held_, true, __ATOMIC_ACQUIRE)) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    internal::order_acquire(this);
  }
  void unlock() FS_RELEASE() {
    internal::order_release(this);
    __atomic_store_n(&held_, false, __ATOMIC_RELEASE);
  }

 private:
  bool held_ = false;
};

class FS_SCOPED_CAPABILITY RawGuard {
 public:
  explicit RawGuard(RawLock& lock) FS_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  RawGuard(const RawGuard&) = delete;
  RawGuard& operator=(const RawGuard&) = delete;
  ~RawGuard() FS_RELEASE() { lock_.unlock(); }

 private:
  RawLock& lock_;
};

}  // namespace daxfs
