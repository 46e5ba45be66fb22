// fs/rt/step.h - accesses without a point of their own, told to whoever reckons with what conflicts
// (fuzz/explore).
//
// Some accesses are no points: they make one step with the point before them, where the kernel has
// interrupts off, or where a sleeper that was woken goes on. Whoever leaves out runs because their
// steps commute must know of them all the same. Telling is no event: no anchor moves, and nobody
// else can run. Where two tasks may meet without it, tell it.
//
// Locking: any context.  Tested by: fs/rt/engine_test.cc, fuzz/tools/explore_subject_test.cc.
#pragma once

#include "fs/rt/point.h"
#include "fs/rt/task.h"

namespace daxfs::rt {

// Called on the engine's side, as a policy is (fs/rt/engine.h).
class StepWatcher {
 public:
  virtual ~StepWatcher() = default;
  virtual void also(TaskId task, PointKind kind, ObjectId object) = 0;
};

#if defined(DAXFS_RT_FIBER)

namespace internal {
extern StepWatcher* g_step_watcher;
FS_COLD void tell(PointKind kind, ObjectId object);
}  // namespace internal

// In the current task's step: it touches this, too.
FS_NO_TSAN inline void also(PointKind kind, ObjectId object) {
  if (__builtin_expect(internal::g_step_watcher != nullptr, 0)) { internal::tell(kind, object); }
}

// Tells `watcher` while it lives. Not nested.
class WatchSteps {
 public:
  explicit WatchSteps(StepWatcher* watcher);
  ~WatchSteps();
  WatchSteps(const WatchSteps&) = delete;
  WatchSteps& operator=(const WatchSteps&) = delete;
};

#else

constexpr void also(PointKind /*kind*/, ObjectId /*object*/) {}

#endif

}  // namespace daxfs::rt
