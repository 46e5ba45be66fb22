#include "fuzz/sched/policies.h"

#include <algorithm>
#include <array>
#include <set>

#include <gtest/gtest.h>

#include "fs/rt/atomic.h"
#include "fs/rt/completion.h"
#include "fs/rt/irq.h"
#include "fs/rt/mutex.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"

namespace daxfuzz::sched {
namespace {

using daxfs::rt::Atomic;
using daxfs::rt::Policy;
using daxfs::rt::RunOutcome;
using daxfs::rt::TaskId;

// Two tasks, ten increments each, in one operation; records who did the n-th.
struct Scene {
  std::string order;
  RunOutcome run(Policy& policy) {
    daxfs::rt::TestLog log;
    RunOutcome outcome = daxfs::rt::run_lambda(
        [&log] {
          Atomic<int> shared(0);
          for (char name : {'a', 'b'}) {
            daxfs::rt::spawn("task", [&log, &shared, name] {
              daxfs::rt::begin_op(0);
              for (int i = 0; i < 10; ++i) {
                shared.fetch_add(1);
                log += name;
              }
              daxfs::rt::end_op();
            });
          }
          daxfs::rt::join_all_spawned();
        },
        policy);
    order = log.text();
    return outcome;
  }
};

std::vector<Anchor> anchors_of(const RunOutcome& outcome) {
  std::vector<Anchor> anchors;
  for (const auto& taken : outcome.taken) { anchors.push_back({taken.from, taken.op, taken.event_in_op, taken.to}); }
  return anchors;
}

TEST(PreemptionList, WithoutAnchorsTasksRunToTheirEnd) {
  PreemptionList policy;
  Scene scene;
  scene.run(policy);
  EXPECT_EQ(scene.order, "aaaaaaaaaabbbbbbbbbb");
}

TEST(PreemptionList, AnAnchorSwitchesAtItsEventAndOneOutOfReachIsDrift) {
  PreemptionList policy;
  // Event 1 is kOpBegin, event 2 the point before the first increment.
  const Anchor anchors[] = {{0, 0, 4, 1}, {0, 7, 1, 1}};
  policy.set(anchors);
  Scene scene;
  scene.run(policy);
  EXPECT_EQ(scene.order, "aabbbbbbbbbbaaaaaaaa");
  EXPECT_EQ(policy.drift(), 1u);
}

TEST(RandomWalk, ItsRunsReplayFromWhatTheyTook) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomWalk walk(seed, 3);
    Scene scene;
    const RunOutcome recorded = scene.run(walk);
    const std::string order = scene.order;
    PreemptionList replay;
    replay.set(anchors_of(recorded));
    const RunOutcome again = scene.run(replay);
    EXPECT_EQ(scene.order, order) << seed;
    EXPECT_EQ(again.trace_hash, recorded.trace_hash) << seed;
    EXPECT_EQ(replay.drift(), 0u) << seed;
  }
}

TEST(RandomWalk, SeedsGiveDifferentOrders) {
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    RandomWalk walk(seed, 2);
    Scene scene;
    scene.run(walk);
    orders.insert(scene.order);
  }
  EXPECT_GT(orders.size(), 60u);  // some runs end before the second task is spawned
}

// Task a waits for c before it counts; b only counts.
std::string wait_then_count(Policy& policy, RunOutcome* outcome = nullptr) {
  daxfs::rt::TestLog log;
  RunOutcome ran = daxfs::rt::run_lambda(
      [&log] {
        Atomic<int> shared(0);
        daxfs::rt::Completion go;
        daxfs::rt::spawn("a", [&] {
          daxfs::rt::begin_op(0);
          go.wait();
          for (int i = 0; i < 3; ++i) {
            shared.fetch_add(1);
            log += 'a';
          }
          daxfs::rt::end_op();
        });
        daxfs::rt::spawn("b", [&] {
          for (int i = 0; i < 3; ++i) {
            shared.fetch_add(1);
            log += 'b';
          }
        });
        daxfs::rt::spawn("c", [&] { go.complete(); });
        daxfs::rt::join_all_spawned();
      },
      policy);
  if (outcome != nullptr) { *outcome = ran; }
  return log.text();
}

