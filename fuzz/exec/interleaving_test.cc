// fuzz/exec/interleaving_test.cc - which meetings of tasks count as coverage, and which do not.
#include "fuzz/exec/interleaving.h"

#include <gtest/gtest.h>

#include "fuzz/exec/executor.h"
#include "fuzz/prog/text.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::exec {
namespace {

TEST(Interleaving, CountClassesAreThoseOfAFuzzer) {
  EXPECT_EQ(count_class(0), 0);
  EXPECT_EQ(count_class(1), 1);
  EXPECT_EQ(count_class(3), 3);
  EXPECT_EQ(count_class(4), 4);
  EXPECT_EQ(count_class(7), 4);
  EXPECT_EQ(count_class(8), 5);
  EXPECT_EQ(count_class(127), 7);
  EXPECT_EQ(count_class(255), 8);
}

#if defined(DAXFS_RT_FIBER)

prog::Program parse(const char* body) {
  prog::Program program;
  std::string error;
  EXPECT_TRUE(prog::parse(std::string("daxfuzz program 1\n") + body, "test", &program, &error)) << error;
  return program;
}

// Cells of a run under one random schedule (0: the program's own).
std::vector<uint16_t> cells(const prog::Program& program, uint64_t seed) {
  static Executor& executor = *new Executor;
  Outcome outcome;
  InterleavingCoverage coverage;
  executor.run(program, {}, &outcome);
  sched::RandomWalk walk(seed, 8, outcome.tasks_begin);
  coverage.begin_run();
  RunConfig config;
  config.observer = &coverage;
  if (seed != 0) { config.policy = &walk; }
  executor.run(program, config, &outcome);
  EXPECT_FALSE(outcome.finding);
  for (const uint16_t cell : coverage.touched()) { EXPECT_NE(coverage.counts()[cell], 0); }
  return {coverage.touched().begin(), coverage.touched().end()};
}

constexpr const char* kTwoWriters = R"(init in P0
  f = open "f0" rdwr|creat
  ftruncate f 8K
  m = mmap f 0 8K read|write shared
task T0 in P0
  store m 0 8K 0x41
task T1 in P0
  pwrite f 0x42 8K 0
)";

TEST(Interleaving, SameRunHasTheSameCells) {
  const prog::Program program = parse(kTwoWriters);
  EXPECT_EQ(cells(program, 7), cells(program, 7));
}

TEST(Interleaving, OtherSchedulesOfOneProgramHaveOtherCells) {
  const prog::Program program = parse(kTwoWriters);
  std::vector<bool> seen(InterleavingCoverage::kCells);
  size_t fresh = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (const uint16_t cell : cells(program, seed)) {
      fresh += !seen[cell] && seed > 1;
      seen[cell] = true;
    }
  }
  EXPECT_GT(fresh, 20u);
}

TEST(Interleaving, ProgramOfOneTaskHasFewerCellsThanTwoThatMeet) {
  const prog::Program one = parse("task T0\n  f = open \"f0\" rdwr|creat\n  pwrite f 0x42 8K 0\n");
  EXPECT_LT(cells(one, 0).size(), cells(parse(kTwoWriters), 3).size());
}

#endif

}  // namespace
}  // namespace daxfuzz::exec
