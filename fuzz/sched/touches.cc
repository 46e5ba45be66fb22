#include "fuzz/sched/touches.h"

#include <algorithm>
#include <tuple>

namespace daxfuzz::sched {
namespace {

constexpr unsigned kWindowTries = 4;

// Not what tasks wait for each other with.
bool is_data(daxfs::rt::ObjectClass object_class) {
  using daxfs::rt::ObjectClass;
  switch (object_class) {
    case ObjectClass::kAtomic:
    case ObjectClass::kFrame:
    case ObjectClass::kPte:
    case ObjectClass::kTree:
    case ObjectClass::kPmem:
    case ObjectClass::kInode: return true;
    case ObjectClass::kNone:
    case ObjectClass::kLock:
    case ObjectClass::kWaitQueue:
    case ObjectClass::kBio:
    case ObjectClass::kTask:
    case ObjectClass::kOp:
    case ObjectClass::kCount: return false;
  }
  return false;
}

// Of some drawn the one that was seen least often.
template <typename Drawn, typename Draw>
std::optional<Drawn> rarest(unsigned tries, Draw draw) {
  std::optional<Drawn> best;
  uint32_t best_seen = UINT32_MAX;
  for (; tries > 0; --tries) {
    uint32_t seen = 0;
    const std::optional<Drawn> drawn = draw(&seen);
    if (!drawn || (best && seen >= best_seen)) { continue; }
    best = drawn;
    best_seen = seen;
  }
  return best;
}

}  // namespace

Touches::Touches() : all_(kMax) {}

// REQUIRES: touches are in the order in which they happened.
void Touches::find_activations() {
  activations_.clear();
  for (uint32_t i = 0; i < count_; ++i) {
    if (all_[i].task < daxfs::rt::kFirstSystemTask) { continue; }
    if (activation_of(all_[i]) == nullptr) { add_activation(i); }
  }
}

void Touches::add_activation(uint32_t first) {
  const Touch& begin = all_[first];
  Activation activation{begin.task, begin.op, begin.when, daxfs::rt::kRootTask, 0};
  for (uint32_t i = first; i-- > 0;) {
    if (all_[i].object != begin.object || all_[i].task == begin.task) { continue; }
    activation.since = all_[i].when;
    activation.cause = all_[i].task;
    break;
  }
  const Touch* sleeps = nullptr;  // the last touch of who caused it, if it blocked there
  for (uint32_t i = first; i-- > 0 && sleeps == nullptr;) {
    if (all_[i].task == activation.cause) { sleeps = &all_[i]; }
  }
  if (sleeps != nullptr && sleeps->blocks) {
    activation.cause_sleeps_until = UINT32_MAX;
    for (uint32_t i = first; i < count_; ++i) {
      if (all_[i].object != sleeps->object || all_[i].task == activation.cause) { continue; }
      activation.cause_sleeps_until = all_[i].when;
      break;
    }
  }
  activations_.push_back(activation);
}

void Touches::keep_events(uint64_t begin, uint64_t end) {
  const auto forget = [&](auto unwanted) {
    const auto last = std::remove_if(all_.begin(), all_.begin() + static_cast<ptrdiff_t>(count_), unwanted);
    count_ = static_cast<size_t>(last - all_.begin());
  };
  forget([&](const Touch& touch) { return touch.when < begin; });
  find_activations();
  forget([&](const Touch& touch) {
    const Activation* const activation = touch.when < end ? nullptr : activation_of(touch);
    return activation != nullptr && activation->since >= end;
  });
}

const Touches::Activation* Touches::activation_of(const Touch& touch) const {
  for (const Activation& activation : activations_) {
    if (activation.task == touch.task && activation.op == touch.op) { return &activation; }
  }
  return nullptr;
}

bool Touches::can_follow(const Touch& at, const Touch& next) const {
  if (next.task >= daxfs::rt::kFirstSystemTask) {
    const Activation* const activation = activation_of(next);
    return activation == nullptr || at.when > activation->since;
  }
  if (at.task < daxfs::rt::kFirstSystemTask) { return true; }
  const Activation* const activation = activation_of(at);
  return activation == nullptr || activation->cause != next.task || at.when > activation->cause_sleeps_until;
}

bool Touches::conflict(std::span<const Touch> touches, bool references) {
  const Touch* first = nullptr;
  bool shared = false;
  bool written = false;
  for (const Touch& touch : touches) {
    if (touch.reference && !references) { continue; }
    if (first == nullptr) { first = &touch; }
    shared |= touch.task != first->task;
    written |= touch.write;
  }
  return shared && written;
}

void Touches::prepare() {
  ready_ = true;
  groups_.clear();
  firsts_.clear();
  classes_.clear();
  // By object, which sorts by class, too: the class is in the highest bits (fs/rt/point.h).
  const auto touches = std::span(all_).first(count_);
  std::sort(touches.begin(), touches.end(), [](const Touch& a, const Touch& b) {
    return std::tie(a.object, a.task, a.op, a.event) < std::tie(b.object, b.task, b.op, b.event);
  });
  for (uint32_t begin = 0; begin < touches.size();) {
    uint32_t end = begin;
    while (end < touches.size() && touches[end].object == touches[begin].object) { ++end; }
    const auto of_object = touches.subspan(begin, end - begin);
    if (conflict(of_object, /*references=*/true)) {
      const auto group = static_cast<uint32_t>(groups_.size());
      const auto first = static_cast<uint32_t>(firsts_.size());
      add_firsts(begin, end);
      const auto first_end = static_cast<uint32_t>(firsts_.size());
      const auto object_class = daxfs::rt::object_class(touches[begin].object);
      const bool counter = object_class == daxfs::rt::ObjectClass::kAtomic;
      const bool met = is_data(object_class) && (!counter || conflict(of_object, /*references=*/false));
      groups_.push_back({begin, end, first, first_end, object_class, met});
      if (group == 0 || groups_[group - 1].object_class != groups_[group].object_class) {
        classes_.emplace_back(group, group);
      }
      classes_.back().second = group + 1;
    }
    begin = end;
  }
  data_classes_ = {0, 0};
  for (uint32_t i = 0; i < classes_.size(); ++i) {
    if (!is_data(groups_[classes_[i].first].object_class)) { continue; }
    if (data_classes_.second == 0) { data_classes_.first = i; }
    data_classes_.second = i + 1;
  }
}

// Of touches of one object, by task: those of a site that the task had not passed before.
void Touches::add_firsts(uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end;) {
    const uint32_t task_begin = static_cast<uint32_t>(firsts_.size());
    const daxfs::rt::TaskId task = all_[i].task;
    for (; i < end && all_[i].task == task; ++i) {
      const bool passed = std::any_of(firsts_.begin() + task_begin, firsts_.end(),
                                      [&](uint32_t first) { return all_[first].site == all_[i].site; });
      if (!passed) { firsts_.push_back(i); }
    }
  }
}

