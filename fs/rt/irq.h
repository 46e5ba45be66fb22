// fs/rt/irq.h - interrupts: callbacks in a context that may not sleep, at a moment the schedule chooses.
//
// Each raised interrupt is a system task of its own that is runnable at once; two pending ones run in either order.
// Outside a run the callback runs before raise_irq returns.
//
// Locking: any context.  Tested by: fs/rt/system_task_test.cc.
#pragma once

#include "fs/rt/task.h"

namespace daxfs::rt {

// At most 31 interrupts may be pending at a time (a bio each): whoever may sleep waits for one to end; in atomic
// context that is a harness verdict. YIELDS.
void raise_irq(void (*callback)(void*), void* arg, Site site = Site::current());

}  // namespace daxfs::rt
