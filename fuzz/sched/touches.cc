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
    case ObjectClass::kAtomic: case ObjectClass::kFrame: case ObjectClass::kPte: case ObjectClass::kTree:
    case ObjectClass::kPmem: case ObjectClass::kInode:
      return true;
    case ObjectClass::kNone: case ObjectClass::kLock: case ObjectClass::kWaitQueue: case ObjectClass::kBio:
    case ObjectClass::kTask: case ObjectClass::kOp: case ObjectClass::kCount:
      return false;
  }
  return false;
}

}  // namespace

Touches::Touches() : all_(kMax) {}

void Touches::prepare() {
  ready_ = true;
  groups_.clear();
  classes_.clear();
  // By object, which sorts by class, too: the class is in the highest bits (fs/rt/point.h).
  const auto touches = std::span(all_).first(count_);
  std::sort(touches.begin(), touches.end(), [](const Touch& a, const Touch& b) {
    return std::tie(a.object, a.task, a.op, a.event) < std::tie(b.object, b.task, b.op, b.event);
  });
  for (uint32_t begin = 0; begin < touches.size();) {
    uint32_t end = begin;
    bool shared = false;
    bool written = false;
    for (; end < touches.size() && touches[end].object == touches[begin].object; ++end) {
      shared |= touches[end].task != touches[begin].task;
      written |= touches[end].write;
    }
    if (shared && written) {
      const auto group = static_cast<uint32_t>(groups_.size());
      groups_.push_back({begin, end, daxfs::rt::object_class(touches[begin].object)});
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

const Touches::Group& Touches::draw_group(SmallRandom& random, Range classes) const {
  const auto [first, last] = classes_[classes.first + random.below(classes.second - classes.first)];
  return groups_[first + random.below(last - first)];
}

bool Touches::met() {
  if (!ready_) { prepare(); }
  for (uint32_t i = data_classes_.first; i < data_classes_.second; ++i) {
    // Counts are shared by all who use a descriptor or the volume.
    if (groups_[classes_[i].first].object_class != daxfs::rt::ObjectClass::kAtomic) { return true; }
  }
  return false;
}

std::optional<Anchor> Touches::draw(SmallRandom& random) {
  if (!ready_) { prepare(); }
  if (groups_.empty()) { return std::nullopt; }
  const Group& group = draw_group(random, all_classes());
  const uint32_t size = group.end - group.begin;
  const Touch& at = all_[group.begin + random.below(size)];
  // Somebody else who touches the object: from a random place on, round.
  const uint32_t start = random.below(size);
  for (uint32_t i = 0; i < size; ++i) {
    const Touch& other = all_[group.begin + (start + i) % size];
    if (other.task == at.task || !(other.write || at.write)) { continue; }
    // What was written is there for the other one to see once the next event comes.
    return Anchor{at.task, at.op, at.event + (at.write ? random.below(2) : 0), other.task};
  }
  return std::nullopt;
}

std::optional<std::array<Anchor, 2>> Touches::draw_window(SmallRandom& random) {
  if (!ready_) { prepare(); }
  if (groups_.empty()) { return std::nullopt; }
  const bool data = data_classes_.second != 0 && random.below(4) != 0;
  for (unsigned tries = 0; tries < kWindowTries; ++tries) {
    const Group& group = draw_group(random, data ? data_classes_ : all_classes());
    const uint32_t size = group.end - group.begin;
    const Touch& at = all_[group.begin + random.below(size)];
    const uint32_t start = random.below(size);
    for (uint32_t i = 0; i < size; ++i) {
      const uint32_t n = group.begin + (start + i) % size;
      if (n == group.begin || all_[n].task == at.task) { continue; }
      const Touch& before = all_[n - 1];  // touches of one task are together, in its order
      const Touch& again = all_[n];
      if (before.task != again.task || !(at.write || (before.write && again.write))) { continue; }
      uint64_t event = again.event;
      if (before.op == again.op && random.below(2) == 0) { event -= random.below(again.event - before.event); }
      return std::array{Anchor{at.task, at.op, at.event, again.task}, Anchor{again.task, again.op, event, at.task}};
    }
  }
  return std::nullopt;
}

}  // namespace daxfuzz::sched