const Touches::Group& Touches::draw_group(SmallRandom& random, Range classes) const {
  const auto [first, last] = classes_[classes.first + random.below(classes.second - classes.first)];
  return groups_[first + random.below(last - first)];
}

bool Touches::met() {
  if (!ready_) { prepare(); }
  return std::ranges::any_of(groups_, &Group::met);
}

// The touches of a group that are drawn from: all, or of each place the first.
class Touches::Choice {
 public:
  Choice(const Touches& touches, const Group& group, SmallRandom& random)
      : firsts_(std::span(touches.firsts_).subspan(group.first, group.first_end - group.first)), begin_(group.begin) {
    all_ = random.below(2) == 0;
    size_ = all_ ? group.end - group.begin : static_cast<uint32_t>(firsts_.size());
  }
  uint32_t size() const { return size_; }
  uint32_t nth(uint32_t n) const { return all_ ? begin_ + n : firsts_[n]; }

 private:
  std::span<const uint32_t> firsts_;
  uint32_t begin_;
  uint32_t size_;
  bool all_;
};

std::optional<Anchor> Touches::draw_one(SmallRandom& random, std::span<const uint32_t> orders, uint32_t* seen) const {
  const Choice choice(*this, draw_group(random, all_classes()), random);
  const Touch& at = all_[choice.nth(random.below(choice.size()))];
  // Somebody else who touches the object: from a random place on, round.
  const uint32_t start = random.below(choice.size());
  for (uint32_t i = 0; i < choice.size(); ++i) {
    const Touch& other = all_[choice.nth((start + i) % choice.size())];
    if (other.task == at.task || !(other.write || at.write) || !can_follow(at, other)) { continue; }
    // Before it, or after it: what was written is there for the other one to see, what was read becomes stale.
    const uint32_t after = random.below(2);
    if (!orders.empty()) {
      *seen = orders[after != 0 ? order_cell(at.site, other.site) : order_cell(other.site, at.site)];
    }
    return Anchor{at.task, at.op, at.event + after, other.task};
  }
  return std::nullopt;
}

std::optional<Anchor> Touches::draw(SmallRandom& random, unsigned tries, std::span<const uint32_t> orders) {
  if (!ready_) { prepare(); }
  if (groups_.empty()) { return std::nullopt; }
  return rarest<Anchor>(tries, [&](uint32_t* seen) { return draw_one(random, orders, seen); });
}

std::optional<Touches::Window> Touches::draw_one_window(SmallRandom& random, std::span<const uint32_t> orders,
                                                        uint32_t* seen) const {
  const bool data = data_classes_.second != 0 && random.below(4) != 0;
  for (unsigned tries = 0; tries < kWindowTries; ++tries) {
    const Group& group = draw_group(random, data ? data_classes_ : all_classes());
    const Choice choice(*this, group, random);
    const Touch& at = all_[choice.nth(random.below(choice.size()))];
    const uint32_t start = random.below(choice.size());
    for (uint32_t i = 0; i < choice.size(); ++i) {
      const uint32_t n = choice.nth((start + i) % choice.size());
      if (n == group.begin || all_[n].task == at.task) { continue; }
      const Touch& before = all_[n - 1];  // touches of one task are together, in its order
      const Touch& again = all_[n];
      if (before.task != again.task || !(at.write || (before.write && again.write))) { continue; }
      if (!can_follow(at, again) || !can_follow(again, at)) { continue; }
      if (!orders.empty()) {
        *seen = std::min(orders[order_cell(before.site, at.site)], orders[order_cell(at.site, again.site)]);
      }
      uint64_t event = again.event;
      if (before.op == again.op && random.below(2) == 0) { event -= random.below(again.event - before.event); }
      return std::array{Anchor{at.task, at.op, at.event, again.task}, Anchor{again.task, again.op, event, at.task}};
    }
  }
  return std::nullopt;
}

std::optional<Touches::Window> Touches::draw_window(SmallRandom& random, unsigned tries,
                                                    std::span<const uint32_t> orders) {
  if (!ready_) { prepare(); }
  if (groups_.empty()) { return std::nullopt; }
  return rarest<Window>(tries, [&](uint32_t* seen) { return draw_one_window(random, orders, seen); });
}

}  // namespace daxfuzz::sched
