#include "fuzz/exec/honesty.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::exec {
namespace {

constexpr const char* kBug = "no-break-layouts-at-all/punch";

class Honesty : public testing::Test {
 protected:
  void SetUp() override {
    if (daxfs::select_historical(kBug, &bugs_) == 0) { GTEST_SKIP() << "no historical bugs compiled in"; }
    daxfs::set_historical(bugs_);
    std::ifstream in(std::string("corpus/bugs/") + kBug + "/program.txt");
    std::stringstream text;
    text << in.rdbuf();
    std::string error;
    ASSERT_TRUE(prog::parse(text.str(), kBug, &program_, &error)) << error;
    Outcome outcome;
    executor_.run(program_, {}, &outcome);
    ASSERT_TRUE(outcome.finding);
    finding_ = *outcome.finding;
    trace_ = outcome.trace_hash;
  }
  void TearDown() override { daxfs::set_historical({}); }

  daxfs::BugSet bugs_;
  Executor executor_;
  prog::Program program_;
  daxfs::Finding finding_;
  uint64_t trace_ = 0;
};

TEST_F(Honesty, AFindingReplaysEveryTimeOnWarmAndColdMachines) {
  EXPECT_EQ(equal_replays(executor_, program_, finding_, trace_), kHonestReplays);
}

TEST_F(Honesty, ALoopThatAClockEndsIsNotWaitedForTwentyTimes) {
  EXPECT_EQ(replays_needed(finding_), kHonestReplays);
  finding_.tag = kLoopTag;
  EXPECT_EQ(replays_needed(finding_), 2u);
}

TEST_F(Honesty, AnotherTraceOrAnotherKeyIsNotTheSame) {
  EXPECT_EQ(equal_replays(executor_, program_, finding_, trace_ + 1), 0u);
  daxfs::Finding another = finding_;
  another.tag = "O99";
  EXPECT_EQ(equal_replays(executor_, program_, another, trace_), 0u);
}

TEST_F(Honesty, OneReplayInTwentyThatDiffersIsNoticed) {
  const auto weather = [&](unsigned turn) { daxfs::set_historical(turn == 17 ? daxfs::BugSet() : bugs_); };
  EXPECT_EQ(equal_replays(executor_, program_, finding_, trace_, weather), 17u);
}

}  // namespace
}  // namespace daxfuzz::exec
