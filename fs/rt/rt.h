// fs/rt/rt.h - the whole seam, for code that uses most of it.
// Tested by: ci/package_test, which compiles it from an installed tree.
#pragma once

#include "fs/rt/atomic.h"
#include "fs/rt/clock.h"
#include "fs/rt/completion.h"
#include "fs/rt/irq.h"
#include "fs/rt/lock_rank.h"
#include "fs/rt/mutex.h"
#include "fs/rt/point.h"
#include "fs/rt/rcu.h"
#include "fs/rt/refcount.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/task.h"
#include "fs/rt/wait_queue.h"
#include "fs/rt/workqueue.h"
