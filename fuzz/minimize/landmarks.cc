#include "fuzz/minimize/landmarks.h"

#include <algorithm>
#include <tuple>

namespace daxfuzz::minimize {

using daxfs::rt::default_choice;
using daxfs::rt::kNeverAsk;
using daxfs::rt::ObjectId;
using daxfs::rt::PointKind;
using daxfs::rt::SchedView;
using daxfs::rt::site_hash;
using daxfs::rt::TaskId;

namespace {

bool only_reads(PointKind kind) {
  return kind == PointKind::kAtomicLoad || kind == PointKind::kPteRead || kind == PointKind::kTreeRead ||
         kind == PointKind::kUserLoad;
}

bool touches_nothing(PointKind kind) {
  return kind == PointKind::kOpBegin || kind == PointKind::kOpEnd || kind == PointKind::kYield ||
         kind == PointKind::kTask;
}

}  // namespace

void EventLog::on_event(const daxfs::rt::Event& event) {
  entries_.push_back({event.task, event.op, static_cast<uint32_t>(event.event_in_op), site_hash(event.site), event.kind,
                      event.object});
}

std::vector<ObjectId> EventLog::shared_objects(size_t first) const {
  struct Touch {
    ObjectId object;
    TaskId task;
    bool write;
  };
  std::vector<Touch> touches;
  for (size_t i = first; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    if (!touches_nothing(entry.kind)) { touches.push_back({entry.object, entry.task, !only_reads(entry.kind)}); }
  }
  std::sort(touches.begin(), touches.end(), [](const Touch& a, const Touch& b) {
    return std::tuple(a.object, a.task, a.write) < std::tuple(b.object, b.task, b.write);
  });
  std::vector<ObjectId> shared;
  for (size_t begin = 0; begin < touches.size();) {
    size_t end = begin;
    bool write = false;
    for (; end < touches.size() && touches[end].object == touches[begin].object; ++end) { write |= touches[end].write; }
    if (write && touches[begin].task != touches[end - 1].task) { shared.push_back(touches[begin].object); }
    begin = end;
  }
  return shared;
}

Landmark exact_landmark(const prog::Preemption& p) {
  const uint32_t op = p.op == prog::kBeforeFirstOp ? daxfs::rt::kNoOp : p.op;
  return {.task = p.task, .next = p.next, .op = op, .event = p.event};
}

std::vector<Landmark> landmarks_of(std::span<const prog::Preemption> schedule, const EventLog& log) {
  std::vector<Landmark> marks;
  for (const prog::Preemption& p : schedule) {
    Landmark mark = exact_landmark(p);
    const auto here = [&](const EventLog::Entry& e) { return e.task == mark.task && e.op == mark.op; };
    const auto found = std::find_if(log.entries().begin(), log.entries().end(),
                                    [&](const EventLog::Entry& e) { return here(e) && e.event == mark.event; });
    if (found != log.entries().end()) {
      mark.site = found->site;
      mark.visit = static_cast<uint32_t>(1 + std::count_if(log.entries().begin(), found, [&](const EventLog::Entry& e) {
                                           return here(e) && e.site == found->site;
                                         }));
    }
    marks.push_back(mark);
  }
  return marks;
}

void LandmarkPolicy::begin_run() { states_.assign(landmarks_.size(), {}); }

bool LandmarkPolicy::waits_in(const Landmark& mark, const SchedView& view) {
  return mark.task == view.current && (mark.op == view.op || mark.task >= daxfs::rt::kFirstSystemTask);
}

uint64_t LandmarkPolicy::budget(const SchedView& view) {
  for (size_t i = 0; i < landmarks_.size(); ++i) {
    if (!states_[i].used && waits_in(landmarks_[i], view)) { return 1; }
  }
  return kNeverAsk;
}

const Landmark* LandmarkPolicy::meet(const SchedView& view) {
  const Landmark* met = nullptr;
  for (size_t i = 0; i < landmarks_.size(); ++i) {
    const Landmark& mark = landmarks_[i];
    State& state = states_[i];
    if (state.used || !waits_in(mark, view)) { continue; }
    if (state.op != view.op) { state = {.op = view.op}; }
    const bool here = mark.site == 0 ? view.op == mark.op && view.event_in_op == mark.event
                                     : site_hash(view.site) == mark.site && ++state.visits == mark.visit;
    if (!here || met != nullptr) { continue; }
    const bool can = std::binary_search(view.runnable.begin(), view.runnable.end(), mark.next);
    state.used = can || mark.task < daxfs::rt::kFirstSystemTask;
    if (can) { met = &mark; }
  }
  return met;
}

TaskId LandmarkPolicy::preempt(const SchedView& view) {
  const Landmark* mark = meet(view);
  return mark != nullptr ? mark->next : view.current;
}

TaskId LandmarkPolicy::choose(const SchedView& view) {
  const Landmark* mark = meet(view);
  return mark != nullptr ? mark->next : default_choice(view);
}

}  // namespace daxfuzz::minimize
