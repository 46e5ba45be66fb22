// fs/rt/fiber/engine_state.h - everything the engine knows: tasks, the run, the policy's budget.
//
// Locking: one OS thread; functions that touch it are FS_NO_TSAN. No container lives here whose out-of-line code TSan
// would instrument, except `outcome`, which is touched only in the host's name (TsanImpersonation).
// Tested by: fs/rt/engine_test.cc.
#pragma once

#include <array>

#include "fs/rt/engine.h"
#include "fs/rt/fiber/fiber.h"
#include "fs/rt/internal.h"
#include "fs/rt/rcu.h"

namespace daxfs::rt::internal {

enum class TaskState : uint8_t { kFree, kRunnable, kBlocked, kEnded };
enum class BlockReason : uint8_t { kNone, kLock, kWaitQueue, kJoin, kDrain };

inline constexpr unsigned kMaxStackFrames = 24;

// TaskCore comes first: g_current points at it.
struct Task : TaskCore {
  TaskState state = TaskState::kFree;
  bool sleep_intent = false;  // prepared to wait and not woken since; Kernel: task state other than TASK_RUNNING
  bool fiber_exists = false;
  TaskId joiner = kNoTask;
  uint32_t op = kNoOp;
  uint64_t event_in_op = 0;  // up to the engine's last settle()
  uint64_t run_serial = 0;   // of the run that `activations` belongs to
  uint32_t activations = 0;
  PointKind point_kind = PointKind::kTask;  // its latest point, while races are watched
  Site point_site;
  const char* name = "";
  Fiber fiber;
  TaskCallable callable;
  alignas(std::max_align_t) unsigned char storage[kTaskCallableSize];

  // Why it is blocked, or what it last prepared to wait for.
  BlockReason reason = BlockReason::kNone;
  const void* wait_lock = nullptr;
  const char* wait_name = "";
  ObjectId wait_object = 0;
  Site wait_site;
  TaskId wait_task = kNoTask;
  unsigned frame_count = 0;
  void* frames[kMaxStackFrames];
};

struct TaskMask {
  uint64_t words[2] = {};
  FS_NO_TSAN void set(TaskId id) { words[id >> 6] |= uint64_t{1} << (id & 63); }
  FS_NO_TSAN void clear(TaskId id) { words[id >> 6] &= ~(uint64_t{1} << (id & 63)); }
  FS_NO_TSAN bool test(TaskId id) const { return (words[id >> 6] >> (id & 63) & 1) != 0; }
  FS_NO_TSAN bool empty() const { return (words[0] | words[1]) == 0; }
};

inline constexpr uint64_t kIdleCountdown = uint64_t{1} << 62;

struct Engine {
  // Events. The current task's count is event_in_op + (armed - g_countdown).
  uint64_t armed = kIdleCountdown;  // what g_countdown was set to
  uint64_t events = 0;              // up to the last settle()
  uint64_t ask_left = kNeverAsk;    // events of the current task until the policy is asked
  uint64_t events_max = 0;

  TaskMask runnable;
  TaskMask unjoined;          // program tasks that nobody joined yet
  TaskMask used;              // ids activated in this run
  TaskMask readers;           // tasks inside an RCU read section
  unsigned system_tasks = 0;  // active ones
  bool active = false;
  bool observe = false;
  bool each_event = false;  // look at each: somebody observes, or races are watched
  bool capture_stacks = false;
  bool policy_is_default = false;
  bool asks_at_wakeups = false;
  bool abandoned = false;
  void (*at_finding)(void*, const Finding&, uint64_t) = nullptr;
  void* at_finding_context = nullptr;
  uint64_t run_serial = 0;
  uint64_t switches = 0;
  uint64_t hash = 0;
  Policy* policy = nullptr;
  Observer* observer = nullptr;
  RunOutcome* outcome = nullptr;
  SwitchLog* log = nullptr;
  Finding (*pending)() = nullptr;  // end_run_soon
  Fiber host;
  void (*root)(void*) = nullptr;
  void* root_arg = nullptr;
  FindingHandler previous_handler = nullptr;
  void* previous_context = nullptr;
  PointKind last_kind = PointKind::kTask;
  ObjectId last_object = 0;
  Site last_site;

  std::array<uint32_t, kMaxTasks> objects_made{};  // by each task: see new_object_id()
  uint64_t clock_ns = 0;

  RcuHead* rcu_waiting_head = nullptr;
  RcuHead* rcu_waiting_tail = nullptr;
  RcuHead* rcu_ready_head = nullptr;
  RcuHead* rcu_ready_tail = nullptr;
  bool rcu_task_active = false;
  TaskId drainer = kNoTask;

  // What policies and observers read lives here and not on the stack of a task: they run in the host's name, and TSan
  // would take the task's earlier use of its stack for a race with them.
  SchedView view{};
  Event event{};
  TaskId runnable_ids[kMaxTasks];
  Task tasks[kMaxTasks];
};

extern Engine g_engine __attribute__((visibility("hidden")));

FS_NO_TSAN inline Task* current() { return static_cast<Task*>(g_current); }

constexpr uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 32);
}

// Brings event counts up to date with g_countdown.
FS_NO_TSAN inline void settle() {
  Engine& e = g_engine;
  const uint64_t used = e.armed - g_countdown;
  e.armed = g_countdown;
  current()->event_in_op += used;
  e.events += used;
  if (e.ask_left != kNeverAsk) { e.ask_left = e.ask_left > used ? e.ask_left - used : 0; }
}

// Asks the policy for the current task's budget and starts counting it. The task's counts must be settled.
void ask_budget();

// Starts a task under a free id. Returns it; it is runnable.
Task* start_task(TaskId id, Context context, const char* name, const TaskCallable& callable, void* from);
template <typename F>
Task* start_system_task(TaskId id, Context context, const char* name, F function) {
  static constexpr TaskCallable kCallable = {[](void* storage) FS_NO_TSAN { (*static_cast<F*>(storage))(); },
                                             [](void* storage, void* from)
                                                 FS_NO_TSAN { ::new (storage) F(*static_cast<F*>(from)); }};
  static_assert(std::is_trivially_destructible_v<F> && sizeof(F) <= kTaskCallableSize);
  return start_task(id, context, name, kCallable, &function);
}
TaskId lowest_free(TaskId first, TaskId end);  // kNoTask when all are taken

// Blocks the current task until make_runnable(); the caller has filled wait_*. One event.
void block_current(BlockReason reason, PointKind kind);
void let_others(ObjectId object, Site site);
void block_on_lock(const void* lock, ObjectId object, const char* name, Site site);
void ask_at_next_point();
FS_NO_TSAN inline void make_runnable(Task* task) {
  task->state = TaskState::kRunnable;
  g_engine.runnable.set(task->id);
  if (g_engine.asks_at_wakeups) { ask_at_next_point(); }
}

// Verdict LD6 unless the current task holds nothing. `where`: "operation", "task".
void check_nothing_held(const char* where, Site site);

// Finding RT1. Does not return.
FS_COLD void report_deadlock();
// State of every task, for findings' details.
FS_COLD std::string describe_tasks();
FS_COLD std::string describe_task_line(const Task& task);
FS_COLD void capture_stack(Task* task);

// RCU and system task hooks of the engine.
void rcu_reset();
void system_task_ended();

// race.cc
void races_begin_run(Races mode);
void races_end_run();
void stop_at_race();  // if there was one

}  // namespace daxfs::rt::internal
