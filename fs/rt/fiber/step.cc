// fs/rt/fiber/step.cc - hands accesses without points to the watcher, in the host's name.
#include "fs/rt/step.h"

#include "fs/rt/fiber/engine_state.h"

namespace daxfs::rt {

namespace internal {

StepWatcher* g_step_watcher = nullptr;

FS_NO_TSAN void tell(PointKind kind, ObjectId object) {
  if (!g_engine.active) { return; }
  const TsanImpersonation host(&current()->fiber, &g_engine.host);
  g_step_watcher->also(g_current->id, kind, object);
}

}  // namespace internal

WatchSteps::WatchSteps(StepWatcher* watcher) { internal::g_step_watcher = watcher; }
WatchSteps::~WatchSteps() { internal::g_step_watcher = nullptr; }

}  // namespace daxfs::rt
