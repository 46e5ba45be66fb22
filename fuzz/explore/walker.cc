#include "fuzz/explore/walker.h"

#include <algorithm>

namespace daxfuzz::explore {

using daxfs::rt::default_choice;
using daxfs::rt::kRootTask;
using daxfs::rt::ObjectId;
using daxfs::rt::PointKind;
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
  waiting_ = 0;
  block_.open = false;
  at_ = 0;
  begun_ = false;
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

// An access took place.
void Walker::happened(TaskId task, PointKind kind, ObjectId object) {
  fingerprint_.add(task, kind, object);
  const Access access = access_of(kind);
  if (waiting_ == 0 || access == Access::kNone) { return; }
  const ObjectId about = object_of(kind, object);
  uint32_t left = waiting_;
  for (size_t i = 0; left > 0; ++i) {
    Pending& other = pending_[i];
    if (!other.set) { continue; }
    --left;
    for (const Touch& touch : blocks_.touches(other.block)) {
      other.met |= touch.object == about && (access == Access::kWrite || touch.write != 0);
    }
  }
}

// The access before which a task was preempted takes place as soon as the task runs again.
TaskId Walker::switch_to(TaskId task) {
  Pending& pending = pending_[static_cast<size_t>(task)];
  if (pending.set) {
    pending.set = false;
    --waiting_;
    if (!pending.done) { happened(task, pending.kind, pending.object); }
  }
  return task;
}

// The task was preempted, and what the others did since commutes with the block that it was about to begin. Let it do
// that block first and preempt it at the next: the same run, as far as anybody can tell, for no more preemptions.
bool Walker::too_early(TaskId task) const {
  const Pending& pending = pending_[static_cast<size_t>(task)];
  return reduce_ && pending.set && !pending.met;
}

// Whoever was here before explores what follows from here.
bool Walker::fresh_state(uint64_t key) {
  if (!reduce_) { return true; }
  if (states_.insert(key)) { return true; }
  noting_ = false;
  return false;
}

void Walker::open_block(const SchedView& view) {
  if (!noting_ || !may_preempt_ || view.runnable.size() < 2) { return; }
  block_.open = true;
  block_.fingerprint = fingerprint_.value();
  block_.step = {view.event_in_op, view.op, static_cast<int16_t>(view.current), 0, Blocks::kUnknown, true};
  block_.others.clear();
  for (const TaskId other : view.runnable) {
    if (other != view.current && other != kRootTask && !too_early(other)) { block_.others.push_back(other); }
  }
  block_.touches.clear();
}

void Walker::add_to_block(PointKind kind, ObjectId object) {
  const Access access = access_of(kind);
  if (!block_.open || access == Access::kNone) { return; }
  block_.touches.push_back({object_of(kind, object), access == Access::kWrite ? uint64_t{1} : 0});
}

// The running task is about to begin another block, or stops running. Not `whole`: a finding ended the run within it.
void Walker::close_block(bool whole) {
  if (!block_.open) { return; }
  block_.open = false;
  bool matters = !whole;
  for (const Touch& touch : block_.touches) { matters |= shared_.has(touch.object); }
  Step& step = block_.step;
  if (!matters || !fresh_state(state_key(block_.fingerprint, kSaltRuns, step.task))) { return; }
  step.block = whole ? blocks_.number_of(block_.touches) : Blocks::kUnknown;
  for (const TaskId other : block_.others) {
    if (!states_.insert(state_key(block_.fingerprint, kSaltSwitch, other))) { continue; }
    step.next = static_cast<int16_t>(other);
    alternatives_.push_back(step);
  }
}

void Walker::end_run() { close_block(false); }

TaskId Walker::wander_on(const SchedView& view, uint32_t one_in) {
  if (random_.below(one_in) != 0) { return view.current; }
  return view.runnable[random_.below(static_cast<uint32_t>(view.runnable.size()))];
}

// Without reduction: every point, every other task.
TaskId Walker::preempt_plainly(const SchedView& view) {
  TaskId next = view.current;
  if (on_path(view, &next) || !noting_ || !may_preempt_) { return next; }
  for (const TaskId other : view.runnable) {
    if (other == view.current || other == kRootTask) { continue; }
    alternatives_.push_back({view.event_in_op, view.op, static_cast<int16_t>(view.current), static_cast<int16_t>(other),
                             Blocks::kUnknown, true});
  }
  return next;
}

// An access in the step of a task that runs, behind its latest point.
void Walker::also(TaskId task, PointKind kind, ObjectId object) {
  if (!begun_) { return; }
  if (task != kRootTask) { grew_ |= shared_.note(task, access_of(kind), object); }
  if (!reduce_ || wandering_) { return; }
  add_to_block(kind, object);
  happened(task, kind, object);
}

TaskId Walker::preempt(const SchedView& view) {
  const TaskId current = view.current;
  begun_ = view.events >= first_event_;
  if (view.events < first_event_ || current == kRootTask) {
    happened(current, view.kind, view.object);
    return current;
  }
  grew_ |= shared_.note(current, access_of(view.kind), object_of(view.kind, view.object));
  if (wandering_) { return wander_on(view, 16); }
  if (!reduce_) { return preempt_plainly(view); }
  const bool behind = deed_behind(view.kind);
  if (deed_before(view.kind)) {
    happened(current, view.kind, view.object);
    add_to_block(view.kind, view.object);
  }
  close_block(true);
  TaskId next = current;
  if (!on_path(view, &next)) {
    open_block(view);
    if (behind) { add_to_block(view.kind, view.object); }
  }
  if (next == current) {
    if (behind) { happened(current, view.kind, view.object); }
    return current;
  }
  const uint32_t block = path_[at_ - 1].block;
  pending_[static_cast<size_t>(current)] = {view.object, view.kind, true, !behind, block == Blocks::kUnknown, block};
  ++waiting_;
  return switch_to(next);
}

// Nobody runs, so who is next is free.
void Walker::note_choices(const SchedView& view, TaskId next) {
  if (!noting_ || view.runnable.size() < 2 || !fresh_state(state_key(fingerprint_.value(), kSaltFree, 0))) { return; }
  for (const TaskId other : view.runnable) {
    if (other == next || other == view.current || other == kRootTask || too_early(other)) { continue; }
    alternatives_.push_back({view.event_in_op, view.op, static_cast<int16_t>(view.current), static_cast<int16_t>(other),
                             Blocks::kUnknown, false});
  }
}

TaskId Walker::choose(const SchedView& view) {
  begun_ = view.events >= first_event_;
  add_to_block(view.kind, view.object);
  close_block(true);
  happened(view.current, view.kind, view.object);
  if (view.events < first_event_) { return switch_to(default_choice(view)); }
  grew_ |= shared_.note(view.current, access_of(view.kind), object_of(view.kind, view.object));
  if (wandering_) { return switch_to(wander_on(view, 1)); }
  TaskId next = default_choice(view);
  if (on_path(view, &next)) { return switch_to(next); }
  // The root only waits for the tasks until they have ended: its steps commute with theirs.
  if (contains(view.runnable, kRootTask) && view.current != kRootTask) { return switch_to(kRootTask); }
  note_choices(view, next);
  noting_ &= !too_early(next);  // somebody has to run, but nothing new can follow
  return switch_to(next);
}

}  // namespace daxfuzz::explore
