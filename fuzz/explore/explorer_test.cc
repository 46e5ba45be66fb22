// Exploration finds what plain enumeration finds, in fewer runs; small programs over the engine alone, made at random.
#include "fuzz/explore/explorer.h"

#include <cstdio>
#include <filesystem>
#include <memory>

#include <gtest/gtest.h>

#include "fs/base/compiler.h"
#include "fs/rt/atomic.h"
#include "fs/rt/mutex.h"
#include "fs/rt/rcu.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"
#include "fs/rt/wait_queue.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::explore {
namespace {

using daxfs::rt::Atomic;
using daxfs::rt::Mutex;
using daxfs::rt::WaitQueue;

constexpr size_t kCells = 3;
constexpr size_t kOwn = 2;  // cells of each task alone

enum class What : uint8_t {
  kLoad,
  kStore,
  kAdd,
  kOwnStore,
  kLock,
  kTryLock,
  kWake,
  kReadSection,
  kCallRcu,
  kSleep,
  kUnlock,
};

struct Action {
  What what;
  uint8_t cell;
};

// What a callback behind a grace period does.
struct Later : daxfs::rt::RcuHead {
  Atomic<int>* cell = nullptr;
};

// Each task: a list of actions; the outcome is what the loads saw and what the cells hold at the end.
class Toy final : public Subject {
 public:
  std::vector<std::vector<Action>> tasks;
  int runs = 0;

  void run(daxfs::rt::Policy& policy, RunReport* report) override {
    ++runs;
    uint64_t seen[8] = {};
    const auto outcome = daxfs::rt::run_lambda([&] { play(seen); }, policy, {.events_max = 10000});
    report->tasks_begin = 0;
    report->finding = outcome.finding;
    report->trace_hash = outcome.trace_hash;
    report->taken = outcome.taken;
    uint64_t hash = outcome.finding ? 1 : 0;
    for (const uint64_t value : seen) { hash = (hash ^ value) * 0x100000001b3u; }
    report->outcome = outcome.finding ? 1 : hash;
  }

 private:
  void play(uint64_t* seen) {
    auto cells = std::make_unique<Atomic<int>[]>(kCells);
    auto lock = std::make_unique<Mutex>();
    auto queue = std::make_unique<WaitQueue>("queue");
    auto later = std::make_unique<Later[]>(tasks.size());
    for (size_t t = 0; t < tasks.size(); ++t) {
      daxfs::rt::spawn("task", [&, t] {
        daxfs::rt::begin_op(static_cast<uint32_t>(0));
        Atomic<int> own[kOwn];
        for (const Action& action : tasks[t]) { act(action, t, cells.get(), own, *lock, *queue, later[t], seen); }
        daxfs::rt::end_op();
      });
    }
    daxfs::rt::join_all_spawned();
    daxfs::rt::run_pending_system_tasks();
    for (size_t i = 0; i < kCells; ++i) { seen[7] = seen[7] * 31 + static_cast<uint64_t>(cells[i].load()); }
  }

  // Somebody may forget to wake it: then the run is a deadlock, which is an outcome, too.
  static void sleep_until_set(Atomic<int>& cell, WaitQueue& queue) {
    daxfs::rt::Waiter waiter;
    queue.prepare_to_wait(waiter);
    if (cell.load() == 0) { daxfs::rt::schedule(); }
    queue.finish_wait(waiter);
  }

  static void call_later(Later& later, Atomic<int>& cell) {
    if (later.cell != nullptr) { return; }  // one a task
    later.cell = &cell;
    daxfs::rt::call_rcu(&later, [](daxfs::rt::RcuHead* head) { static_cast<Later*>(head)->cell->fetch_add(5); });
  }

