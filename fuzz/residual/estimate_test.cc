// fuzz/residual/estimate_test.cc - estimators against populations whose size is known.
#include "fuzz/residual/estimate.h"

#include <memory>

#include <gtest/gtest.h>

#include "fuzz/prog/random.h"
#include "fuzz/residual/testing.h"

namespace daxfuzz::residual {
namespace {

// `runs` runs, each of which shows each of `species` orders with the chance 1/odds.
Residual sample(uint32_t species, uint32_t runs, uint32_t odds) {
  auto table = std::make_unique<OrderTable>();
  prog::Random random(7);
  for (uint32_t run = 0; run < runs; ++run) {
    ++table->runs;
    ++table->runs_of_pair[kOpen][kMmap];
    for (uint32_t i = 0; i < species; ++i) {
      if (random.chance(1, odds)) { table->add({i, i + 1, kOpen, kMmap}); }
    }
  }
  return residual(*table);
}

TEST(Estimate, FormulasOnNumbersDoneByHand) {
  const Estimate estimate = {.runs = 10, .seen = 12, .once = 6, .twice = 2, .sightings = 30};
  EXPECT_DOUBLE_EQ(0.9 * 6 * 5 / (2 * 3), estimate.unseen());
  EXPECT_DOUBLE_EQ(0.8, estimate.coverage());
  EXPECT_DOUBLE_EQ(0.6, estimate.next());
}

TEST(Estimate, NothingSeenAndNothingRunAreNoNumbersOutOfRange) {
  EXPECT_EQ(0, Estimate{}.unseen());
  EXPECT_EQ(0, Estimate{}.coverage());
  EXPECT_EQ(0, Estimate{}.next());
}

TEST(Estimate, FindsThePopulationsSizeFromAPartOfIt) {
  const Residual out = sample(1000, 20, 40);  // about 40 % are seen
  EXPECT_LT(out.all.seen, 500u);
  EXPECT_NEAR(1000, static_cast<double>(out.all.seen) + out.all.unseen(), 150);
}

TEST(Estimate, SaysNearlyNothingIsLeftWhenAllWasSeenOften) {
  const Residual out = sample(1000, 400, 10);
  EXPECT_EQ(1000u, out.all.seen);
  EXPECT_LT(out.all.unseen(), 1);
  EXPECT_GT(out.all.coverage(), 0.99);
}

TEST(Estimate, PredictsHowManyNewOnesTheNextRunShows) {
  const uint32_t runs = 30;
  const Residual before = sample(10000, runs, 40);
  const Residual after = sample(10000, runs + 2, 40);  // the same draws, and two runs more
  const double shown = static_cast<double>(after.all.seen - before.all.seen) / 2;
  EXPECT_NEAR(shown, before.all.next(), 0.2 * before.all.next());
}

TEST(Estimate, PairsThatNeverRanTogetherAreCounted) {
  const Residual out = sample(10, 5, 2);
  EXPECT_EQ(prog::kOpCount * (prog::kOpCount + 1) / 2, out.pairs_possible());
  EXPECT_EQ(out.pairs_possible() - 1, out.pairs_never_together() + (out.pair(kMmap, kOpen).runs != 0));
  EXPECT_EQ(0u, out.pairs_without_conflict());
}

TEST(OrderTable, MergeAddsRunsOfTheSameOrder) {
  auto a = std::make_unique<OrderTable>();
  auto b = std::make_unique<OrderTable>();
  a->add({1, 2, kOpen, kMmap});
  b->add({1, 2, kOpen, kMmap});
  b->add({2, 1, kOpen, kMmap});
  b->runs = 3;
  a->merge(*b);
  const Residual out = residual(*a);
  EXPECT_EQ(2u, out.all.seen);
  EXPECT_EQ(1u, out.all.once);
  EXPECT_EQ(1u, out.all.twice);
  EXPECT_EQ(3u, out.all.runs);
}

TEST(OrderTable, AFullTableSaysSoInsteadOfLooping) {
  auto table = std::make_unique<OrderTable>();
  for (uint32_t i = 0; i < OrderTable::kOrdersMax + 10; ++i) { table->add({i, ~i, kOpen, kMmap}); }
  EXPECT_EQ(10u, table->dropped);
  EXPECT_EQ(uint64_t{OrderTable::kOrdersMax}, residual(*table).all.seen);
}

}  // namespace
}  // namespace daxfuzz::residual
