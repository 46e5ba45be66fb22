// fs/rt/engine.h - the harness's face of the engine: runs, policies, outcomes.
//
// A run executes `root` as task kRootTask; it and the tasks it spawns are fibers on the calling OS thread. At the
// run's end the engine joins what was spawned and drains system tasks. The policy decides every choice; a run is a
// function of (root, policy decisions) and nothing else.
//
// Anchors. Each task counts its own events: the n-th point since its anchor base has event index n, n >= 1.
// - begin_op(i) sets the base: its own point (kOpBegin) is event 1 of operation i; points after end_op go on counting
//   in operation i until the next begin_op.
// - Before its first begin_op a program task and the root count in operation kNoOp, from the task's start.
// - System tasks begin no operations; their operation index is the number of earlier activations of the same id in
//   this run (an id is activated anew for each interrupt, each batch of RCU callbacks, each burst of work).
// - Blocking and ending count as one event each, so a choice after them has an index of its own. A schedule() that
//   finds itself already woken counts the same event and does not block.
// Hence (task, op, event_in_op) names at most one decision of a run, provided that a program does not begin the same
// operation index twice in one task id.
//
// Findings. The first one in a run is stored and the run is abandoned: its fibers are never resumed. Objects on their
// stacks are not destroyed and heap memory they own leaks; locks they held stay locked. The caller must throw away
// everything the run touched. Their fibers are rebuilt before they are used again, so the next run is clean.
//
// Invariants: RT1 somebody can run until all have ended (deadlock); RT2 the step budget suffices (livelock);
// RT3 the harness stays within the engine's bounds and policies choose runnable tasks.
// Locking: one run at a time in a process; run() may not be called inside a run.
// Tested by: fs/rt/engine_test.cc, fs/rt/deadlock_test.cc.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "fs/base/report.h"
#include "fs/rt/task.h"

namespace daxfs::rt {

struct SchedView {
  TaskId current;
  uint32_t op;
  uint64_t event_in_op;              // the current task's events in this operation so far, this one included
  std::span<const TaskId> runnable;  // ascending; includes current when it is runnable
  uint64_t events;                   // of the run, so far
  PointKind kind;                    // of the point that asks; in budget(): of the last point
  ObjectId object;
  Site site;
};

inline constexpr uint64_t kNeverAsk = UINT64_MAX;

// The runnable task that follows `view.current` in cyclic id order, other than it. The default choice.
TaskId default_choice(const SchedView& view);

// Called on the engine's side of a point: must not pass points itself, nor allocate per call.
class Policy {
 public:
  virtual ~Policy() = default;
  virtual void begin_run() {}
  // Whether to be asked, too, at the next point of a task that made another one runnable: then who waited for a lock
  // can come in before the task that let go of it takes the next one. Asked once, after begin_run().
  virtual bool asks_at_wakeups() const { return false; }
  // The current task starts to run, or begins an operation (before its kOpBegin point: event_in_op is 0), or preempt
  // chose it: after how many of ITS events to ask again. 0 counts as 1.
  virtual uint64_t budget(const SchedView& view) = 0;
  // The budget is used up, or somebody woke up: who runs next. May be current; then budget() is asked again.
  virtual TaskId preempt(const SchedView& view) = 0;
  // The current task blocked or ended, or spins (then it is still in runnable; kind is kYield): pick from runnable.
  virtual TaskId choose(const SchedView& view) = 0;
};

// Runs the current task until it blocks, then default_choice. Without state; shared.
Policy& default_policy();

// A decision that the default policy would not have taken: enough to replay the run.
struct TakenSwitch {
  TaskId from;
  uint32_t op;
  uint64_t event_in_op;
  TaskId to;
  bool forced;  // a preemption; else `from` had blocked or ended and `to` is not the default choice
  bool operator==(const TakenSwitch&) const = default;
};

// A run's decisions as they are taken: for whoever must explain the death of the process, from shared memory.
struct SwitchLog {
  static constexpr uint32_t kMax = 256;
  uint32_t count = 0;  // those beyond kMax are not kept
  TakenSwitch switches[kMax];
};

struct Event {
  TaskId task;
  uint32_t op;
  uint64_t event_in_op;
  PointKind kind;
  ObjectId object;
  Site site;
  const char* waits_for = nullptr;  // the task blocks at this event: the name of what it waits for
};

// Sees every point when RunLimits::observe is set. Same duties as Policy.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_event(const Event& event) = 0;
};

// Data races on fields that say they are shared (fs/rt/shared.h). At the end: a race is the finding of a run that has
// no other and came to its end. Either way it is the first race, and the same finding.
enum class Races : uint8_t { kIgnore, kReportAtEnd, kReportAtOnce };

struct RunLimits {
  uint64_t events_max = 1000000;  // more is a livelock verdict
  bool observe = false;
  Races races = Races::kIgnore;  // else each point costs as much as with an observer
  bool capture_stacks = false;   // keep a backtrace of every blocked task for the deadlock graph
  // Told of the finding where it was noticed, on that task's stack, with the run's trace hash so far. Then the process
  // traps there, so that a crash's stack is the finding's. Null: the run is abandoned and has an outcome.
  void (*at_finding)(void* context, const Finding& finding, uint64_t trace_hash) = nullptr;
  void* at_finding_context = nullptr;
  SwitchLog* log = nullptr;  // begun anew by the run
};

struct RunOutcome {
  std::optional<Finding> finding;  // the first
  uint64_t events = 0;
  uint64_t switches = 0;    // from one task to another
  uint64_t trace_hash = 0;  // of all switches, operation ends and trace_mix(); equal in every build flavour
  std::vector<TakenSwitch> taken;
};

// Executes a run. `observer` may be null. Native: calls root, ignores policy and limits; findings abort.
RunOutcome run(Policy& policy, const RunLimits& limits, Observer* observer, void (*root)(void*), void* arg);

// The same without the cost of a fresh outcome; keeps the capacity of `outcome->taken`.
void run_into(Policy& policy, const RunLimits& limits, Observer* observer, void (*root)(void*), void* arg,
              RunOutcome* outcome);

bool run_active();
// From places that must return, and may not take memory or be watched: the run ends at its next event with the finding
// that `describe` makes then, whatever else is found until then. The first one counts; outside a run none does.
void end_run_soon(Finding (*describe)());
// Events of the run so far. Fiber only; 0 otherwise.
uint64_t run_events();

// Mixes a value (an operation's result) into the trace hash.
void trace_mix(uint64_t value);

// Of the file's base name, line and column; stable between builds by one compiler, cached by pointer.
uint32_t site_hash(Site site);

}  // namespace daxfs::rt