  static void act(const Action& action, size_t t, Atomic<int>* cells, Atomic<int>* own, Mutex& lock, WaitQueue& queue,
                  Later& later, uint64_t* seen) FS_NO_THREAD_SAFETY_ANALYSIS {
    Atomic<int>& cell = cells[action.cell];
    switch (action.what) {
      case What::kLoad: seen[t] = seen[t] * 31 + static_cast<uint64_t>(cell.load()) + 1; return;
      case What::kStore: cell.store(static_cast<int>(t * 10 + action.cell + 1)); return;
      case What::kAdd: cell.fetch_add(static_cast<int>(t + 1)); return;
      case What::kOwnStore: own[action.cell % kOwn].store(1); return;
      case What::kLock: lock.lock(); return;
      case What::kUnlock: lock.unlock(); return;
      case What::kTryLock:
        if (lock.try_lock()) {
          seen[t] = seen[t] * 31 + 7;
          lock.unlock();
        }
        return;
      case What::kWake: queue.wake_all(); return;
      case What::kReadSection: {
        const daxfs::rt::RcuReadGuard section;
        seen[t] = seen[t] * 31 + static_cast<uint64_t>(cell.load()) + 3;
        return;
      }
      case What::kCallRcu: call_later(later, cell); return;
      case What::kSleep: sleep_until_set(cell, queue); return;
    }
  }
};

Result explore(Toy& toy, unsigned preemptions, bool reduce) {
  Explorer explorer(toy,
                    {.preemptions = preemptions, .reduce = reduce, .stop_at_finding = false, .collect_outcomes = true});
  return explorer.run();
}

std::vector<Action> random_task(sched::SmallRandom& random, uint32_t length) {
  std::vector<Action> actions;
  bool locked = false;
  for (uint32_t i = 0; i < length; ++i) {
    auto what = static_cast<What>(random.below(10));
    if (what == What::kCallRcu && random.below(4) != 0) { what = What::kReadSection; }  // a task more each
    if (what == What::kTryLock && locked) { what = What::kUnlock; }
    if (what == What::kLock && locked) { what = What::kUnlock; }
    if (what == What::kLock || what == What::kUnlock) { locked = !locked; }
    actions.push_back({what, static_cast<uint8_t>(random.below(kCells))});
  }
  if (locked) { actions.push_back({What::kUnlock, 0}); }
  return actions;
}

TEST(Explorer, ALostUpdateNeedsOnePreemption) {
  Toy toy;
  // cell 0: two loads and stores that ought to be one; the outcome tells who overwrote whom.
  toy.tasks = {{{What::kLoad, 0}, {What::kStore, 0}}, {{What::kLoad, 0}, {What::kStore, 0}}};
  const Result none = explore(toy, 0, true);
  const Result one = explore(toy, 1, true);
  EXPECT_TRUE(none.complete);
  EXPECT_EQ(none.outcomes.size(), 2u);  // either task may go first
  EXPECT_EQ(one.outcomes.size(), 4u);   // and be overwritten by the other, which read before
}

// What it compares is the same in every flavour.
constexpr int kPrograms = DAXFS_SANITIZED != 0 ? 20 : 60;

TEST(Explorer, SeesWhatPlainEnumerationSees) {
  sched::SmallRandom random(7);
  uint64_t runs = 0;
  uint64_t runs_plain = 0;
  for (int i = 0; i < kPrograms; ++i) {
    Toy toy;
    const uint32_t tasks = 2 + random.below(2);
    for (uint32_t t = 0; t < tasks; ++t) { toy.tasks.push_back(random_task(random, 1 + random.below(5))); }
    for (unsigned preemptions = 0; preemptions <= (tasks == 2 ? 3u : 2u); ++preemptions) {
      const Result plain = explore(toy, preemptions, false);
      const Result reduced = explore(toy, preemptions, true);
      ASSERT_TRUE(plain.complete);
      ASSERT_TRUE(reduced.complete);
      ASSERT_FALSE(reduced.unstable);
      ASSERT_EQ(plain.outcomes, reduced.outcomes) << "program " << i << ", " << preemptions << " preemptions";
      runs += reduced.explored;
      runs_plain += plain.explored;
    }
  }
  EXPECT_LT(runs * 2, runs_plain);  // toys share nearly all they touch; see OwnStateOfTasksCostsNoRuns
}

// The lock is free before the point of its release: whoever shall find it taken must come before the last thing that
// its holder does, even when that is nobody else's business.
TEST(Explorer, ATryLockFindsALockTakenAroundWhatNobodyShares) {
  Toy toy;
  toy.tasks = {{{What::kLock, 0}, {What::kOwnStore, 0}, {What::kUnlock, 0}}, {{What::kTryLock, 0}}};
  EXPECT_EQ(explore(toy, 1, false).outcomes.size(), 2u);
  EXPECT_EQ(explore(toy, 1, true).outcomes.size(), 2u);
}

// A point of RCU is before its deed or behind it. Taken for both, it is two places, and what follows it is no second
// visit to one.
TEST(Explorer, WhatFollowsAReadSectionIsExploredToo) {
  Toy toy;
  toy.tasks = {{{What::kReadSection, 0}, {What::kStore, 1}, {What::kStore, 2}},
               {{What::kReadSection, 0}, {What::kLoad, 1}, {What::kLoad, 2}}};
  EXPECT_EQ(explore(toy, 1, false).outcomes, explore(toy, 1, true).outcomes);
  EXPECT_EQ(explore(toy, 1, true).outcomes.size(), 4u);  // of the two stores T1 sees any
}

// Deeds before their points, one behind the other: between them is a place to preempt.
TEST(Explorer, ASleeperCanFallAsleepAgainBetweenTwoWakes) {
  Toy toy;
  toy.tasks = {{{What::kSleep, 0}, {What::kSleep, 0}}, {{What::kWake, 0}, {What::kWake, 0}}};
  EXPECT_EQ(explore(toy, 1, false).outcomes.size(), 2u);  // a deadlock, or not
  EXPECT_EQ(explore(toy, 1, true).outcomes.size(), 2u);
}

TEST(Explorer, ADeadlockIsFoundWithTheFewestPreemptions) {
  Toy toy;
  toy.tasks = {{{What::kLock, 0}, {What::kAdd, 0}, {What::kLock, 0}}};  // locks what it holds
  Explorer explorer(toy, {.preemptions = 2});
  const Result result = explorer.run();
  ASSERT_TRUE(result.finding);
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(result.progress.level, 0u);
}

TEST(Explorer, OwnStateOfTasksCostsNoRuns) {
  Toy shared;
  shared.tasks = {{{What::kAdd, 0}, {What::kAdd, 0}}, {{What::kAdd, 0}, {What::kAdd, 0}}};
  Toy padded = shared;
  for (auto& task : padded.tasks) { task.insert(task.begin() + 1, 20, {What::kOwnStore, 0}); }
  EXPECT_EQ(explore(shared, 2, true).explored, explore(padded, 2, true).explored);
  EXPECT_LT(explore(shared, 2, false).explored * 10, explore(padded, 2, false).explored);
}

class StopAfter final : public Watcher {
 public:
  explicit StopAfter(uint64_t runs) : left_(runs) {}
  bool go_on(const Progress&) override { return --left_ != 0; }

