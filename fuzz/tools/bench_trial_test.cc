// A trial ends at its finding or at its budget, and says which.
#include "fuzz/tools/bench_trial.h"

#include <gtest/gtest.h>

namespace daxfuzz::tools {
namespace {

using benchbugs::End;

class BenchTrial : public ::testing::Test {
 protected:
  void TearDown() override { daxfs::set_historical({}); }
};

TEST_F(BenchTrial, EndsAtItsFirstFinding) {
  TrialTask task{.bugs = {}, .policy = PolicyKind::kPos, .seed = 1, .cpu_seconds = 60, .findings_dir = {}};
  ASSERT_GT(daxfs::select_historical("no-break-layouts-at-all/punch", &task.bugs), 0u);
  TrialShared shared{};
  run_trial(task, &shared);
  EXPECT_EQ(shared.ended, 1u);
  EXPECT_EQ(shared.end, End::kExposed);
  EXPECT_STREQ(shared.verdict, "WARNING");
  EXPECT_GT(shared.runs, 0u);
  EXPECT_GT(shared.cpu_seconds, 0);
  EXPECT_LT(shared.cpu_seconds, 60);
}

TEST_F(BenchTrial, OfTheCleanBuildEndsWithItsBudget) {
  TrialShared shared{};
  const double before = process_cpu_seconds();
  run_trial({.bugs = {}, .policy = PolicyKind::kRandom, .seed = 1, .cpu_seconds = 0.3, .findings_dir = {}}, &shared);
  EXPECT_EQ(shared.end, End::kBudget);
  EXPECT_DOUBLE_EQ(shared.cpu_seconds, 0.3);
  EXPECT_GE(process_cpu_seconds() - before, 0.3);
}

}  // namespace
}  // namespace daxfuzz::tools
