// fs/rt/spinlock.h - exclusive lock whose holder may not sleep. Kernel: spinlock_t.
//
// A contended spinlock parks the task (its CPU spins; the schedule has nothing to decide there). Usable in every
// context; interrupts run on a CPU of their own, so there is no irqsave variant.
//
// Invariants: LD2..LD5: exclusive_lock.h.  Tested by: fs/rt/lock_test.cc, fs/rt/lockdep_test.cc.
#pragma once

#include "fs/rt/exclusive_lock.h"

namespace daxfs::rt {

using SpinLock = ExclusiveLock<Holder::kMayNotSleep>;
using SpinGuard = ExclusiveGuard<Holder::kMayNotSleep>;

}  // namespace daxfs::rt
