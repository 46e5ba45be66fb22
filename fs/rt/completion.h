// fs/rt/completion.h - wait until somebody says it is done. Kernel: struct completion.
//
// Locking: complete() in any context; wait() may sleep.  Tested by: fs/rt/wait_test.cc.
#pragma once

#include "fs/rt/spinlock.h"
#include "fs/rt/wait_queue.h"

namespace daxfs::rt {

class Completion {
 public:
  explicit Completion(const char* name = "completion") : queue_(name), lock_(Rank::kNone, name) {}

  void wait(Site site = Site::current());          // YIELDS; consumes one complete()
  void complete(Site site = Site::current());      // YIELDS; lets one waiter through
  void complete_all(Site site = Site::current());  // YIELDS; lets every present and future waiter through
  bool done() const { return done_ != 0; }
  void reinit() { done_ = 0; }

 private:
  static constexpr uint32_t kAll = UINT32_MAX;
  WaitQueue queue_;
  SpinLock lock_;
  uint32_t done_ = 0;
};

}  // namespace daxfs::rt
