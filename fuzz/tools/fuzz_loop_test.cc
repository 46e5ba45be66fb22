// The loop itself, without processes or files: it finds a planted bug, its findings replay, and a seed decides all.
#include "fuzz/tools/fuzz_loop.h"

#include <gtest/gtest.h>

#include "fuzz/prog/text.h"

namespace daxfuzz::tools {
namespace {

class FuzzLoopTest : public ::testing::Test {
 protected:
  void TearDown() override { daxfs::set_historical({}); }

  static void switch_on(const char* id) {
    daxfs::BugSet bugs;
    ASSERT_GT(daxfs::select_historical(id, &bugs), 0u);
    daxfs::set_historical(bugs);
  }
};

TEST_F(FuzzLoopTest, FindsAnEasyBugAndTheFindingReplaysFromItsProgram) {
  switch_on("no-break-layouts-at-all/punch");
  FuzzLoop loop({.seed = 1});
  std::optional<LoopFinding> found;
  for (int step = 0; step < 20000 && !found; ++step) { found = loop.step(); }
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->replayed) << prog::print(found->program);
  EXPECT_EQ(found->key.size(), 16u);
}

// What is left of it if the process dies then.
TEST_F(FuzzLoopTest, ARunIsToldBeforeItBeginsAndItsScheduleAsItGoes) {
  switch_on("no-break-layouts-at-all/punch");
  prog::Program told;
  daxfs::rt::SwitchLog log;
  LoopOptions options{.seed = 3, .policy = PolicyKind::kRandom, .feedback = false};  // the same in every flavour
  options.before_run = [&](const prog::Program& program) { told = program; };
  options.log = &log;
  FuzzLoop loop(options);
  std::optional<LoopFinding> found;
  for (int step = 0; step < 20000 && !found; ++step) {
    found = loop.step();
    if (found && found->program.schedule.empty()) { found.reset(); }  // one task alone shows it
  }
  ASSERT_TRUE(found);
  exec::adopt_schedule(std::span(log.switches, log.count), &told);
  EXPECT_EQ(prog::print(told), prog::print(found->program));
}

TEST_F(FuzzLoopTest, AFindingThatReplaysNineteenTimesOfTwentyIsADefectOfTheHarness) {
  const char* bug = "no-break-layouts-at-all/punch";
  switch_on(bug);
  LoopOptions options{.seed = 1};
  options.before_replay = [&](unsigned turn) {
    daxfs::set_historical({});
    if (turn != 19) { switch_on(bug); }
  };
  FuzzLoop loop(options);
  std::optional<LoopFinding> found;
  for (int step = 0; step < 20000 && !found; ++step) { found = loop.step(); }
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->replayed);
  EXPECT_EQ(found->replays, 19u);
}

// Without feedback and conflict walks: edges and numbers of pooled objects depend on what this process did before (a
// pool that was filled stays so). Traces do not.
TEST_F(FuzzLoopTest, TheSameSeedDoesTheSame) {
  LoopOptions options{.seed = 7, .policy = PolicyKind::kRandom, .feedback = false};
  std::string of_first;
  std::string of_second;
  options.before_run = [&](const prog::Program& program) { of_first = prog::print(program); };
  FuzzLoop first(options);
  options.before_run = [&](const prog::Program& program) { of_second = prog::print(program); };
  FuzzLoop second(options);
  for (int step = 0; step < 200; ++step) {
    first.step();
    second.step();
    ASSERT_EQ(of_first, of_second) << step;
  }
  EXPECT_EQ(first.stats().events, second.stats().events);
}

TEST_F(FuzzLoopTest, FeedbackGrowsACorpusAndWithoutItThereIsNone) {
  FuzzLoop with({.seed = 3});
  FuzzLoop without({.seed = 3, .policy = PolicyKind::kCoverage, .feedback = false});
  for (int step = 0; step < 50; ++step) {
    with.step();
    without.step();
  }
  EXPECT_GT(with.stats().corpus, 5u);
  EXPECT_EQ(without.stats().corpus, 0u);
}

TEST_F(FuzzLoopTest, OneRunInSoManyIsSampledForOrders) {
  auto table = std::make_unique<residual::OrderTable>();
  FuzzLoop loop({.seed = 3, .orders = table.get(), .orders_every = 10});
  for (int step = 0; step < 50; ++step) { loop.step(); }
  EXPECT_EQ(table->runs, (loop.stats().runs + 9) / 10);
  EXPECT_GT(table->orders, 0u);
}

TEST_F(FuzzLoopTest, SamplingChangesNoRun) {
  auto table = std::make_unique<residual::OrderTable>();
  FuzzLoop with(
      {.seed = 7, .policy = PolicyKind::kRandom, .feedback = false, .orders = table.get(), .orders_every = 2});
  FuzzLoop without({.seed = 7, .policy = PolicyKind::kRandom, .feedback = false});
  for (int step = 0; step < 200; ++step) {
    with.step();
    without.step();
  }
  EXPECT_EQ(with.stats().runs, without.stats().runs);
  EXPECT_EQ(with.stats().events, without.stats().events);
}

}  // namespace
}  // namespace daxfuzz::tools
