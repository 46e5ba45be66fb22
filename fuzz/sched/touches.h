// fuzz/sched/touches.h - what a run touched, in order, and preemptions drawn from it.
//
// One preemption more, at a place where it matters: before an access of one task to an object that another task
// touches too, and to that task. Added to the schedule that the run followed, the new run is the same up to there.
// Races that need two or three such preemptions are reached one at a time, when each shows something new and is kept.
// Source: the backtracking points of Flanagan, Godefroid, "Dynamic partial-order reduction for model checking
// software", POPL 2005, drawn at random instead of enumerated.
//
// Or two at once: what one task saw of an object, another one changes before it looks again. Source: Lu, Tucek, Qin,
// Zhou, "AVIO: detecting atomicity violations via access interleaving invariants", ASPLOS 2006. Most of these are drawn
// from objects that hold something; locks, queues and requests only say in which order.
//
// Locking: none; record() is engine side (fs/rt/engine.h, Observer): no memory is taken there.
// Tested by: fuzz/sched/touches_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fuzz/sched/policies.h"

namespace daxfuzz::sched {

class Touches {
 public:
  static constexpr size_t kMax = 16384;  // a longer run is recorded up to here

  Touches();

  void clear() {
    count_ = 0;
    ready_ = false;
  }
  void record(const daxfs::rt::Event& event, bool write) {
    if (count_ == kMax) { return; }
    all_[count_++] = {event.object, static_cast<uint32_t>(event.event_in_op), event.op, event.task, write};
  }

  // Whether two tasks touched an object that holds something - a page, a tree, the medium -, one of them writing.
  bool met();
  // A preemption of the recorded run, before an access or right after it if it wrote. nullopt: no object met two tasks.
  std::optional<Anchor> draw(SmallRandom& random);
  // Two of them that put one access between two of another task: that task runs from before the access up to its next
  // use of the object, or to any event between the two, since what belongs together may be more than one object; then
  // the access happens. nullopt: nothing like that was drawn.
  std::optional<std::array<Anchor, 2>> draw_window(SmallRandom& random);

 private:
  struct Touch {
    daxfs::rt::ObjectId object;
    uint32_t event;
    uint32_t op;
    daxfs::rt::TaskId task;
    bool write;
  };
  // Touches [begin, end) of one object that several tasks touch, one of them writing.
  struct Group {
    uint32_t begin;
    uint32_t end;
    daxfs::rt::ObjectClass object_class;
  };
  void prepare();
  using Range = std::pair<uint32_t, uint32_t>;  // [first, second)
  // Of a class first: there are many locks and few frames, and the few are what races are about.
  const Group& draw_group(SmallRandom& random, Range classes) const;
  Range all_classes() const { return {0, static_cast<uint32_t>(classes_.size())}; }

  std::vector<Touch> all_;
  size_t count_ = 0;
  bool ready_ = false;
  std::vector<Group> groups_;   // by class
  std::vector<Range> classes_;  // of groups_
  Range data_classes_;          // of classes_: what holds something
};

}  // namespace daxfuzz::sched
