#include "fuzz/explore/walker.h"

#include <algorithm>

namespace daxfuzz::explore {

using daxfs::rt::default_choice;
using daxfs::rt::kRootTask;
using daxfs::rt::SchedView;
using daxfs::rt::TaskId;

namespace {

constexpr uint64_t kSaltRuns = 1;    // the task that runs, about to do its next event
constexpr uint64_t kSaltSwitch = 2;  // the task that is switched to
constexpr uint64_t kSaltFree = 3;    // nobody runs: a free choice

bool contains(std::span<const TaskId> runnable, TaskId task) {
  return std::binary_search(runnable.begin(), runnable.end(), task);
}

uint64_t state_key(uint64_t fingerprint, uint64_t salt, TaskId task) {
  uint64_t x = fingerprint + salt * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(task) * 0xd1342543de82ef95u;
  x = (x ^ (x >> 32)) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 29);
}

}  // namespace

void Walker::follow(std::span<const Step> path, bool may_preempt, uint64_t first_event) {
  path_.assign(path.begin(), path.end());
  may_preempt_ = may_preempt;
  first_event_ = first_event;
  wandering_ = false;
}

void Walker::wander(uint64_t seed, uint64_t first_event) {
  follow({}, false, first_event);
  wandering_ = true;
  random_ = sched::SmallRandom(seed);
}

void Walker::begin_run() {
  fingerprint_.reset();
  alternatives_.clear();
  pending_.fill({});
  at_ = 0;
  noting_ = path_.empty() && !wandering_;
  diverged_ = false;
  grew_ = false;
}

uint64_t Walker::budget(const SchedView& view) { return view.events < first_event_ ? first_event_ - view.events : 1; }

bool Walker::on_path(const SchedView& view, TaskId* next) {
  if (at_ == path_.size()) { return false; }
  const Step& step = path_[at_];
  if (step.task != view.current || step.op != view.op || step.event != view.event_in_op) { return false; }
  if (++at_ == path_.size()) { noting_ = true; }
  *next = step.next;
  if (!contains(view.runnable, step.next)) {
    diverged_ = true;
    noting_ = false;
    *next = view.current;
  }
  return true;
}

// The access before which a task was preempted takes place as soon as the task runs again.
TaskId Walker::switch_to(TaskId task) {
  Pending& pending = pending_[static_cast<size_t>(task)];
  if (pending.set) { fingerprint_.add(task, pending.kind, pending.object); }
  pending.set = false;
  return task;
}

// Whoever was here before explores what follows from here.
bool Walker::fresh_state(uint64_t key) {
  if (!reduce_) { return true; }
  if (states_.insert(key)) { return true; }
  noting_ = false;
  return false;
}

void Walker::note_preemptions(const SchedView& view) {
  for (const TaskId other : view.runnable) {
    if (other == view.current || other == kRootTask) { continue; }
    if (reduce_ && !states_.insert(state_key(fingerprint_.value(), kSaltSwitch, other))) { continue; }
    alternatives_.push_back({view.event_in_op, view.op, static_cast<int16_t>(view.current), static_cast<int16_t>(other),
                             true});
  }
}

TaskId Walker::preempt(const SchedView& view) {
  const TaskId current = view.current;
  if (view.events < first_event_ || current == kRootTask) {
    fingerprint_.add(current, view.kind, view.object);
    return current;
  }
  const auto object = object_of(view.kind, view.object);
  const Access access = access_of(view.kind);
  grew_ |= shared_.note(current, access, object);
  TaskId next = current;
  if (wandering_) {
    if (random_.below(16) == 0) { next = view.runnable[random_.below(static_cast<uint32_t>(view.runnable.size()))]; }
  } else if (!on_path(view, &next) && noting_ && may_preempt_ && view.runnable.size() > 1) {
    const bool matters = !reduce_ || (access != Access::kNone && shared_.has(object));
    if (matters && fresh_state(state_key(fingerprint_.value(), kSaltRuns, current))) { note_preemptions(view); }
  }
  if (next == current) {
    fingerprint_.add(current, view.kind, view.object);
    return current;
  }
  pending_[static_cast<size_t>(current)] = {view.object, view.kind, true};
  return switch_to(next);
}

TaskId Walker::choose(const SchedView& view) {
  fingerprint_.add(view.current, view.kind, view.object);
  if (view.events < first_event_) { return switch_to(default_choice(view)); }
  grew_ |= shared_.note(view.current, access_of(view.kind), object_of(view.kind, view.object));
  TaskId next = default_choice(view);
  if (wandering_) {
    return switch_to(view.runnable[random_.below(static_cast<uint32_t>(view.runnable.size()))]);
  }
  if (on_path(view, &next)) { return switch_to(next); }
  // The root only waits for the tasks until they have ended: its steps commute with theirs.
  if (contains(view.runnable, kRootTask) && view.current != kRootTask) { return switch_to(kRootTask); }
  if (noting_ && view.runnable.size() > 1 && fresh_state(state_key(fingerprint_.value(), kSaltFree, 0))) {
    for (const TaskId other : view.runnable) {
      if (other == next || other == view.current || other == kRootTask) { continue; }
      alternatives_.push_back({view.event_in_op, view.op, static_cast<int16_t>(view.current),
                               static_cast<int16_t>(other), false});
    }
  }
  return switch_to(next);
}

}  // namespace daxfuzz::explore
