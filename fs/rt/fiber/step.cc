// fs/rt/fiber/step.cc - hands accesses without points to the watcher, in the host's name.
#include "fs/rt/step.h"

#include "fs/rt/fiber/engine_state.h"

namespace daxfs::rt {
namespace {

StepWatcher* g_step_watcher = nullptr;

}  // namespace

FS_NO_TSAN void also(PointKind kind, ObjectId object) {
  if (__builtin_expect(g_step_watcher == nullptr, 1) || !internal::g_engine.active) {
    return;
  }
  const internal::TsanImpersonation host(&internal::current()->fiber, &internal::g_engine.host);
  g_step_watcher->also(internal::g_current->id, kind, object);
}

WatchSteps::WatchSteps(StepWatcher* watcher) { g_step_watcher = watcher; }
WatchSteps::~WatchSteps() { g_step_watcher = nullptr; }

}  // namespace daxfs::rt
