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

#include "fuzz/sched/order_cell.h"
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
  // `site`: rt::site_hash of the event's; `when`: rt::run_events().
  void record(const daxfs::rt::Event& event, bool write, uint32_t site = 0, uint64_t when = 0) {
    if (count_ == kMax) { return; }
    all_[count_++] = {.object = event.object,
                      .event = static_cast<uint32_t>(event.event_in_op),
                      .op = event.op,
                      .task = event.task,
                      .when = static_cast<uint32_t>(when),
                      .site = site,
                      .write = write,
                      .blocks = event.waits_for != nullptr,
                      .reference = event.kind == daxfs::rt::PointKind::kRef};
  }
  // After the run: only what happened in events [begin, end) of it, while tasks ran, is drawn, and what came of that.
  void keep_events(uint64_t begin, uint64_t end);

  // Whether two tasks touched an object that holds something - a page, a tree, the medium -, one of them writing. Who
  // only takes references to a descriptor or the volume meets nobody there.
  bool met();
  // A preemption of the recorded run, before an access or right after it if it wrote. nullopt: no object met two tasks.
  // Of `tries` the one that makes the order of two places that fewest runs showed; `orders`: how many, by order_cell.
  std::optional<Anchor> draw(SmallRandom& random, unsigned tries = 1, std::span<const uint32_t> orders = {});
  // Two of them that put one access between two of another task: that task runs from before the access up to its next
  // use of the object, or to any event between the two, since what belongs together may be more than one object; then
  // the access happens. nullopt: nothing like that was drawn.
  std::optional<std::array<Anchor, 2>> draw_window(SmallRandom& random, unsigned tries = 1,
                                                   std::span<const uint32_t> orders = {});

 private:
  using Window = std::array<Anchor, 2>;
  class Choice;
  struct Touch {
    daxfs::rt::ObjectId object;
    uint32_t event;
    uint32_t op;
    daxfs::rt::TaskId task;
    uint32_t when;  // in events of the run
    uint32_t site;  // rt::site_hash
    bool write;
    bool blocks;
    bool reference;  // one more or one less
  };
  // One of an interrupt or a worker.
  struct Activation {
    daxfs::rt::TaskId task;
    uint32_t op;
    uint32_t since;               // it can run: when somebody touched what it begins with
    daxfs::rt::TaskId cause;      // who that was
    uint32_t cause_sleeps_until;  // 0 if that task does not wait for it
  };
  // Touches [begin, end) of one object that several tasks touch, one of them writing. [first, first_end) of firsts_: of
  // each task and site the first one. A loop passes its places over and over, and would be drawn all the time.
  struct Group {
    uint32_t begin;
    uint32_t end;
    uint32_t first;
    uint32_t first_end;
    daxfs::rt::ObjectClass object_class;
    bool met;  // as in met()
  };
  // Whether more than one task is among them, and somebody writes.
  static bool conflict(std::span<const Touch> touches, bool references);
  void prepare();
  void find_activations();
  void add_activation(uint32_t first);
  const Activation* activation_of(const Touch& touch) const;
  // Whether `next`, or who does it, can run where `at` is. Of tasks of the program it is taken for granted.
  bool can_follow(const Touch& at, const Touch& next) const;
  void add_firsts(uint32_t begin, uint32_t end);
  std::optional<Anchor> draw_one(SmallRandom& random, std::span<const uint32_t> orders, uint32_t* seen) const;
  std::optional<Window> draw_one_window(SmallRandom& random, std::span<const uint32_t> orders, uint32_t* seen) const;
  using Range = std::pair<uint32_t, uint32_t>;  // [first, second)
  // Of a class first: there are many locks and few frames, and the few are what races are about.
  const Group& draw_group(SmallRandom& random, Range classes) const;
  Range all_classes() const { return {0, static_cast<uint32_t>(classes_.size())}; }

  std::vector<Touch> all_;
  size_t count_ = 0;
  bool ready_ = false;
  std::vector<Activation> activations_;
  std::vector<Group> groups_;     // by class
  std::vector<uint32_t> firsts_;  // of all_, by group
  std::vector<Range> classes_;    // of groups_
  Range data_classes_;            // of classes_: what holds something
};

}  // namespace daxfuzz::sched
