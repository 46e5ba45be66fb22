// fs/rt/native/native_state.h - what the native flavour keeps per OS thread.
//
// Locking: a NativeTask belongs to its thread, except `sleeping`, which its mutex guards.
// Tested by: fs/rt/task_test.cc, fs/rt/system_task_test.cc with OS threads.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "fs/rt/task.h"

namespace daxfs::rt::internal {

struct NativeTask {
  TaskId id = kRootTask;
  Context context = Context::kProcess;
  uint32_t op = kNoOp;
  unsigned rcu_depth = 0;
  uint32_t rcu_sections = 0;  // that it ever began
  const char* name = "root";

  std::mutex mutex;
  std::condition_variable wake;
  bool sleeping = false;  // prepared to wait and not woken since
};

NativeTask& native_current();

// Runs `function` on the service thread of `context` (interrupts or softirqs), after what was posted before.
void post_system(Context context, std::function<void()> function);
// Counts work in flight that is not a post_system(): work items.
void system_work_started();
void system_work_finished();
// Waits until nothing posted or counted is left.
void drain_system();

}  // namespace daxfs::rt::internal