// Three tasks that hand a lock to each other, a hundred times each.
RunOutcome hand_over(Policy& policy) {
  return daxfs::rt::run_lambda(
      [] {
        daxfs::rt::Mutex lock(daxfs::rt::Rank::kLeaf, "handed over");
        for (int task = 0; task < 3; ++task) {
          daxfs::rt::spawn("task", [&lock] {
            for (int i = 0; i < 100; ++i) {
              const daxfs::rt::MutexLock held(lock);
              daxfs::rt::Atomic<int>(0).fetch_add(1);
            }
          });
        }
        daxfs::rt::join_all_spawned();
      },
      policy);
}

TEST(RandomWalk, WakeUpsPreemptNeitherBeforeTheFirstEventNorMoreThanAProgramRecords) {
  size_t most = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    RandomWalk walk(seed, 2);
    most = std::max(most, hand_over(walk).taken.size());
    RandomWalk late(seed, 2, 1'000'000);
    const RunOutcome outcome = hand_over(late);
    EXPECT_TRUE(std::ranges::none_of(outcome.taken, &daxfs::rt::TakenSwitch::forced)) << seed;
  }
  EXPECT_EQ(most, RandomWalk::kSwitchesMax);
}

// Task b waits a hundred times for what a completes.
RunOutcome hand_out(Policy& policy) {
  return daxfs::rt::run_lambda(
      [] {
        std::array<daxfs::rt::Completion, 100> parts;
        daxfs::rt::spawn("a", [&parts] {
          daxfs::rt::begin_op(0);
          for (daxfs::rt::Completion& part : parts) {
            part.complete();
            Atomic<int>(0).fetch_add(1);
          }
          daxfs::rt::end_op();
        });
        daxfs::rt::spawn("b", [&parts] {
          for (daxfs::rt::Completion& part : parts) { part.wait(); }
        });
        daxfs::rt::join_all_spawned();
      },
      policy);
}

TEST(AnchoredWalk, WhoGoesOnAsSoonAsItCanDoesSoNoMoreThanAProgramRecords) {
  const Anchor anchor{0, 0, 2, 1};
  size_t most = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    AnchoredWalk walk;
    walk.set(std::span(&anchor, 1));
    walk.reseed(seed, std::span(&anchor, 1), {.one_in = 1000, .events_between = 0, .first_event = 0});
    most = std::max(most, hand_out(walk).taken.size());
    EXPECT_EQ(walk.drift(), 0u) << seed;
  }
  EXPECT_EQ(most, RandomWalk::kSwitchesMax + 1);  // and the preemption that was asked for
}

TEST(AnchoredWalk, WhoIsAwaitedDoesNotComeBeforeItsPreemption) {
  uint64_t event = 0;  // of a, right after its first increment
  for (uint64_t at = 2; at < 40 && event == 0; ++at) {
    const Anchor anchor{0, 0, at, 1};
    AnchoredWalk walk;
    walk.set(std::span(&anchor, 1));
    walk.reseed(1, std::span(&anchor, 1), {.one_in = 1000, .events_between = 0, .first_event = 0});
    if (wait_then_count(walk).substr(0, 4) == "abbb") { event = at; }
  }
  ASSERT_NE(event, 0u);
  const Anchor anchor{0, 0, event, 1};
  PreemptionList list;
  list.set(std::span(&anchor, 1));
  EXPECT_EQ(wait_then_count(list), "bbbaaa");  // a waits, so b runs too early
  int meant = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    AnchoredWalk walk;
    walk.set(std::span(&anchor, 1));
    walk.reseed(seed, std::span(&anchor, 1), {.one_in = 3, .events_between = 0, .first_event = 0});
    RunOutcome recorded;
    const std::string order = wait_then_count(walk, &recorded);
    EXPECT_EQ(order.front(), 'a') << seed;
    meant += order == "abbbaa";  // a has an event less, and its anchor another place, where c came first
    PreemptionList replay;
    replay.set(anchors_of(recorded));
    RunOutcome again;
    wait_then_count(replay, &again);
    EXPECT_EQ(again.trace_hash, recorded.trace_hash) << seed;
  }
  EXPECT_GT(meant, 20);
}

TEST(AnchoredWalk, ChanceDecidesWhoGoesOnWhenATaskBlocks) {
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    AnchoredWalk walk;
    walk.set({});
    walk.reseed(seed, {}, {.one_in = 1, .events_between = 0, .first_event = 0});
    orders.insert(wait_then_count(walk));
  }
  EXPECT_EQ(orders, (std::set<std::string>{"aaabbb", "bbbaaa"}));  // and preempts nobody
}

