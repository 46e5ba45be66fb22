// fuzz/sched/policies.h - who runs when: replay of a preemption list, with chance in between, random walk, PCT.
// Partial order sampling: pos.h.
//
// A policy is asked only when the running task used up the number of events it was given, blocked, or woke another one
// up (fs/rt/engine.h). Whoever waits for a lock comes in between its release and what the releasing task does next only
// if the policy looks just then; the walks below do in a part of their runs.
// Every policy here is a function of its constructor's arguments; what it chose is in RunOutcome::taken and replays
// through PreemptionList.
//
// Tested by: fuzz/sched/policies_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/rt/engine.h"

namespace daxfuzz::sched {

// "When `task` is at its `event`-th event of operation `op`, run `next`."
struct Anchor {
  daxfs::rt::TaskId task;
  uint32_t op;
  uint64_t event;
  daxfs::rt::TaskId next;
};

// The running task goes on until it blocks, except at the anchors. An anchor whose `next` cannot run then is spent
// without effect; anchors never reached are counted as drift.
class PreemptionList : public daxfs::rt::Policy {
 public:
  void set(std::span<const Anchor> anchors);
  void begin_run() override;
  uint64_t budget(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override;
  // Anchors of the last run that were never reached.
  size_t drift() const;

 protected:
  const Anchor* at(const daxfs::rt::SchedView& view);
  bool reached(const Anchor& anchor) const;

 private:
  std::vector<Anchor> anchors_;  // by task, op, event; of equal ones the first counts
  std::vector<bool> used_;
};

// xorshift of its own: policies run on the engine's side of a point and must be cheap.
class SmallRandom {
 public:
  explicit SmallRandom(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 0x2545f4914f6cdd1d) {}
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1d;
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(((next() >> 32) * bound) >> 32); }

 private:
  uint64_t state_;
};

// Preemptions at the anchors only. Whenever the running task blocks, a task that a later preemption is for waits for it
// if anybody else can run, so that it comes in where it was meant to; and chance decides which of the others goes on.
// That costs no preemption, and which request ends first must not follow from numbers of tasks. An interrupt or a
// worker comes as soon as it is noticed or when somebody blocks, one as likely as the other. In half of the runs the
// task that came in at a preemption and blocked goes on as soon as it can, as one of higher priority would.
// Source of the free choices: Musuvathi, Qadeer, "Iterative context bounding for systematic testing of multithreaded
// programs", PLDI 2007.
class AnchoredWalk final : public PreemptionList {
 public:
  struct Chance {
    uint32_t one_in;          // of so many choices where a task blocks, one is random
    uint32_t events_between;  // on average, from one look for system tasks that became runnable to the next; 0: never
    uint64_t first_event;     // of the run, before which nothing is up to chance
  };
  // After set(). The task of the first of `awaited`, anchors in the order in which they shall happen, that was not
  // reached waits.
  void reseed(uint64_t seed, std::span<const Anchor> awaited, const Chance& chance);
  void begin_run() override;
  bool asks_at_wakeups() const override { return goes_on_; }
  uint64_t budget(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override;

 private:
  std::optional<daxfs::rt::TaskId> held() const;
  const Anchor* come_in(const daxfs::rt::SchedView& view);

  SmallRandom random_{0};
  std::vector<Anchor> awaited_;
  Chance chance_{.one_in = 1, .events_between = 0, .first_event = 0};
  bool goes_on_ = false;
  daxfs::rt::TaskId came_in_ = daxfs::rt::kNoTask;  // at the last preemption
  uint64_t look_at_ = 0;                            // event of the run at which system tasks are looked for
  uint64_t noticed_ = 0;                            // system tasks that can run and were left for later, by bit
  uint32_t switches_ = 0;
};

// After a random number of events, a random runnable task; also when a task blocks and, in half of the runs, when one
// wakes another up.
class RandomWalk final : public daxfs::rt::Policy {
 public:
  // What a program can record: after so many switches the walk goes on without preemptions.
  static constexpr uint32_t kSwitchesMax = 56;

