// fs/rt/fiber/tasks.cc - spawn, join, operations, yields, the virtual clock.
#include <bit>
#include <cstdlib>

#include "fs/rt/clock.h"
#include "fs/rt/fiber/engine_state.h"
#include "fs/rt/step.h"

namespace daxfs::rt {

using internal::g_countdown;
using internal::g_current;
using internal::g_engine;
using internal::Task;

namespace {

FS_NO_TSAN ObjectId task_object(TaskId task) { return object_id(ObjectClass::kTask, static_cast<uint64_t>(task)); }

// Operations that begin move the clock: who reads it knows how many have.
constexpr ObjectId kClockObject = object_id(ObjectClass::kTask, uint64_t{1} << 32);

FS_COLD void report_harness(const char* what, Site site) {
  daxfs::internal::report_finding(Verdict::kHarness, "RT3", site, "%s", what);
  FS_STOP_AT_FINDING();
  std::abort();
}

}  // namespace

FS_NO_TSAN TaskId current_task() { return g_current->id; }
FS_NO_TSAN Context current_context() { return g_current->context; }
FS_NO_TSAN uint32_t current_op() { return internal::current()->op; }
FS_NO_TSAN bool in_atomic() { return g_current->no_sleep != 0; }
FS_NO_TSAN void might_sleep(Site site) { internal::check_may_sleep(site); }

FS_NO_TSAN void begin_op(uint32_t op_index, Site site) {
  internal::Engine& e = g_engine;
  Task* task = internal::current();
  const ObjectId object = object_id(ObjectClass::kOp, static_cast<uint64_t>(task->id), op_index);
  if (e.active) {
    internal::settle();
    task->op = op_index;
    task->event_in_op = 0;
    also(PointKind::kAtomicStore, kClockObject);
    e.clock_ns += kOpTickNs;
    e.last_kind = PointKind::kOpBegin;
    e.last_object = object;
    e.last_site = site;
    internal::ask_budget();
  }
  point(PointKind::kOpBegin, object, site);
}

FS_NO_TSAN void end_op(Site site) {
  const Task* task = internal::current();
  internal::check_nothing_held("operation", site);
  trace_mix(static_cast<uint64_t>(task->id) << 32 | task->op);
  point(PointKind::kOpEnd, object_id(ObjectClass::kOp, static_cast<uint64_t>(task->id), task->op), site);
}

FS_NO_TSAN TaskId internal::spawn_callable(const char* name, const TaskCallable& callable, void* from, Site site) {
  if (!g_engine.active) { report_harness("spawn outside a run", site); }
  const TaskId id = lowest_free(0, kMaxProgramTasks);
  if (id == kNoTask) { report_harness("too many tasks", site); }
  start_task(id, Context::kProcess, name, callable, from)->wait_site = site;
  g_engine.unjoined.set(id);
  point(PointKind::kTask, task_object(id), site);
  return id;
}

FS_NO_TSAN void join(TaskId task, Site site) {
  if (task < 0 || task >= kMaxProgramTasks || !g_engine.unjoined.test(task)) {
    report_harness("join of a task that was not spawned", site);
  }
  internal::check_may_sleep(site);
  point(PointKind::kTask, task_object(task), site);
  Task* target = &g_engine.tasks[task];
  if (target->state != internal::TaskState::kEnded) {
    Task* self = internal::current();
    if (target->joiner != kNoTask) { report_harness("two tasks join one", site); }
    target->joiner = self->id;
    self->wait_task = task;
    self->wait_object = task_object(task);
    self->wait_name = target->name;
    self->wait_site = site;
    internal::block_current(internal::BlockReason::kJoin, PointKind::kTask);
    self->wait_task = kNoTask;
  }
  internal::announce_acquire(target);
  target->state = internal::TaskState::kFree;
  g_engine.unjoined.clear(task);
}

FS_NO_TSAN void join_all_spawned(Site site) {
  while (g_engine.unjoined.words[0] != 0) { join(std::countr_zero(g_engine.unjoined.words[0]), site); }
}

FS_NO_TSAN void yield(Site site) { point(PointKind::kYield, task_object(g_current->id), site); }

FS_NO_TSAN void relax(Site site) { internal::let_others(task_object(g_current->id), site); }

FS_NO_TSAN void cond_resched(Site site) {
  internal::check_may_sleep(site);
  yield(site);
}

FS_NO_TSAN void set_task_name(const char* name) { internal::current()->name = name; }
FS_NO_TSAN const char* task_name(TaskId task) { return task >= 0 && task < kMaxTasks ? g_engine.tasks[task].name : ""; }

FS_NO_TSAN uint64_t clock_monotonic_ns() {
  also(PointKind::kAtomicLoad, kClockObject);
  return g_engine.clock_ns;
}
FS_NO_TSAN uint64_t clock_realtime_ns() { return kClockStartSeconds * 1000000000u + clock_monotonic_ns(); }
FS_NO_TSAN void clock_advance(uint64_t ns) {
  also(PointKind::kAtomicStore, kClockObject);
  g_engine.clock_ns += ns;
}

}  // namespace daxfs::rt