TEST(AnchoredWalk, AnInterruptComesAtOnceOrWhenSomebodyBlocks) {
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    daxfs::rt::TestLog log;
    AnchoredWalk walk;
    walk.set({});
    walk.reseed(seed, {}, {.one_in = 2, .events_between = 1, .first_event = 0});
    daxfs::rt::run_lambda(
        [&log] {
          daxfs::rt::spawn("a", [&log] {
            Atomic<int> own(0);
            daxfs::rt::raise_irq([](void* arg) { *static_cast<daxfs::rt::TestLog*>(arg) += '!'; }, &log);
            for (int i = 0; i < 3; ++i) {
              own.fetch_add(1);
              log += 'a';
            }
          });
          daxfs::rt::join_all_spawned();
        },
        walk);
    orders.insert(log.text());
  }
  EXPECT_EQ(orders, (std::set<std::string>{"!aaa", "aaa!"}));
}

// Task a changes what b looks at between two locks; b comes in at a preemption of a and has to wait for the first.
// RETURNS: whether b saw what a had not finished.
bool sees_half(Policy& policy, RunOutcome* outcome) {
  bool seen = false;
  *outcome = daxfs::rt::run_lambda(
      [&seen] {
        daxfs::rt::Mutex first(daxfs::rt::Rank::kLeaf, "first");
        daxfs::rt::Mutex second(daxfs::rt::Rank::kLeaf, "second");
        Atomic<int> done(0);
        daxfs::rt::spawn("a", [&] {
          daxfs::rt::begin_op(0);
          for (int i = 0; i < 20; ++i) { done.fetch_add(1); }
          first.lock();
          for (int i = 0; i < 20; ++i) { done.fetch_add(1); }
          first.unlock();
          second.lock();
          done.fetch_add(1);
          second.unlock();
          daxfs::rt::end_op();
        });
        daxfs::rt::spawn("b", [&] {
          const daxfs::rt::MutexLock lock(first);
          seen = done.load() == 40;
        });
        daxfs::rt::join_all_spawned();
      },
      policy);
  return seen;
}

TEST(AnchoredWalk, WhoCameInAndHadToWaitGoesOnAsSoonAsItCanInHalfOfTheRuns) {
  const Anchor anchor{0, 0, 30, 1};  // a has the first lock
  RunOutcome recorded;
  PreemptionList list;
  list.set(std::span(&anchor, 1));
  EXPECT_FALSE(sees_half(list, &recorded));
  int seen = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    AnchoredWalk walk;
    walk.set(std::span(&anchor, 1));
    walk.reseed(seed, std::span(&anchor, 1), {.one_in = 1000, .events_between = 0, .first_event = 0});
    const bool half = sees_half(walk, &recorded);
    seen += half;
    PreemptionList replay;
    replay.set(anchors_of(recorded));
    EXPECT_EQ(sees_half(replay, &recorded), half) << seed;
  }
  EXPECT_GT(seen, 10);
  EXPECT_LT(seen, 40);
}

TEST(Pct, AWaiterOfHigherPriorityComesInBetweenTwoLocks) {
  int seen = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Pct pct(seed, 2, 60);
    RunOutcome outcome;
    seen += sees_half(pct, &outcome);
  }
  EXPECT_GT(seen, 50);  // 94; 23 if policies look at every 16th event only
}

TEST(Pct, DepthOneNeverInterleavesAndDepthTwoChangesOnce) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Pct pct(seed, 1, 60);
    Scene scene;
    scene.run(pct);
    EXPECT_TRUE(scene.order == "aaaaaaaaaabbbbbbbbbb" || scene.order == "bbbbbbbbbbaaaaaaaaaa") << scene.order;
  }
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Pct pct(seed, 2, 60);
    Scene scene;
    scene.run(pct);
    size_t changes = 0;
    for (size_t i = 1; i < scene.order.size(); ++i) { changes += scene.order[i] != scene.order[i - 1]; }
    EXPECT_LE(changes, 3u) << scene.order;
    orders.insert(scene.order);
  }
  EXPECT_GT(orders.size(), 10u);
}

}  // namespace
}  // namespace daxfuzz::sched
