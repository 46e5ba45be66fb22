#include "fuzz/explore/state_check.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "fuzz/explore/blocks.h"

namespace daxfuzz::explore {

using daxfs::rt::default_choice;
using daxfs::rt::kRootTask;
using daxfs::rt::PointKind;
using daxfs::rt::SchedView;
using daxfs::rt::TaskId;

void StateCheck::next_walk(uint64_t seed, uint64_t first_event) {
  random_ = sched::SmallRandom(seed);
  first_event_ = first_event;
  one_in_ = 2U << random_.below(5);
}

void StateCheck::begin_run() {
  fingerprint_.reset();
  is_pending_.fill(false);
}

uint64_t StateCheck::budget(const SchedView& view) {
  return view.events < first_event_ && first_event_ == UINT64_MAX ? first_event_ : 1;
}

std::string StateCheck::text(const At& at) {
  char line[300];
  std::snprintf(line, sizeof line, "%s %016" PRIx64 " as event %" PRIu64 " of operation %" PRIu32 " (%s:%u)",
                point_kind_name(at.kind), at.object, at.event, at.op, at.site.file_name(),
                static_cast<unsigned>(at.site.line()));
  return line;
}

void StateCheck::complain(std::string text) {
  if (mismatch_.empty()) { mismatch_ = std::move(text); }
}

// What a task does next follows from the state.
void StateCheck::look(const SchedView& view) {
  const At now{view.kind, view.object, view.op, view.event_in_op, view.site};
  const auto [at, fresh] = next_.try_emplace({fingerprint_.value(), view.current}, now);
  met_again_ += !fresh;
  if (fresh || at->second.same(now)) { return; }
  complain("task " + std::to_string(view.current) + " came to " + text(now) + ", and in an equal state to " +
           text(at->second));
}

void StateCheck::look_at_runnable(const SchedView& view) {
  const auto [at, fresh] =
      runnable_.try_emplace(fingerprint_.value(), std::vector<TaskId>(view.runnable.begin(), view.runnable.end()));
  if (fresh || std::ranges::equal(at->second, view.runnable)) { return; }
  std::string tasks;
  for (const TaskId task : view.runnable) { tasks += " " + std::to_string(task); }
  tasks += ", in an equal state";
  for (const TaskId task : at->second) { tasks += " " + std::to_string(task); }
  complain("when task " + std::to_string(view.current) + " came to " +
           text({view.kind, view.object, view.op, view.event_in_op, view.site}) + ", tasks could run:" + tasks);
}

void StateCheck::end_run(uint64_t outcome) {
  const auto [at, fresh] = outcomes_.try_emplace(fingerprint_.value(), outcome);
  met_again_ += !fresh;
  if (!fresh && at->second != outcome) { complain("two runs of equal accesses have different outcomes"); }
}

void StateCheck::also(TaskId task, PointKind kind, daxfs::rt::ObjectId object) { fingerprint_.add(task, kind, object); }

TaskId StateCheck::switch_to(TaskId task) {
  const auto index = static_cast<size_t>(task);
  if (is_pending_[index]) {
    is_pending_[index] = false;
    fingerprint_.add(task, pending_[index].kind, pending_[index].object);
  }
  return task;
}

TaskId StateCheck::preempt(const SchedView& view) {
  const TaskId current = view.current;
  const bool decide = view.events >= first_event_ && current != kRootTask;
  if (decide) { look(view); }
  const bool behind = deed_behind(view.kind);
  if (deed_before(view.kind)) { fingerprint_.add(current, view.kind, view.object); }
  if (decide) { look_at_runnable(view); }
  TaskId next = current;
  if (decide && random_.below(one_in_) == 0) {
    next = view.runnable[random_.below(static_cast<uint32_t>(view.runnable.size()))];
    if (next == kRootTask) { next = current; }
  }
  if (next != current && behind) {
    pending_[static_cast<size_t>(current)] = {view.kind, view.object, view.op, view.event_in_op, view.site};
    is_pending_[static_cast<size_t>(current)] = true;
  } else if (behind) {
    fingerprint_.add(current, view.kind, view.object);
  }
  return next == current ? current : switch_to(next);
}

TaskId StateCheck::choose(const SchedView& view) {
  const bool decide = view.events >= first_event_;
  if (decide) { look(view); }
  fingerprint_.add(view.current, view.kind, view.object);
  if (!decide) { return switch_to(default_choice(view)); }
  look_at_runnable(view);
  const bool root = std::binary_search(view.runnable.begin(), view.runnable.end(), kRootTask);
  if (root && view.current != kRootTask) { return switch_to(kRootTask); }
  return switch_to(view.runnable[random_.below(static_cast<uint32_t>(view.runnable.size()))]);
}

}  // namespace daxfuzz::explore
