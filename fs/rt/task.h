// fs/rt/task.h - tasks: who runs, in which context, and operations as the unit of a schedule's anchors.
//
// Ids: program tasks 0..31, the lowest free one at spawn (so 0, 1, 2... in spawn order; free again after join);
// kRootTask is the harness; system tasks from 64 (RCU 64, interrupts 65..95, workers 96..127, lowest free).
//
// Invariants: LD1 nobody sleeps in atomic context; LD6 operations and tasks end without locks, ranks or read sections.
// Tested by: fs/rt/task_test.cc, fs/rt/lockdep_test.cc.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "fs/rt/point.h"

namespace daxfs::rt {

using TaskId = int;
inline constexpr TaskId kMaxProgramTasks = 32;
inline constexpr TaskId kRootTask = 63;
inline constexpr TaskId kFirstSystemTask = 64;
inline constexpr TaskId kRcuTask = 64;
inline constexpr TaskId kFirstIrqTask = 65;
inline constexpr TaskId kFirstWorkerTask = 96;
inline constexpr TaskId kMaxTasks = 128;
inline constexpr TaskId kNoTask = -1;

// Operation index of a task that has not begun an operation yet. System tasks count their activations instead.
inline constexpr uint32_t kNoOp = 0xffff;

enum class Context : uint8_t { kProcess, kIrq, kSoftirq, kWorker, kRcu = kSoftirq };
const char* context_name(Context context);

TaskId current_task();
Context current_context();
// The index passed to the latest begin_op of the current task; kNoOp before the first.
uint32_t current_op();

// Verdict LD1 if the current context may not sleep: spinlock held, interrupt or softirq context, RCU read section.
void might_sleep(Site site = Site::current());
// True in a context where might_sleep() would be a verdict. Kernel: in_atomic().
bool in_atomic();

// Brackets one operation of the program: resets the anchor base of the task. YIELDS.
void begin_op(uint32_t op_index, Site site = Site::current());
// Verdict LD6 if the task still holds a lock, a rank or a read section. YIELDS.
void end_op(Site site = Site::current());

inline constexpr size_t kTaskCallableSize = 128;  // bytes of captures that spawn() takes

namespace internal {
struct TaskCallable {
  void (*invoke)(void* storage);  // runs and destroys
  void (*construct)(void* storage, void* from);
};
TaskId spawn_callable(const char* name, const TaskCallable& callable, void* from, Site site);
}  // namespace internal

// Starts a task; it becomes runnable, the caller goes on. `name` must outlive the run. Spawning happens-before the
// task's first step. Every spawned task must be joined, by join() or join_all_spawned().
template <typename F>
TaskId spawn(const char* name, F function, Site site = Site::current()) {
  static_assert(sizeof(F) <= kTaskCallableSize, "capture less, or capture one pointer");
  static_assert(alignof(F) <= alignof(std::max_align_t));
  static constexpr internal::TaskCallable kCallable = {
      [](void* storage) {
        F* f = std::launder(static_cast<F*>(storage));
        (*f)();
        f->~F();
      },
      [](void* storage, void* from) { ::new (storage) F(std::move(*static_cast<F*>(from))); }};
  return internal::spawn_callable(name, kCallable, &function, site);
}
inline TaskId spawn(const char* name, void (*function)(void*), void* arg, Site site = Site::current()) {
  return spawn(name, [function, arg] { function(arg); }, site);
}

// Waits until the task has ended; all it did happens-before the return. YIELDS.
void join(TaskId task, Site site = Site::current());
// Joins every spawned, not yet joined task, by ascending id. YIELDS.
void join_all_spawned(Site site = Site::current());

// A point of its own; the default policy lets the current task go on. YIELDS.
void yield(Site site = Site::current());
// The task goes round in a loop until another one has changed something: some other runnable task goes first, whatever
// the policy. Without this a task that refaults while its neighbour is about to unmap would spin for ever under the
// default policy. Kernel: cpu_relax, and that two CPUs run at once. YIELDS.
void relax(Site site = Site::current());
// might_sleep() and a point. Kernel: cond_resched.
void cond_resched(Site site = Site::current());

// `name` must outlive the run.
void set_task_name(const char* name);
const char* task_name(TaskId task);

// Waits until no interrupt, RCU callback or work item is pending or running. Call from the root task. YIELDS.
void run_pending_system_tasks(Site site = Site::current());

}  // namespace daxfs::rt