  // `mean_events` between switches, at least 1; none before event `first_event` of the run.
  RandomWalk(uint64_t seed, uint32_t mean_events, uint64_t first_event = 0) : random_(0) {
    reseed(seed, mean_events, first_event);
  }
  void reseed(uint64_t seed, uint32_t mean_events, uint64_t first_event = 0) {
    random_ = SmallRandom(seed);
    mean_events_ = mean_events;
    first_event_ = first_event;
    switches_ = 0;
    asks_at_wakeups_ = random_.below(2) == 0;
  }
  void begin_run() override { switches_ = 0; }
  bool asks_at_wakeups() const override { return asks_at_wakeups_; }
  uint64_t budget(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override;

 private:
  daxfs::rt::TaskId pick(const daxfs::rt::SchedView& view);
  SmallRandom random_;
  bool asks_at_wakeups_ = false;
  uint32_t mean_events_ = 1;
  uint64_t first_event_ = 0;
  uint32_t switches_ = 0;
};

// Objects that more than one task touched: a set with rare false members.
class SharedObjects {
 public:
  void clear() { words_.fill(0); }
  void add(daxfs::rt::ObjectId object) { words_[slot(object) / 64] |= uint64_t{1} << slot(object) % 64; }
  bool has(daxfs::rt::ObjectId object) const { return (words_[slot(object) / 64] >> slot(object) % 64 & 1) != 0; }

 private:
  static constexpr size_t kSlots = 8192;
  static size_t slot(daxfs::rt::ObjectId object) { return (object * 0x9e3779b97f4a7c15) >> 51; }
  std::array<uint64_t, kSlots / 64> words_{};
};
static_assert(8192 == uint64_t{1} << (64 - 51));

// The set that a ConflictWalk shall look at: all of `shared`, those of one class (all frames, all locks...), or one to
// four of them. A race is between few objects; switching at no others leaves few schedules to try.
void draw_focus(SmallRandom& random, const SharedObjects& shared, std::span<const daxfs::rt::ObjectId> list,
                SharedObjects* focus);

// A random walk that switches only where it can matter: at points of objects that earlier runs of the program saw
// shared. The idea of race-directed scheduling: Sen, "Race directed random testing of concurrent programs", PLDI 2008.
class ConflictWalk final : public daxfs::rt::Policy {
 public:
  // Switches at one in `one_in` such points. `shared` is looked at during the run.
  void reseed(uint64_t seed, uint32_t one_in, const SharedObjects* shared, uint64_t first_event) {
    random_ = SmallRandom(seed);
    one_in_ = one_in;
    shared_ = shared;
    first_event_ = first_event;
  }
  void begin_run() override { switches_ = 0; }
  uint64_t budget(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override;

 private:
  daxfs::rt::TaskId pick(const daxfs::rt::SchedView& view);

  SmallRandom random_{0};
  uint32_t one_in_ = 1;
  const SharedObjects* shared_ = nullptr;
  uint64_t first_event_ = 0;
  uint32_t switches_ = 0;
};

// Probabilistic concurrency testing: random priorities, and `depth - 1` points where the running task's priority drops
// below all others. Finds a bug of depth d with probability at least 1 / (n k^(d-1)). In a quarter of the runs a task
// that has a higher priority and wakes up comes in some events later only, as an interrupt may.
// Source: Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler with probabilistic guarantees of
// finding bugs", ASPLOS 2010.
class Pct final : public daxfs::rt::Policy {
 public:
  static constexpr uint32_t kDepthMax = 8;
  // Change points are drawn from events [first_event, first_event + events_expected) of the run: the part in which
  // tasks compete, as an earlier run measured it.
  Pct(uint64_t seed, uint32_t depth, uint64_t events_expected, uint64_t first_event = 1) {
    reseed(seed, depth, events_expected, first_event);
  }
  void reseed(uint64_t seed, uint32_t depth, uint64_t events_expected, uint64_t first_event = 1);
  void begin_run() override;
  bool asks_at_wakeups() const override { return asks_at_wakeups_; }
  uint64_t budget(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override;

 private:
  daxfs::rt::TaskId highest(const daxfs::rt::SchedView& view);
  uint32_t& priority(daxfs::rt::TaskId task);

  SmallRandom random_{0};
  bool asks_at_wakeups_ = true;
  uint32_t depth_ = 1;
  uint64_t events_expected_ = 1;
  uint64_t first_event_ = 1;
  std::array<uint64_t, kDepthMax> change_at_{};  // event numbers of the run, ascending
  uint32_t changes_ = 0;
  uint32_t change_next_ = 0;
  std::array<uint32_t, daxfs::rt::kMaxTasks> priority_{};  // 0: not drawn yet
};

}  // namespace daxfuzz::sched
