// fs/rt/completion.cc - completions over a wait queue; the lock makes the last complete() safe against a waiter that
// frees the completion as soon as it returns.
#include "fs/rt/completion.h"

namespace daxfs::rt {

void Completion::wait(Site site) {
  might_sleep(site);
  Waiter waiter;
  for (;;) {
    queue_.prepare_to_wait(waiter, true, site);
    {
      const SpinGuard guard(lock_, site);
      if (done_ != 0) {
        if (done_ != kAll) { --done_; }
        break;
      }
    }
    schedule(site);
  }
  queue_.finish_wait(waiter, site);
}

void Completion::complete(Site site) {
  const SpinGuard guard(lock_, site);
  if (done_ != kAll) { ++done_; }
  queue_.wake(1, 0, nullptr, site);
}

void Completion::complete_all(Site site) {
  const SpinGuard guard(lock_, site);
  done_ = kAll;
  queue_.wake_all(0, nullptr, site);
}

}  // namespace daxfs::rt
