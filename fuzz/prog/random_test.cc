// fuzz/prog/random_test.cc - the random numbers are those of the published algorithms, for ever.
#include "fuzz/prog/random.h"

#include <gtest/gtest.h>

namespace daxfuzz::prog {
namespace {

// splitmix64(0) begins e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f f88bb8a8724c81ec
// (published test vector); xoshiro256** from that state gives these. A change would silently change
// what every recorded seed means.
TEST(Random, SequenceOfSeedZeroNeverChanges) {
  Random random(0);
  EXPECT_EQ(random.next(), 0x99ec5f36cb75f2b4u);
  EXPECT_EQ(random.next(), 0xbf6e1f784956452au);
  EXPECT_EQ(random.next(), 0x1a5f849d4933e6e0u);
}

TEST(Random, BelowStaysBelowAndReachesBothEnds) {
  Random random(7);
  bool seen[5] = {};
  for (int i = 0; i < 1000; i++) {
    const uint32_t value = random.below(5);
    ASSERT_LT(value, 5u);
    seen[value] = true;
  }
  for (bool s : seen) { EXPECT_TRUE(s); }
  EXPECT_EQ(random.below(0), 0u);
  EXPECT_EQ(random.below(1), 0u);
}

TEST(Random, BetweenIncludesBothEnds) {
  Random random(8);
  bool low = false;
  bool high = false;
  for (int i = 0; i < 1000; i++) {
    const int64_t value = random.between(-2, 2);
    ASSERT_GE(value, -2);
    ASSERT_LE(value, 2);
    low |= value == -2;
    high |= value == 2;
  }
  EXPECT_TRUE(low && high);
}

}  // namespace
}  // namespace daxfuzz::prog
