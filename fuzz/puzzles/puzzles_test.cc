#include "fuzz/puzzles/puzzles.h"

#include <gtest/gtest.h>

#include "fuzz/puzzles/self_check.h"

namespace daxfuzz::puzzles {
namespace {

TEST(Puzzles, EachPlantedBugIsFoundFromEverySeedAndItsSoundTwinIsSilent) {
  for (const Puzzle& puzzle : puzzles()) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      EXPECT_NE(solve(puzzle, true, seed), 0u) << puzzle.name << " seed " << seed;
      EXPECT_EQ(solve(puzzle, false, seed), 0u) << puzzle.name << " seed " << seed;
    }
  }
}

TEST(Puzzles, SelfCheckIsSatisfied) { EXPECT_EQ(self_check(), ""); }

}  // namespace
}  // namespace daxfuzz::puzzles
