// Orders that partial order sampling draws: replayable, varied, and redrawn where events race.
#include "fuzz/sched/pos.h"

#include <set>

#include <gtest/gtest.h>

#include "fs/rt/atomic.h"
#include "fs/rt/mutex.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"

namespace daxfuzz::sched {
namespace {

using daxfs::rt::Atomic;
using daxfs::rt::Policy;
using daxfs::rt::RunOutcome;

enum class What { kAddShared, kLoadShared, kAddOwn };

// Two tasks; each touches a cell so often, and logs its letter; b a | when it is about to begin.
struct PosScene {
  What what = What::kAddShared;
  int times_a = 10;
  int times_b = 10;
  std::string order;

  RunOutcome run(Policy& policy) {
    daxfs::rt::TestLog log;
    RunOutcome outcome = daxfs::rt::run_lambda(
        [&] {
          Atomic<int> shared(0);
          for (const char name : {'a', 'b'}) {
            daxfs::rt::spawn("task", [&, name] {
              Atomic<int> own(0);
              daxfs::rt::begin_op(0);
              if (name == 'b') { log += '|'; }
              for (int i = 0; i < (name == 'a' ? times_a : times_b); ++i) {
                if (what == What::kAddShared) { shared.fetch_add(1); }
                if (what == What::kLoadShared) { (void)shared.load(); }
                if (what == What::kAddOwn) { own.fetch_add(1); }
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

TEST(Pos, ItsRunsReplayFromWhatTheyTook) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Pos pos(seed);
    PosScene scene;
    const RunOutcome recorded = scene.run(pos);
    const std::string order = scene.order;
    std::vector<Anchor> anchors;
    for (const auto& taken : recorded.taken) { anchors.push_back({taken.from, taken.op, taken.event_in_op, taken.to}); }
    PreemptionList replay;
    replay.set(anchors);
    EXPECT_EQ(scene.run(replay).trace_hash, recorded.trace_hash) << seed;
    EXPECT_EQ(scene.order, order) << seed;
    EXPECT_EQ(replay.drift(), 0u) << seed;
    Pos again(seed);
    EXPECT_EQ(scene.run(again).trace_hash, recorded.trace_hash) << seed;
  }
}

TEST(Pos, SeedsGiveDifferentOrders) {
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Pos pos(seed);
    PosScene scene;
    scene.run(pos);
    orders.insert(scene.order);
  }
  EXPECT_GT(orders.size(), 60u);
}

// How many seeds of 4000 let the one access of b, once it is pending, lose to at least six of a's.
int late_seeds(What what) {
  int late = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    Pos pos(seed);
    PosScene scene{.what = what, .times_a = 12, .times_b = 1, .order = {}};
    scene.run(pos);
    late += scene.order.find('b') - scene.order.find('|') > 6;
  }
  return late;
}

// A racing event has a new chance after each that it lost to: it loses six times in 2^-6 of the runs. One that races
// with nothing keeps its priority, and having drawn low goes on losing.
TEST(Pos, AnEventThatLostARaceIsDrawnAnew) {
  const int racing = late_seeds(What::kAddShared);
  const int reading = late_seeds(What::kLoadShared);
  const int apart = late_seeds(What::kAddOwn);
  EXPECT_LT(racing * 2, reading) << racing << " " << reading << " " << apart;
  EXPECT_LT(racing * 2, apart) << racing << " " << reading << " " << apart;
}

// The other half of the promise: who races with nobody is hardly interrupted.
TEST(Pos, TasksThatShareNothingSwitchSeldom) {
  uint64_t apart = 0;
  uint64_t racing = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Pos pos(seed);
    PosScene own{.what = What::kAddOwn, .times_a = 25, .times_b = 25, .order = {}};
    apart += own.run(pos).switches;
    PosScene shared{.what = What::kAddShared, .times_a = 25, .times_b = 25, .order = {}};
    racing += shared.run(pos).switches;
  }
  EXPECT_LT(apart * 2, racing) << apart << " " << racing;
}

TEST(Pos, ASpinningTaskLetsTheOthersGoOn) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Pos pos(seed);
    const RunOutcome outcome = daxfs::rt::run_lambda(
        [] {
          Atomic<int> ready(0);
          for (int spinner = 0; spinner < 2; ++spinner) {
            daxfs::rt::spawn("spinner", [&] {
              while (ready.load() == 0) { daxfs::rt::yield(); }
            });
          }
          daxfs::rt::spawn("setter", [&] { ready.store(1); });
          daxfs::rt::join_all_spawned();
        },
        pos, {.events_max = 10000});
    EXPECT_FALSE(outcome.finding) << seed;
  }
}

TEST(Pos, NothingIsPreemptedBeforeTheFirstEventOfInterest) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Pos pos(seed, 1000000);
    PosScene scene;
    scene.run(pos);
    EXPECT_TRUE(scene.order == "aaaaaaaaaa|bbbbbbbbbb" || scene.order == "|bbbbbbbbbbaaaaaaaaaa") << scene.order;
  }
}

}  // namespace
}  // namespace daxfuzz::sched
