// fs/rt/engine_test.cc - runs, schedules, anchors, findings. Fiber flavour; the native part only checks that code runs.
#include "fs/rt/engine.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fs/rt/completion.h"
#include "fs/rt/mutex.h"
#include "fs/rt/step.h"
#include "fs/rt/testing.h"

namespace daxfs::rt {
namespace {

TEST(Run, ExecutesRootAndItsTasksAndReportsNoFinding) {
  int steps = 0;
  const RunOutcome outcome = run_for_test([&] {
    EXPECT_TRUE(run_active());
    EXPECT_EQ(current_task(), kRootTask);
    const TaskId task = spawn("a", [&] { ++steps; });
    EXPECT_EQ(task, 0);
    join(task);
    EXPECT_EQ(steps, 1);
  });
  EXPECT_FALSE(outcome.finding.has_value());
  EXPECT_FALSE(run_active());
}

TEST(SiteHash, DependsOnThePlaceAndNotOnTheObject) {
  const Site here = Site::current();
  const Site there = Site::current();
  EXPECT_EQ(site_hash(here), site_hash(here));
  EXPECT_NE(site_hash(here), site_hash(there));
}

TEST(ObjectIds, AreConstantsOfTheirParts) {
  static_assert(object_id(ObjectClass::kPte, 5) != object_id(ObjectClass::kTree, 5));
  static_assert(object_id(ObjectClass::kPte, 5, 1) != object_id(ObjectClass::kPte, 1, 5));
  static_assert(object_class(object_id(ObjectClass::kPte, ~uint64_t{0}, 7)) == ObjectClass::kPte);
  EXPECT_EQ(object_id(ObjectClass::kFrame, 42) & 0xffff, 42u);
}

#if defined(DAXFS_RT_FIBER)

// Replays a list of switches by anchor; what fuzz/sched does, in small.
class AnchorPolicy : public Policy {
 public:
  explicit AnchorPolicy(std::vector<TakenSwitch> anchors) : anchors_(std::move(anchors)) {}
  uint64_t budget(const SchedView& view) override {
    uint64_t best = kNeverAsk;
    for (const TakenSwitch& a : anchors_) {
      if (a.from == view.current && a.op == view.op && a.event_in_op > view.event_in_op) {
        best = std::min(best, a.event_in_op - view.event_in_op);
      }
    }
    return best;
  }
  TaskId preempt(const SchedView& view) override { return find(view, view.current); }
  TaskId choose(const SchedView& view) override { return find(view, default_choice(view)); }

 private:
  TaskId find(const SchedView& view, TaskId otherwise) const {
    for (const TakenSwitch& a : anchors_) {
      if (a.from == view.current && a.op == view.op && a.event_in_op == view.event_in_op) {
        for (const TaskId task : view.runnable) {
          if (task == a.to) { return task; }
        }
      }
    }
    return otherwise;
  }
  std::vector<TakenSwitch> anchors_;
};

// Pseudo-random decisions, a function of the seed.
class RandomPolicy : public Policy {
 public:
  explicit RandomPolicy(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t budget(const SchedView& /*view*/) override { return 1 + next() % 5; }
  TaskId preempt(const SchedView& view) override { return view.runnable[next() % view.runnable.size()]; }
  TaskId choose(const SchedView& view) override { return view.runnable[next() % view.runnable.size()]; }

 private:
  uint64_t next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return state_ >> 33;
  }
  uint64_t state_;
};

// Three tasks that contend for a lock and log who comes when.
struct Contention {
  std::string log;
  void operator()() {
    Mutex mutex(Rank::kLeaf, "log");
    for (int t = 0; t < 3; ++t) {
      spawn("writer", [this, &mutex, t] {
        for (uint32_t op = 0; op < 4; ++op) {
          begin_op(op);
          yield();
          {
            const MutexLock lock(mutex);
            log += static_cast<char>('a' + t);
            yield();
          }
          end_op();
        }
      });
    }
    join_all_spawned();
  }
};

RunOutcome run_contention(Policy& policy, std::string* log) {
  Contention contention;
  RunOutcome outcome = run_lambda(contention, policy);
  *log = contention.log;
  return outcome;
}

TEST(Schedule, DefaultRunsEachTaskUntilItBlocks) {
  std::string log;
  const RunOutcome outcome = run_contention(default_policy(), &log);
  EXPECT_EQ(log, "aaaabbbbcccc");
  EXPECT_TRUE(outcome.taken.empty());
  EXPECT_EQ(outcome.switches, 4u);  // root -> a -> b -> c -> root
}

TEST(Schedule, SameDecisionsGiveTheSameTraceAndDifferentOnesAnother) {
  std::string log1;
  std::string log2;
  std::string log3;
  RandomPolicy p1(7);
  RandomPolicy p2(7);
  RandomPolicy p3(8);
  const RunOutcome a = run_contention(p1, &log1);
  const RunOutcome b = run_contention(p2, &log2);
  const RunOutcome c = run_contention(p3, &log3);
  EXPECT_EQ(log1, log2);
  EXPECT_EQ(a.trace_hash, b.trace_hash);
  EXPECT_EQ(a.taken, b.taken);
  EXPECT_NE(a.trace_hash, c.trace_hash);
}

TEST(Schedule, TraceHashIsTheSameInEveryBuild) {
  // A change of this number breaks every recorded trace: bump the format version with it.
  std::string log;
  RandomPolicy policy(7);
  const RunOutcome outcome = run_contention(policy, &log);
  EXPECT_EQ(outcome.trace_hash, 0x2e63f35edeb11eeeu) << std::hex << outcome.trace_hash;
}

TEST(Schedule, AnchorsReplayARandomScheduleExactly) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::string log;
    RandomPolicy random(seed);
    const RunOutcome original = run_contention(random, &log);
    ASSERT_FALSE(original.finding.has_value());
    std::string replay_log;
    AnchorPolicy anchors(original.taken);
    const RunOutcome replay = run_contention(anchors, &replay_log);
    ASSERT_EQ(replay_log, log) << "seed " << seed;
    ASSERT_EQ(replay.trace_hash, original.trace_hash) << "seed " << seed;
    ASSERT_EQ(replay.taken, original.taken) << "seed " << seed;
    ASSERT_EQ(replay.events, original.events);
  }
}