 private:
  uint64_t left_;
};

TEST(Explorer, GoesOnInAnotherProcessWhereItStopped) {
  sched::SmallRandom random(3);
  Toy toy;
  for (int t = 0; t < 3; ++t) { toy.tasks.push_back(random_task(random, 5)); }
  const Options options{.preemptions = 2, .stop_at_finding = false};
  Explorer whole(toy, options);
  const Result expected = whole.run();
  ASSERT_TRUE(expected.complete);
  ASSERT_GT(expected.explored, 40u);

  const std::string path = testing::TempDir() + "exploration";
  std::string error;
  uint64_t steps = 0;
  Result result;
  for (;; ++steps) {
    Explorer part(toy, options);
    if (steps > 0) { ASSERT_TRUE(part.load(path, "toy", &error)) << error; }
    StopAfter stop(7);
    result = part.run(&stop);
    if (result.complete) { break; }
    ASSERT_TRUE(part.save(path, "toy", &error)) << error;
  }
  EXPECT_GT(steps, 4u);
  EXPECT_EQ(result.explored, expected.explored);
  Explorer other(toy, options);
  EXPECT_FALSE(other.load(path, "another", &error));
  EXPECT_NE(error.find("of another program"), std::string::npos) << error;
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  EXPECT_FALSE(other.load(path, "toy", &error));
  EXPECT_NE(error.find("damaged"), std::string::npos) << error;
  std::remove(path.c_str());
}

}  // namespace
}  // namespace daxfuzz::explore
