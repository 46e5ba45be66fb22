#include "fuzz/minimize/minimizer.h"

#include <gtest/gtest.h>

#include "fuzz/minimize/test_scene.h"
#include "fuzz/minimize/testing.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::minimize {
namespace {

// The race is between T1's first and T3's second operation; everything else is noise that moves events.
prog::Program noisy() {
  return parse(
      "image csum\nmount dax=inode\nprocess P0\ninit in P0\n  fsync f0\n  lseek f0 3 set\n"
      "process P1\n  lseek f0 9 set\n"
      "task T0 in P0\n  lseek f0 20 set\n  sync\n"
      "task T1 in P1\n  ftruncate f0 40\n  lseek f0 2 set\n  lseek f1 2 end\n"
      "task T2 in P0\n  lseek f0 5 set\n"
      "task T3 in P1\n  lseek f0 6 set\n  fdatasync f0\n  lseek f0 6 set\n"
      "schedule\n  T0 op 1 event 5 -> T2\n  T2 op 1 event 3 -> T1\n  T1 op 1 event 37 -> T3\n  T3 op 3 event 2 -> "
      "T0\n");
}

Result run(const prog::Program& program, const Options& options = {}, Watcher* watcher = nullptr) {
  TestScene scene;
  return minimize(scene, program, options, watcher);
}

bool fires(const prog::Program& program) {
  TestScene scene;
  Trial trial;
  scene.run(program, nullptr, nullptr, &trial);
  return trial.fires;
}

Options with_images() {
  Options options;
  options.images = {"small", "csum", "files"};
  return options;
}

TEST(Minimizer, KeepsTheTwoOperationsAndTheOnePreemptionOfTheRace) {  // MIN1
  ASSERT_TRUE(fires(noisy()));
  const Result result = run(noisy(), with_images());
  EXPECT_EQ(result.end, End::kMinimal);
  EXPECT_FALSE(result.searched);
  const Cost cost = cost_of(result.program);
  EXPECT_EQ(cost.ops, 2u) << prog::print(result.program);
  EXPECT_EQ(cost.preemptions, 1u);
  EXPECT_EQ(cost.tasks, 2u);
  EXPECT_EQ(cost.processes, 1u);
  EXPECT_EQ(result.program.image, "small");
  EXPECT_EQ(result.program.mount, "dax=always");
  EXPECT_TRUE(fires(result.program));
}

TEST(Minimizer, WhatItCallsMinimalLosesTheFindingWithAnyPartLess) {  // MIN2
  const Result result = run(noisy());
  ASSERT_EQ(result.end, End::kMinimal);
  for (size_t i = 0; i < result.program.schedule.size(); ++i) {
    prog::Program less = result.program;
    less.schedule.erase(less.schedule.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_FALSE(fires(less));
  }
  for (size_t t = 0; t < result.program.tasks.size(); ++t) {
    prog::Program less = result.program;
    less.tasks[t].ops.clear();
    EXPECT_FALSE(fires(less));
  }
}

TEST(Minimizer, IsAFunctionOfItsInput) {
  const Result a = run(noisy());
  const Result b = run(noisy());
  EXPECT_EQ(a.program, b.program);
  EXPECT_EQ(a.runs, b.runs);
  EXPECT_EQ(a.trace_hash, b.trace_hash);
}

TEST(Minimizer, LooksNearbyWhenTheRecordedScheduleMissed) {
  prog::Program moved = noisy();
  moved.schedule[2].event = 30;
  ASSERT_FALSE(fires(moved));
  const Result result = run(moved);
  EXPECT_TRUE(result.searched);
  EXPECT_EQ(result.end, End::kMinimal);
  EXPECT_EQ(cost_of(result.program).ops, 2u);
}

TEST(Minimizer, SaysSoWhenThereIsNothingToFind) {
  prog::Program silent = noisy();
  silent.tasks[3].ops.clear();
  silent.schedule.clear();
  Options options;
  options.walks_last = 20;
  const Result result = run(silent, options);
  EXPECT_EQ(result.end, End::kDoesNotFire);
}

TEST(Minimizer, InScheduleModeLeavesTheProgramAlone) {
  Options options;
  options.mode = Mode::kSchedule;
  const Result result = run(noisy(), options);
  EXPECT_EQ(result.end, End::kMinimal);
  prog::Program same = result.program;
  same.schedule = noisy().schedule;
  EXPECT_EQ(same, noisy());
  EXPECT_LE(result.program.schedule.size(), 2u);
  EXPECT_TRUE(fires(result.program));
}

struct StopAfter final : Watcher {
  explicit StopAfter(unsigned n) : left(n) {}
  bool stop() override { return left == 0 || --left == 0; }
  void better(const prog::Program& program, const Cost& /*cost*/) override {
    if (!programs.empty()) { EXPECT_LT(cost_of(program), cost_of(programs.back())); }
    programs.push_back(program);
  }
  unsigned left;
  std::vector<prog::Program> programs;
};

TEST(Minimizer, StoppedAtAnyMomentHasHandedOutItsBest) {
  for (const unsigned n : {1u, 2u, 10u, 40u, 100u, 300u, 1000u}) {
    StopAfter watcher(n);
    const Result result = run(noisy(), {}, &watcher);
    if (watcher.programs.empty()) { continue; }
    EXPECT_EQ(result.program, watcher.programs.back()) << n;
    for (const prog::Program& program : watcher.programs) { EXPECT_TRUE(fires(program)) << n; }
    if (watcher.left == 0) { EXPECT_EQ(result.end, End::kStopped); }
  }
}

TEST(Minimizer, EndsWhenItsRunsAreUsedUp) {
  Options options;
  options.runs_max = 30;
  const Result result = run(noisy(), options);
  EXPECT_EQ(result.end, End::kRunsUsedUp);
  EXPECT_LE(result.runs, 40u);
  EXPECT_TRUE(fires(result.program));
}

}  // namespace
}  // namespace daxfuzz::minimize