TEST(Schedule, AnchorsNameOneEventOfOneOperation) {
  // Preempt task 0 in operation 2 at its second event (the yield after kOpBegin) in favour of task 2.
  AnchorPolicy policy({{0, 2, 2, 2, true}});
  std::string log;
  const RunOutcome outcome = run_contention(policy, &log);
  EXPECT_EQ(log, "aaccccaabbbb");
  ASSERT_EQ(outcome.taken.size(), 1u);
  EXPECT_EQ(outcome.taken[0], (TakenSwitch{0, 2, 2, 2, true}));
}

class CountingObserver : public Observer {
 public:
  void on_event(const Event& event) override {
    ++count;
    if (event.task == 0) { kinds.push_back(event.kind); }
    if (event.task == 0 && event.op == 0) { EXPECT_EQ(event.event_in_op, ++expected_event); }
  }
  uint64_t count = 0;
  uint64_t expected_event = 0;
  std::vector<PointKind> kinds;
};

// Asked at nothing but wake-ups: lets task 1 run if task 0 woke it up.
class AtWakeups final : public Policy {
 public:
  explicit AtWakeups(bool asks) : asks_(asks) {}
  bool asks_at_wakeups() const override { return asks_; }
  uint64_t budget(const SchedView&) override { return kNeverAsk; }
  TaskId preempt(const SchedView& view) override {
    return view.current == 0 && default_choice(view) == 1 ? 1 : view.current;
  }
  TaskId choose(const SchedView& view) override { return default_choice(view); }

 private:
  bool asks_;
};

// Task a lets go of one lock and takes the next; b waits for the first.
std::string between_two_locks(Policy& policy, RunOutcome* outcome) {
  TestLog log;
  *outcome = run_lambda(
      [&log] {
        Mutex first(Rank::kLeaf, "first");
        Mutex second(Rank::kLeaf, "second");
        Completion b_comes;
        spawn("a", [&] {
          first.lock();
          b_comes.wait();
          first.unlock();
          const MutexLock lock(second);
          log += 'a';
        });
        spawn("b", [&] {
          b_comes.complete();
          const MutexLock lock(first);
          log += 'b';
        });
        join_all_spawned();
      },
      policy);
  return log.text();
}

TEST(Schedule, WhoWaitsForALockComesInBeforeTheNextOneIsTakenIfThePolicyAsksAtWakeups) {
  RunOutcome outcome;
  AtWakeups never(false);
  EXPECT_EQ(between_two_locks(never, &outcome), "ab");
  EXPECT_TRUE(outcome.taken.empty());
  AtWakeups asks(true);
  EXPECT_EQ(between_two_locks(asks, &outcome), "ba");
  const auto preempted = [](const TakenSwitch& taken) { return taken.forced && taken.from == 0 && taken.to == 1; };
  EXPECT_EQ(std::ranges::count_if(outcome.taken, preempted), 1);
}

TEST(Observer, SeesEveryEventAndDoesNotChangeTheRun) {
  const auto root = [] {
    spawn("a", [] {
      begin_op(0);
      yield();
      end_op();
    });
  };
  RunLimits limits;
  const RunOutcome plain = run_lambda(root, default_policy(), limits);
  limits.observe = true;
  CountingObserver observer;
  const RunOutcome observed = run_lambda(root, default_policy(), limits, &observer);
  EXPECT_EQ(observed.trace_hash, plain.trace_hash);
  EXPECT_EQ(observed.events, plain.events);
  EXPECT_EQ(observer.count, observed.events);
  EXPECT_THAT(observer.kinds,
              testing::ElementsAre(PointKind::kOpBegin, PointKind::kYield, PointKind::kOpEnd, PointKind::kTask));
}

