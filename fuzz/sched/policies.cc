#include "fuzz/sched/policies.h"

#include <algorithm>
#include <bit>
#include <tuple>

namespace daxfuzz::sched {

using daxfs::rt::default_choice;
using daxfs::rt::kNeverAsk;
using daxfs::rt::SchedView;
using daxfs::rt::TaskId;

namespace {

auto key(const Anchor& a) { return std::tuple(a.task, a.op, a.event); }

bool contains(std::span<const TaskId> runnable, TaskId task) {
  return std::binary_search(runnable.begin(), runnable.end(), task);
}

}  // namespace

void PreemptionList::set(std::span<const Anchor> anchors) {
  // Insertion sort: at most some dozens, mostly in order, and equal anchors must keep theirs.
  anchors_.clear();
  for (const Anchor& anchor : anchors) {
    const auto place = std::upper_bound(anchors_.begin(), anchors_.end(), anchor,
                                        [](const Anchor& a, const Anchor& b) { return key(a) < key(b); });
    anchors_.insert(place, anchor);
  }
  used_.assign(anchors_.size(), false);
}

void PreemptionList::begin_run() { used_.assign(anchors_.size(), false); }

uint64_t PreemptionList::budget(const SchedView& view) {
  const auto next =
      std::upper_bound(anchors_.begin(), anchors_.end(), std::tuple(view.current, view.op, view.event_in_op),
                       [](const auto& k, const Anchor& a) { return k < key(a); });
  if (next == anchors_.end() || next->task != view.current || next->op != view.op) { return kNeverAsk; }
  return next->event - view.event_in_op;
}

const Anchor* PreemptionList::at(const SchedView& view) {
  const auto k = std::tuple(view.current, view.op, view.event_in_op);
  const auto found = std::lower_bound(anchors_.begin(), anchors_.end(), k,
                                      [](const Anchor& a, const auto& wanted) { return key(a) < wanted; });
  if (found == anchors_.end() || key(*found) != k) { return nullptr; }
  used_[static_cast<size_t>(found - anchors_.begin())] = true;
  return contains(view.runnable, found->next) ? &*found : nullptr;
}

TaskId PreemptionList::preempt(const SchedView& view) {
  const Anchor* anchor = at(view);
  return anchor != nullptr ? anchor->next : view.current;
}

TaskId PreemptionList::choose(const SchedView& view) {
  const Anchor* anchor = at(view);
  return anchor != nullptr ? anchor->next : default_choice(view);
}

size_t PreemptionList::drift() const {
  size_t drift = 0;
  for (size_t i = 0; i < used_.size(); ++i) {
    const bool duplicate = i > 0 && key(anchors_[i]) == key(anchors_[i - 1]);
    if (!used_[i] && !duplicate) { ++drift; }
  }
  return drift;
}

bool PreemptionList::reached(const Anchor& anchor) const {
  const auto found = std::lower_bound(anchors_.begin(), anchors_.end(), anchor,
                                      [](const Anchor& a, const Anchor& b) { return key(a) < key(b); });
  return found == anchors_.end() || key(*found) != key(anchor) || used_[static_cast<size_t>(found - anchors_.begin())];
}

void AnchoredWalk::reseed(uint64_t seed, std::span<const Anchor> awaited, const Chance& chance) {
  random_ = SmallRandom(seed);
  awaited_.assign(awaited.begin(), awaited.end());
  chance_ = chance;
  goes_on_ = random_.below(2) == 0;
}

uint64_t AnchoredWalk::budget(const SchedView& view) {
  const uint64_t until_anchor = PreemptionList::budget(view);
  if (chance_.events_between == 0 || switches_ >= RandomWalk::kSwitchesMax) { return until_anchor; }
  if (look_at_ <= view.events) {
    look_at_ = std::max(view.events, chance_.first_event) + 1 + random_.below(2 * chance_.events_between);
  }
  return std::min(until_anchor, look_at_ - view.events);
}

const Anchor* AnchoredWalk::come_in(const SchedView& view) {
  const Anchor* const anchor = at(view);
  if (anchor != nullptr) { came_in_ = anchor->next; }
  return anchor;
}

TaskId AnchoredWalk::preempt(const SchedView& view) {
  if (const Anchor* const anchor = come_in(view)) { return anchor->next; }
  if (switches_ >= RandomWalk::kSwitchesMax) { return view.current; }
  if (goes_on_ && came_in_ != view.current && contains(view.runnable, came_in_)) {
    ++switches_;
    return came_in_;
  }
  if (chance_.events_between == 0 || view.events < look_at_) { return view.current; }
  uint64_t runnable = 0;
  for (const TaskId task : view.runnable) {
    if (task >= daxfs::rt::kFirstSystemTask) { runnable |= uint64_t{1} << (task - daxfs::rt::kFirstSystemTask) % 64; }
  }
  noticed_ &= runnable;
  if (runnable == noticed_ || view.current >= daxfs::rt::kFirstSystemTask) { return view.current; }
  const int first = std::countr_zero(runnable & ~noticed_);
  noticed_ |= uint64_t{1} << first;
  if (random_.below(2) == 0) { return view.current; }
  ++switches_;
  return daxfs::rt::kFirstSystemTask + first;
}

void AnchoredWalk::begin_run() {
  PreemptionList::begin_run();
  switches_ = 0;
  noticed_ = 0;
  look_at_ = 0;
  came_in_ = daxfs::rt::kNoTask;
}

std::optional<TaskId> AnchoredWalk::held() const {
  for (const Anchor& anchor : awaited_) {
    if (!reached(anchor)) { return anchor.next; }
  }
  return std::nullopt;
}

TaskId AnchoredWalk::choose(const SchedView& view) {
  if (const Anchor* const anchor = come_in(view)) { return anchor->next; }
  const TaskId usual = default_choice(view);
  if (switches_ >= RandomWalk::kSwitchesMax || view.events < chance_.first_event) { return usual; }
  const std::optional<TaskId> held = this->held();
  TaskId next = usual;
  const bool stays = held && view.runnable.size() > 1 && contains(view.runnable, *held);
  if (random_.below(chance_.one_in) == 0 || (stays && next == *held)) {
    uint32_t nth = random_.below(static_cast<uint32_t>(view.runnable.size()) - (stays ? 1 : 0));
    for (const TaskId task : view.runnable) {
      if (stays && task == *held) { continue; }
      next = task;
      if (nth-- == 0) { break; }
    }
  }
  switches_ += next != usual;
  return next;
}

TaskId RandomWalk::pick(const SchedView& view) {
  return view.runnable[random_.below(static_cast<uint32_t>(view.runnable.size()))];
}

uint64_t RandomWalk::budget(const SchedView& view) {
  if (switches_ >= kSwitchesMax) { return kNeverAsk; }
  const uint64_t wait = view.events < first_event_ ? first_event_ - view.events : 0;
  return wait + 1 + random_.below(2 * mean_events_);  // mean_events_ on average
}

TaskId RandomWalk::preempt(const SchedView& view) {
  if (switches_ >= kSwitchesMax || view.events < first_event_) { return view.current; }  // a wake-up asks
  const TaskId next = pick(view);
  switches_ += next != view.current;
  return next;
}

TaskId RandomWalk::choose(const SchedView& view) {
  if (switches_ >= kSwitchesMax) { return default_choice(view); }
  const TaskId next = pick(view);
  switches_ += next != default_choice(view);
  return next;
}

void draw_focus(SmallRandom& random, const SharedObjects& shared, std::span<const daxfs::rt::ObjectId> list,
                SharedObjects* focus) {
  const uint32_t way = random.below(4);
  if (list.empty() || way == 0) {
    *focus = shared;
    return;
  }
  focus->clear();
  const auto any = [&] { return list[random.below(static_cast<uint32_t>(list.size()))]; };
  if (way <= 2) {
    constexpr unsigned kClassShift = 56;  // fs/rt/point.h, object_id
    // A class, not an object: there are many locks and few frames.
    uint64_t classes = 0;
    for (const daxfs::rt::ObjectId object : list) { classes |= uint64_t{1} << (object >> kClassShift) % 64; }
    uint32_t nth = random.below(static_cast<uint32_t>(std::popcount(classes)));
    while (nth-- > 0) { classes &= classes - 1; }
    const auto wanted = static_cast<uint64_t>(std::countr_zero(classes));
    for (const daxfs::rt::ObjectId object : list) {
      if ((object >> kClassShift) % 64 == wanted) { focus->add(object); }
    }
    return;
  }
  const uint32_t count = 1 + random.below(4);
  for (uint32_t i = 0; i < count; ++i) { focus->add(any()); }
}

TaskId ConflictWalk::pick(const SchedView& view) {
  return view.runnable[random_.below(static_cast<uint32_t>(view.runnable.size()))];
}

uint64_t ConflictWalk::budget(const SchedView& view) {
  if (switches_ >= RandomWalk::kSwitchesMax) { return kNeverAsk; }
  return view.events < first_event_ ? first_event_ - view.events : 1;
}

TaskId ConflictWalk::preempt(const SchedView& view) {
  if (view.runnable.size() < 2 || !shared_->has(view.object) || random_.below(one_in_) != 0) { return view.current; }
  const TaskId next = pick(view);
  switches_ += next != view.current;
  return next;
}

TaskId ConflictWalk::choose(const SchedView& view) {
  if (switches_ >= RandomWalk::kSwitchesMax) { return default_choice(view); }
  const TaskId next = pick(view);
  switches_ += next != default_choice(view);
  return next;
}

void Pct::reseed(uint64_t seed, uint32_t depth, uint64_t events_expected, uint64_t first_event) {
  random_ = SmallRandom(seed);
  depth_ = std::clamp(depth, 1u, kDepthMax);
  events_expected_ = std::max<uint64_t>(events_expected, 1);
  first_event_ = first_event;
  asks_at_wakeups_ = random_.below(4) != 0;
}

void Pct::begin_run() {
  priority_.fill(0);
  changes_ = depth_ - 1;
  change_next_ = 0;
  for (uint32_t i = 0; i < changes_; ++i) {
    change_at_[i] =
        first_event_ + random_.below(static_cast<uint32_t>(std::min<uint64_t>(events_expected_, UINT32_MAX)));
  }
  std::sort(change_at_.begin(), change_at_.begin() + changes_);
}

uint32_t& Pct::priority(TaskId task) {
  uint32_t& priority = priority_[static_cast<size_t>(task)];
  if (priority == 0) { priority = kDepthMax + 1 + random_.below(1u << 30); }
  return priority;
}

TaskId Pct::highest(const SchedView& view) {
  TaskId best = view.runnable.front();
  for (const TaskId task : view.runnable) {
    if (priority(task) > priority(best)) { best = task; }
  }
  return best;
}

uint64_t Pct::budget(const SchedView& view) {
  // A task that just became runnable may outrank the current one; look again soon, but not at every event.
  constexpr uint64_t kLookAgain = 16;
  if (change_next_ < changes_) {
    const uint64_t until = change_at_[change_next_] > view.events ? change_at_[change_next_] - view.events : 1;
    return std::min(until, kLookAgain);
  }
  return kLookAgain;
}

TaskId Pct::preempt(const SchedView& view) {
  while (change_next_ < changes_ && view.events >= change_at_[change_next_]) {
    // Later change points give lower priorities, all below every drawn one.
    priority_[static_cast<size_t>(view.current)] = kDepthMax - change_next_;
    ++change_next_;
  }
  return highest(view);
}

TaskId Pct::choose(const SchedView& view) {
  // A spinning task waits for somebody of lower priority: the highest of the others.
  TaskId best = default_choice(view);
  for (const TaskId task : view.runnable) {
    if (task != view.current && priority(task) > priority(best)) { best = task; }
  }
  return best;
}

}  // namespace daxfuzz::sched
