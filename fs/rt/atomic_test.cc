// fs/rt/atomic_test.cc - atomics and reference counts.
#include "fs/rt/atomic.h"

#include <gtest/gtest.h>

#include "fs/rt/refcount.h"
#include "fs/rt/testing.h"

namespace daxfs::rt {
namespace {

TEST(Atomic, DoesWhatItsNamesSay) {
  Atomic<uint32_t> a(5);
  EXPECT_EQ(a.load(), 5u);
  a.store(6);
  EXPECT_EQ(a.fetch_add(2), 6u);
  EXPECT_EQ(a.fetch_sub(1), 8u);
  EXPECT_EQ(a.fetch_or(8), 7u);
  EXPECT_EQ(a.fetch_and(9), 15u);
  EXPECT_EQ(a.exchange(3), 9u);
  uint32_t expected = 4;
  EXPECT_FALSE(a.compare_exchange(expected, 1));
  EXPECT_EQ(expected, 3u);
  EXPECT_TRUE(a.compare_exchange(expected, 1));
  EXPECT_EQ(a.load_unpointed(), 1u);
}

TEST(Atomic, ReadModifyWriteIsOneStep) {
  Atomic<int> sum(0);
  run_for_test([&] {
    for (int t = 0; t < 4; ++t) {
      spawn("adder", [&] {
        for (int i = 0; i < 1000; ++i) { sum.fetch_add(1); }
      });
    }
  });
  EXPECT_EQ(sum.load(), 4000);
}

TEST(RefCount, CountsDownToTheLast) {
  RefCount ref;
  ref.inc();
  EXPECT_EQ(ref.read(), 2);
  EXPECT_FALSE(ref.dec_and_test());
  EXPECT_TRUE(ref.inc_not_zero());
  EXPECT_TRUE(ref.dec_not_one());
  EXPECT_FALSE(ref.dec_not_one()) << "the last one stays";
  EXPECT_TRUE(ref.inc_not_zero());
  EXPECT_FALSE(ref.dec_and_test());
  EXPECT_TRUE(ref.dec_and_test());
  EXPECT_FALSE(ref.inc_not_zero());
  EXPECT_EQ(ref.load_unpointed(), 0);
}

#if defined(DAXFS_RT_FIBER)

template <typename F>
std::string finding_tag(F&& body) {
  const RunOutcome outcome = run_lambda(body);
  return outcome.finding.has_value() ? outcome.finding->tag : "none";
}

TEST(RefCount, ImpossibleValuesAreVerdicts) {
  EXPECT_EQ(finding_tag([] { static_cast<void>(RefCount(0).dec_and_test()); }), "RC1");
  EXPECT_EQ(finding_tag([] { RefCount(0).inc(); }), "RC2");
  EXPECT_EQ(finding_tag([] { RefCount(RefCount::kSaturated).inc(); }), "RC2");
  EXPECT_EQ(finding_tag([] { static_cast<void>(RefCount(-1).inc_not_zero()); }), "RC2");
}

TEST(Atomic, EveryAccessIsOneEvent) {
  run_for_test([] {
    Atomic<int> a(0);
    const uint64_t before = run_events();
    a.store(1);
    a.load();
    a.fetch_add(1);
    EXPECT_EQ(run_events(), before + 3);
    a.load_unpointed();
    EXPECT_EQ(run_events(), before + 3);
  });
}

#endif

}  // namespace
}  // namespace daxfs::rt
