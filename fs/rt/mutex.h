// fs/rt/mutex.h - sleeping exclusive lock. Kernel: struct mutex.
//
// Invariants: LD1..LD5: exclusive_lock.h.  Tested by: fs/rt/lock_test.cc, fs/rt/lockdep_test.cc.
#pragma once

#include "fs/rt/exclusive_lock.h"

namespace daxfs::rt {

using Mutex = ExclusiveLock<Holder::kMaySleep>;
using MutexLock = ExclusiveGuard<Holder::kMaySleep>;

}  // namespace daxfs::rt
