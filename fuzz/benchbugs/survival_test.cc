// Kaplan-Meier by hand: what censored trials change and what they must not.
#include "fuzz/benchbugs/survival.h"

#include <gtest/gtest.h>

namespace daxfuzz::benchbugs {
namespace {

constexpr bool kFound = true;
constexpr bool kCensored = false;

TEST(KaplanMeier, WithoutCensoringItIsTheShareThatIsLeft) {
  const Curve curve = kaplan_meier({{4, kFound}, {1, kFound}, {3, kFound}, {2, kFound}});
  ASSERT_EQ(curve.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(curve[i].time, static_cast<double>(i + 1));
    EXPECT_NEAR(curve[i].surviving, 1 - static_cast<double>(i + 1) / 4, 1e-12);
  }
  EXPECT_DOUBLE_EQ(median(curve).value(), 2);
  EXPECT_NEAR(mean_until(curve, 100), 2.5, 1e-12);
}

// The example every textbook has, in small: 6, 6, 6, 6+, 7, 9+, 10, 10+: S(6)=5/8, S(7)=5/8*3/4, S(10)=that/2.
TEST(KaplanMeier, ACensoredTrialCountsForAsLongAsItRan) {
  const Curve curve = kaplan_meier({{6, kFound},
                                    {6, kFound},
                                    {6, kFound},
                                    {6, kCensored},
                                    {7, kFound},
                                    {9, kCensored},
                                    {10, kFound},
                                    {10, kCensored}});
  ASSERT_EQ(curve.size(), 3u);
  EXPECT_NEAR(curve[0].surviving, 5.0 / 8, 1e-12);
  EXPECT_NEAR(curve[1].surviving, 5.0 / 8 * 3 / 4, 1e-12);
  EXPECT_NEAR(curve[2].surviving, 5.0 / 8 * 3 / 4 / 2, 1e-12);
  EXPECT_DOUBLE_EQ(median(curve).value(), 7);
}

TEST(KaplanMeier, AMedianThatWasNotReachedIsNone) {
  EXPECT_FALSE(median(kaplan_meier({{1, kFound}, {5, kCensored}, {5, kCensored}})));
  EXPECT_FALSE(median(kaplan_meier({})));
  EXPECT_FALSE(median(kaplan_meier({{5, kCensored}})));
  EXPECT_TRUE(median(kaplan_meier({{1, kFound}, {5, kCensored}})));
}

TEST(KaplanMeier, TheMeanWithinABudgetCountsUnfoundTrialsWithTheBudget) {
  EXPECT_NEAR(mean_until(kaplan_meier({{10, kCensored}, {10, kCensored}}), 10), 10, 1e-12);
  EXPECT_NEAR(mean_until(kaplan_meier({{2, kFound}, {10, kCensored}}), 10), 6, 1e-12);
  EXPECT_NEAR(mean_until(kaplan_meier({{2, kFound}, {10, kCensored}}), 1), 1, 1e-12);
}

}  // namespace
}  // namespace daxfuzz::benchbugs
