// fs/rt/fiber/engine.cc - runs, points, decisions, switches.
#include <bit>
#include <cstdlib>
#include <utility>

#include "fs/rt/fiber/engine_state.h"

namespace daxfs::rt {
namespace internal {

uint64_t g_countdown = kIdleCountdown;
Engine g_engine;
TaskCore* g_current = &g_engine.tasks[kRootTask];

#if defined(DAXFS_ASAN)
namespace {
bool g_leaks_expected = false;
}
#endif

namespace {

// From the next event on, g_countdown runs out when the policy or the step budget wants to look.
FS_NO_TSAN void arm() {
  Engine& e = g_engine;
  uint64_t n = e.events_max - e.events + 1;
  if (e.ask_left < n) { n = e.ask_left; }
  if (e.each_event) { n = 1; }
  e.armed = g_countdown = n;
}

// REQUIRES: in the host's name.
FS_NO_TSAN const SchedView& fill_view() {
  Engine& e = g_engine;
  size_t count = 0;
  for (unsigned word = 0; word < 2; ++word) {
    for (uint64_t bits = e.runnable.words[word]; bits != 0; bits &= bits - 1) {
      e.runnable_ids[count++] = static_cast<TaskId>(word * 64 + static_cast<unsigned>(std::countr_zero(bits)));
    }
  }
  const Task* task = current();
  SchedView& view = e.view;
  view.current = task->id;
  view.op = task->op;
  view.event_in_op = task->event_in_op;
  view.runnable = std::span<const TaskId>(e.runnable_ids, count);
  view.events = e.events;
  view.kind = e.last_kind;
  view.object = e.last_object;
  view.site = e.last_site;
  return view;
}

// The same answer as default_choice(), from the mask.
FS_NO_TSAN TaskId default_next(TaskId after) {
  const TaskMask& mask = g_engine.runnable;
  const unsigned start = static_cast<unsigned>(after) + 1;
  if (start < 64) {
    if (const uint64_t bits = mask.words[0] >> start; bits != 0) {
      return static_cast<TaskId>(start + static_cast<unsigned>(std::countr_zero(bits)));
    }
    if (mask.words[1] != 0) { return 64 + std::countr_zero(mask.words[1]); }
  } else if (start < 128) {
    if (const uint64_t bits = mask.words[1] >> (start - 64); bits != 0) {
      return static_cast<TaskId>(start + static_cast<unsigned>(std::countr_zero(bits)));
    }
  }
  if (mask.words[0] != 0) { return std::countr_zero(mask.words[0]); }
  return 64 + std::countr_zero(mask.words[1]);
}

FS_NO_TSAN void notify_observer(PointKind kind, ObjectId object, Site site, const char* waits_for = nullptr) {
  const Task* task = current();
  const TsanImpersonation host(&current()->fiber, &g_engine.host);
  Event& event = g_engine.event;
  event.task = task->id;
  event.op = task->op;
  event.event_in_op = task->event_in_op;
  event.kind = kind;
  event.object = object;
  event.site = site;
  event.waits_for = waits_for;
  g_engine.observer->on_event(event);
}

// The budget of events is used up, or somebody wants the run to end (end_run_soon).
FS_COLD void end_run(Site site) {
  if (g_engine.pending) {
    daxfs::report_finding(std::exchange(g_engine.pending, nullptr)());
    FS_STOP_AT_FINDING();
    return;
  }
  daxfs::report_finding(Verdict::kLivelock, "RT2", "step budget exceeded", describe_tasks(), site);
  FS_STOP_AT_FINDING();
}

FS_COLD void report_bad_choice(TaskId chosen) {
  daxfs::internal::report_finding(Verdict::kHarness, "RT3", g_engine.last_site,
                                  "the policy chose task %d, which cannot run", chosen);
  FS_STOP_AT_FINDING();
  std::abort();
}

FS_NO_TSAN void check_choice(TaskId chosen) {
  if (chosen < 0 || chosen >= kMaxTasks || !g_engine.runnable.test(chosen)) { report_bad_choice(chosen); }
}

// Records and performs the switch away from the current task. Returns when somebody switches back.
FS_NO_TSAN void switch_to(TaskId next) {
  Engine& e = g_engine;
  Task* from = current();
  Task* to = &e.tasks[next];
  ++e.switches;
  e.hash = mix(e.hash, static_cast<uint64_t>(from->id) << 56 | static_cast<uint64_t>(next) << 48 |
                           static_cast<uint64_t>(e.last_kind) << 40 | from->op);
  e.hash = mix(e.hash, from->event_in_op);
  g_current = to;
  ask_budget();
  fiber_switch(&from->fiber, &to->fiber, false);
}

FS_NO_TSAN void note_taken(const TakenSwitch& taken) {
  Engine& e = g_engine;
  e.outcome->taken.push_back(taken);
  if (e.log != nullptr && e.log->count < SwitchLog::kMax) { e.log->switches[e.log->count++] = taken; }
}

// The current task cannot go on: somebody else must.
FS_NO_TSAN void switch_away() {
  Engine& e = g_engine;
  if (__builtin_expect(e.runnable.empty(), 0)) {
    report_deadlock();
    std::abort();
  }
  const TaskId expected = default_next(g_current->id);
  TaskId next = expected;
  if (!e.policy_is_default) {
    const TsanImpersonation host(&current()->fiber, &e.host);
    const SchedView& view = fill_view();
    next = e.policy->choose(view);
    if (next != expected) {
      check_choice(next);
      note_taken({view.current, view.op, view.event_in_op, next, /*forced=*/false});
    }
  }
  switch_to(next);
}

// One event that is not open to preemption: the task blocks or ends at it.
FS_NO_TSAN void count_final_event(PointKind kind, ObjectId object, Site site, const char* waits_for = nullptr) {
  Engine& e = g_engine;
  settle();
  ++current()->event_in_op;
  ++e.events;
  e.last_kind = kind;
  e.last_object = object;
  e.last_site = site;
  current()->point_kind = kind;
  current()->point_site = site;
  if (e.observe) { notify_observer(kind, object, site, waits_for); }
  if (e.events > e.events_max) { end_run(site); }
}

// Leaves the run for good, from whichever fiber met the finding.
[[noreturn]] FS_NO_TSAN void abandon_run() {
  Engine& e = g_engine;
  e.abandoned = true;
#if defined(DAXFS_ASAN)
  g_leaks_expected = true;
#endif
  fiber_switch(&current()->fiber, &e.host, true);
  std::abort();  // nobody resumes an abandoned fiber
}

void on_finding(void* /*context*/, Finding&& finding) {
  Engine& e = g_engine;
  if (!e.active) {
    if (e.previous_handler != nullptr) { e.previous_handler(e.previous_context, std::move(finding)); }
    return;
  }
  settle();
  if (e.pending) { finding = std::exchange(e.pending, nullptr)(); }
  finding.task = current()->id;
  finding.detail += "reported by " + describe_task_line(*current());
  e.outcome->finding.emplace(std::move(finding));
  if (e.at_finding != nullptr) {  // the caller traps when we return
    return e.at_finding(e.at_finding_context, *e.outcome->finding, mix(mix(e.hash, e.events), e.switches));
  }
  abandon_run();
}

// What every fiber executes: one task after another.
FS_NO_TSAN void fiber_main() {
  for (;;) {
    Task* self = current();
    announce_acquire(self);
    self->callable.invoke(self->storage);
    check_nothing_held("task", self->wait_site);
    announce_release(self);
    if (self->id == kRootTask) {
      settle();
      self->state = TaskState::kEnded;
      g_engine.runnable.clear(kRootTask);
      fiber_switch(&self->fiber, &g_engine.host, true);
      continue;
    }
    count_final_event(PointKind::kTask, object_id(ObjectClass::kTask, static_cast<uint64_t>(self->id)),
                      self->wait_site);
    g_engine.runnable.clear(self->id);
    if (self->id >= kFirstSystemTask) {
      self->state = TaskState::kFree;
      system_task_ended();
    } else {
      self->state = TaskState::kEnded;
      if (self->joiner != kNoTask) { make_runnable(&g_engine.tasks[self->joiner]); }
    }
    switch_away();
  }
}

void root_main() {
  g_engine.root(g_engine.root_arg);
  join_all_spawned();
  run_pending_system_tasks();
  stop_at_race();
}

FS_NO_TSAN void prepare_run(Policy& policy, const RunLimits& limits, Observer* observer, RunOutcome* outcome) {
  Engine& e = g_engine;
  ++e.run_serial;
  e.events = 0;
  e.ask_left = kNeverAsk;
  e.events_max = limits.events_max < kIdleCountdown ? limits.events_max : kIdleCountdown;
  e.observe = limits.observe && observer != nullptr;
  e.each_event = e.observe || limits.races != Races::kIgnore;
  e.capture_stacks = limits.capture_stacks;
  e.at_finding = limits.at_finding;
  e.at_finding_context = limits.at_finding_context;
  daxfs::internal::g_stop_at_findings = limits.at_finding != nullptr;
  e.policy = &policy;
  e.policy_is_default = &policy == &default_policy();
  e.observer = observer;
  e.outcome = outcome;
  e.log = limits.log;
  if (e.log != nullptr) { e.log->count = 0; }
  e.runnable = {};
  e.unjoined = {};
  e.used = {};
  e.readers = {};
  e.system_tasks = 0;
  e.abandoned = false;
  e.pending = nullptr;
  e.switches = 0;
  e.hash = 0x64617866757a7a31;
  e.last_kind = PointKind::kTask;
  e.last_object = 0;
  e.objects_made.fill(0);
  e.clock_ns = 0;
  rcu_reset();
  races_begin_run(limits.races);
}

// After an abandoned run: which fibers are stuck in the middle of a task.
FS_NO_TSAN void sweep_tasks(Fiber* host) {
  Engine& e = g_engine;
  for (unsigned word = 0; word < 2; ++word) {
    for (uint64_t bits = e.used.words[word]; bits != 0; bits &= bits - 1) {
      Task& task = e.tasks[word * 64 + static_cast<unsigned>(std::countr_zero(bits))];
      fiber_acquire_history(host, &task.fiber);
      const bool parked = task.state == TaskState::kFree || task.state == TaskState::kEnded;
      if (!parked || (e.abandoned && &task == current())) { task.fiber.dirty = true; }
      task.state = TaskState::kFree;
    }
  }
}

FS_NO_TSAN void finish_run(RunOutcome* outcome) {
  Engine& e = g_engine;
  e.active = false;
  races_end_run();
  daxfs::internal::g_stop_at_findings = false;
  sweep_tasks(&e.host);
  if (e.pending) { outcome->finding = std::exchange(e.pending, nullptr)(); }  // after the last event
  outcome->events = e.events;
  outcome->switches = e.switches;
  outcome->trace_hash = mix(mix(e.hash, e.events), e.switches);
  Task& root = e.tasks[kRootTask];
  root.held_count = root.no_sleep = root.rcu_depth = 0;
  root.context = Context::kProcess;
  root.op = kNoOp;
  g_current = &root;
  e.readers = {};
  rcu_reset();
  e.armed = g_countdown = kIdleCountdown;
}

}  // namespace

FS_NO_TSAN void ask_budget() {
  Engine& e = g_engine;
  if (e.policy_is_default) {
    e.ask_left = kNeverAsk;
  } else {
    const TsanImpersonation host(&current()->fiber, &e.host);
    e.ask_left = e.policy->budget(fill_view());
    if (e.ask_left == 0) { e.ask_left = 1; }
  }
  arm();
}

FS_NO_TSAN void ask_at_next_point() {
  settle();
  g_engine.ask_left = 1;
  arm();
}

FS_NO_TSAN void point_slow(PointKind kind, ObjectId object, Site site) {
  Engine& e = g_engine;
  if (!e.active) {
    e.armed = g_countdown = kIdleCountdown;
    return;
  }
  settle();
  e.last_kind = kind;
  e.last_object = object;
  e.last_site = site;
  current()->point_kind = kind;
  current()->point_site = site;
  if (e.observe) { notify_observer(kind, object, site); }
  if (e.events > e.events_max) { end_run(site); }
  if (e.ask_left != 0) {
    arm();
    return;
  }
  TaskId next;
  {
    const TsanImpersonation host(&current()->fiber, &e.host);
    const SchedView& view = fill_view();
    next = e.policy->preempt(view);
    if (next != view.current) {
      check_choice(next);
      note_taken({view.current, view.op, view.event_in_op, next, /*forced=*/true});
    }
  }
  if (next == g_current->id) {
    ask_budget();
    return;
  }
  switch_to(next);
}

// The current task may go on, but some other one shall first.
FS_NO_TSAN void let_others(ObjectId object, Site site) {
  Engine& e = g_engine;
  if (!e.active) { return; }
  count_final_event(PointKind::kYield, object, site);
  const TaskId self = g_current->id;
  const TaskId expected = default_next(self);
  if (expected == self || expected == kNoTask) {
    ask_budget();
    return;
  }
  TaskId next = expected;
  if (!e.policy_is_default) {
    const TsanImpersonation host(&current()->fiber, &e.host);
    const SchedView& view = fill_view();
    next = e.policy->choose(view);
    if (next != expected) {
      check_choice(next);
      note_taken({view.current, view.op, view.event_in_op, next, /*forced=*/false});
    }
  }
  if (next == self) {
    ask_budget();
    return;
  }
  switch_to(next);
}

FS_NO_TSAN void block_current(BlockReason reason, PointKind kind) {
  Task* task = current();
  if (__builtin_expect(!g_engine.active, 0)) {
    daxfs::internal::report_finding(Verdict::kDeadlock, "RT1", task->wait_site,
                                    "blocked on \"%s\" outside a run, where nobody else can run", task->wait_name);
    std::abort();
  }
  count_final_event(kind, task->wait_object, task->wait_site, task->wait_name);
  task->reason = reason;
  task->state = TaskState::kBlocked;
  g_engine.runnable.clear(task->id);
  if (g_engine.capture_stacks) { capture_stack(task); }
  switch_away();
  task->reason = BlockReason::kNone;
}

FS_NO_TSAN void block_on_lock(const void* lock, ObjectId object, const char* name, Site site) {
  Task* task = current();
  // A lock taken between prepare_to_wait and schedule must not hide what the task prepared to wait for.
  const char* wait_name = task->wait_name;
  const ObjectId wait_object = task->wait_object;
  const Site wait_site = task->wait_site;
  task->wait_lock = lock;
  task->wait_object = object;
  task->wait_name = name;
  task->wait_site = site;
  block_current(BlockReason::kLock, PointKind::kLock);
  task->wait_lock = nullptr;
  task->wait_name = wait_name;
  task->wait_object = wait_object;
  task->wait_site = wait_site;
}

FS_NO_TSAN Task* start_task(TaskId id, Context context, const char* name, const TaskCallable& callable, void* from) {
  Engine& e = g_engine;
  Task* task = &e.tasks[id];
  if (!task->fiber_exists) {
    task->id = static_cast<int16_t>(id);
    fiber_create(&task->fiber, fiber_main, name);
    task->fiber_exists = true;
  } else if (task->fiber.dirty) {
    fiber_rebuild(&task->fiber, name);
  }
  if (task->run_serial != e.run_serial) {
    task->run_serial = e.run_serial;
    task->activations = 0;
  }
  task->context = context;
  task->no_sleep = context == Context::kIrq || context == Context::kSoftirq ? 1 : 0;
  task->rcu_depth = 0;
  task->held_count = 0;
  task->sleep_intent = false;
  task->joiner = kNoTask;
  task->op = id >= kFirstSystemTask ? task->activations : kNoOp;
  ++task->activations;
  task->event_in_op = 0;
  task->name = name;
  task->reason = BlockReason::kNone;
  task->wait_lock = nullptr;
  task->wait_name = "";
  task->wait_object = 0;
  task->wait_site = Site();
  task->wait_task = kNoTask;
  task->frame_count = 0;
  announce_acquire(task);
  task->callable.invoke = callable.invoke;
  callable.construct(task->storage, from);
  announce_release(task);
  e.used.set(id);
  make_runnable(task);
  return task;
}

FS_NO_TSAN TaskId lowest_free(TaskId first, TaskId end) {
  for (TaskId id = first; id < end; ++id) {
    if (g_engine.tasks[id].state == TaskState::kFree) { return id; }
  }
  return kNoTask;
}

}  // namespace internal

using internal::g_engine;

FS_NO_TSAN void run_into(Policy& policy, const RunLimits& limits, Observer* observer, void (*root)(void*), void* arg,
                         RunOutcome* outcome) {
  internal::Engine& e = g_engine;
  if (e.active) {
    daxfs::internal::report_finding(Verdict::kHarness, "RT3", Site::current(), "a run inside a run");
    std::abort();
  }
  outcome->finding.reset();
  outcome->taken.clear();
  internal::prepare_run(policy, limits, observer, outcome);
  e.root = root;
  e.root_arg = arg;
  set_finding_handler(internal::on_finding, nullptr, &e.previous_handler, &e.previous_context);
  policy.begin_run();
  e.asks_at_wakeups = policy.asks_at_wakeups();
  internal::fiber_adopt_host(&e.host);
  internal::Task* task =
      internal::start_system_task(kRootTask, Context::kProcess, "root", [] { internal::root_main(); });
  internal::g_current = task;
  e.active = true;
  internal::ask_budget();
  internal::fiber_switch(&e.host, &task->fiber, true);
  internal::finish_run(outcome);
  set_finding_handler(e.previous_handler, e.previous_context);
}

FS_NO_TSAN bool run_active() { return g_engine.active; }

FS_NO_TSAN void end_run_soon(Finding (*describe)()) {
  internal::Engine& e = g_engine;
  if (!e.active || e.pending) { return; }
  e.pending = describe;
  internal::settle();
  e.events_max = e.events;  // the next one is too many
  e.armed = internal::g_countdown = 1;
}

FS_NO_TSAN uint64_t run_events() {
  return g_engine.active ? g_engine.events + (g_engine.armed - internal::g_countdown) : 0;
}

FS_NO_TSAN void trace_mix(uint64_t value) { g_engine.hash = internal::mix(g_engine.hash, value); }

namespace {
uint64_t g_next_reserved = 0;  // 0: no ObjectIdsFrom exists
}  // namespace

ObjectIdsFrom::ObjectIdsFrom(uint64_t first) { g_next_reserved = (uint64_t{1} << 49) + first; }
ObjectIdsFrom::~ObjectIdsFrom() { g_next_reserved = 0; }

FS_NO_TSAN ObjectId new_object_id(ObjectClass cls) {
  // Objects made outside a run live in a range of their own, so that a run's counter starting anew cannot repeat them.
  static uint64_t next_outside = uint64_t{1} << 48;
  if (g_next_reserved != 0) { return object_id(cls, g_next_reserved++); }
  if (!g_engine.active) { return object_id(cls, next_outside++); }
  const auto task = static_cast<uint64_t>(internal::current()->id);
  const uint64_t maker = task == kRootTask ? 0 : task + 1;
  return object_id(cls, maker << 32 | ++g_engine.objects_made[task]);
}

}  // namespace daxfs::rt

#if defined(DAXFS_ASAN)
// An abandoned run leaks what its fibers owned, by design; LeakSanitizer would blame the harness.
extern "C" int __lsan_is_turned_off();  // NOLINT(bugprone-reserved-identifier)
extern "C" __attribute__((weak)) int __lsan_is_turned_off() { return daxfs::rt::internal::g_leaks_expected ? 1 : 0; }
#endif
