#include "fuzz/sched/pos.h"

namespace daxfuzz::sched {

using daxfs::rt::default_choice;
using daxfs::rt::kNeverAsk;
using daxfs::rt::kNoTask;
using daxfs::rt::SchedView;
using daxfs::rt::TaskId;

void Pos::begin_run() {
  next_.fill({});
  switches_ = 0;
}

uint64_t Pos::budget(const SchedView& view) {
  if (switches_ >= RandomWalk::kSwitchesMax) { return kNeverAsk; }
  return view.events < first_event_ ? first_event_ - view.events : 1;
}

TaskId Pos::highest(const SchedView& view, bool with_current) {
  TaskId best = kNoTask;
  for (const TaskId task : view.runnable) {
    if (task == view.current && !with_current) { continue; }
    if (next(task).priority == 0) { next(task).priority = draw(); }
    if (best == kNoTask || next(task).priority > next(best).priority) { best = task; }
  }
  return best;
}

TaskId Pos::execute(TaskId task, std::span<const TaskId> runnable) {
  const Next done = next(task);
  next(task) = {};
  if (done.access == Access::kNone) { return task; }
  for (const TaskId other : runnable) {
    Next& pending = next(other);
    const bool races = pending.access != Access::kNone && pending.object == done.object &&
                       (pending.access == Access::kWrite || done.access == Access::kWrite);
    if (races) { pending.priority = draw(); }
  }
  return task;
}

TaskId Pos::preempt(const SchedView& view) {
  next(view.current) = {draw(), object_of(view.kind, view.object), access_of(view.kind)};
  const TaskId best = highest(view, true);
  switches_ += best != view.current;
  return execute(best, view.runnable);
}

TaskId Pos::choose(const SchedView& view) {
  // What comes after the block, or after a turn of a spinning loop, is another event.
  next(view.current) = {};
  if (switches_ >= RandomWalk::kSwitchesMax) { return default_choice(view); }
  TaskId best = highest(view, false);
  if (best == kNoTask) { best = default_choice(view); }
  switches_ += best != default_choice(view);
  return execute(best, view.runnable);
}

}  // namespace daxfuzz::sched