TEST(Findings, EndTheRunAndLeaveTheEngineUsable) {
  for (int i = 0; i < 50; ++i) {
    Mutex mutex(Rank::kNone, "held for ever");
    bool reached = false;
    const RunOutcome outcome = run_lambda([&] {
      spawn("holder", [&] {
        const MutexLock lock(mutex);
        spawn("blocked", [&] { const MutexLock again(mutex); });
        yield();
        FS_BUG_ON(true, "T1", "broken %d", i);
        reached = true;
      });
    });
    ASSERT_TRUE(outcome.finding.has_value());
    EXPECT_EQ(outcome.finding->verdict, Verdict::kBug);
    EXPECT_EQ(outcome.finding->tag, "T1");
    EXPECT_THAT(outcome.finding->detail, testing::HasSubstr("holds held for ever"));
    EXPECT_FALSE(reached);
    std::string log;
    EXPECT_FALSE(run_contention(default_policy(), &log).finding.has_value());
    EXPECT_EQ(log, "aaaabbbbcccc");
  }
}

TEST(Findings, LivelockIsABudget) {  // RT2
  RunLimits limits;
  limits.events_max = 1000;
  const RunOutcome outcome = run_lambda(
      [] {
        for (;;) { yield(); }
      },
      default_policy(), limits);
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->verdict, Verdict::kLivelock);
  EXPECT_EQ(outcome.finding->tag, "RT2");
  EXPECT_EQ(outcome.events, 1001u);
}

TEST(Findings, GoToThePreviousHandlerAgainAfterTheRun) {
  int seen = 0;
  FindingHandler previous = nullptr;
  void* previous_context = nullptr;
  set_finding_handler([](void* context, Finding&&) { ++*static_cast<int*>(context); }, &seen, &previous,
                      &previous_context);
  const RunOutcome outcome = run_lambda([] { FS_FINDING(Verdict::kWarn, "T2", "inside"); });
  EXPECT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(seen, 0);
  FS_FINDING(Verdict::kWarn, "T2", "outside");
  EXPECT_EQ(seen, 1);
  set_finding_handler(previous, previous_context);
}

TEST(Findings, AnImpossibleChoiceIsTheHarnesssFault) {  // RT3
  class Bad : public AnchorPolicy {
   public:
    Bad() : AnchorPolicy({}) {}
    TaskId choose(const SchedView& /*view*/) override { return 17; }
  };
  Bad policy;
  const RunOutcome outcome = run_lambda([] { spawn("a", [] {}); }, policy);
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->verdict, Verdict::kHarness);
}

TEST(Run, CanBeRepeatedWithoutGrowth) {
  RunOutcome outcome;
  std::string log;
  uint64_t hash = 0;
  for (int i = 0; i < 1000; ++i) {
    Contention contention;
    run_into(
        default_policy(), {}, nullptr, [](void* arg) { (*static_cast<Contention*>(arg))(); }, &contention, &outcome);
    ASSERT_FALSE(outcome.finding.has_value());
    if (i == 0) { hash = outcome.trace_hash; }
    ASSERT_EQ(outcome.trace_hash, hash);
  }
}

TEST(ObjectIds, CountAnewInEveryRun) {
  ObjectId first[2] = {};
  for (ObjectId& id : first) {
    run_for_test([&] { id = new_object_id(ObjectClass::kLock); });
  }
  EXPECT_EQ(first[0], first[1]);
  EXPECT_NE(new_object_id(ObjectClass::kLock), first[0]);
}

TEST(ObjectIds, OfATaskDoNotDependOnWhatOthersMake) {
  const auto second_task_makes = [](int others) {
    ObjectId made = 0;
    run_for_test([&] {
      spawn("first", [others] {
        for (int i = 0; i < others; ++i) { new_object_id(ObjectClass::kLock); }
      });
      spawn("second", [&made] { made = new_object_id(ObjectClass::kLock); });
      join_all_spawned();
    });
    return made;
  };
  EXPECT_EQ(second_task_makes(0), second_task_makes(5));
}

// Hidden from TSan, as all that runs in the host's name on a task's stack.
class Steps final : public StepWatcher {
 public:
  FS_NO_TSAN void also(TaskId task, PointKind kind, ObjectId object) override {
    ++told;
    last_task = task;
    last_kind = kind;
    last_object = object;
  }
  int told = 0;
  TaskId last_task = kNoTask;
  PointKind last_kind = PointKind::kYield;
  ObjectId last_object = 0;
};

TEST(Steps, AreToldWithTheirTaskAndAreNoEvents) {
  const auto events = [](bool tell) {
    return run_for_test([tell] {
             spawn("task", [tell] {
               if (tell) { also(PointKind::kPteRead, 5); }
             });
           })
        .events;
  };
  EXPECT_EQ(events(true), events(false));
  Steps steps;
  {
    const WatchSteps watch(&steps);
    events(true);
    also(PointKind::kPteRead, 6);  // outside a run: of nobody's business
  }
  events(true);
  EXPECT_EQ(steps.told, 1);
  EXPECT_EQ(steps.last_task, 0);
  EXPECT_EQ(steps.last_kind, PointKind::kPteRead);
  EXPECT_EQ(steps.last_object, 5U);
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::rt
