// fs/rt/deadlock_test.cc - the wait-for graph. Fiber flavour.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fs/rt/completion.h"
#include "fs/rt/mutex.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/testing.h"

#if defined(DAXFS_RT_FIBER)

namespace daxfs::rt {
namespace {

using testing::HasSubstr;

void abba(Mutex& first, Mutex& second, Completion& mine, Completion& other) {
  begin_op(4);
  const MutexLock a(first);
  mine.complete();
  other.wait();
  const MutexLock b(second);
  end_op();
}

RunOutcome run_abba(const RunLimits& limits) {
  return run_lambda(
      [] {
        Mutex a(Rank::kNone, "lock A");
        Mutex b(Rank::kNone, "lock B");
        Completion x;
        Completion y;
        spawn("one", [&] { abba(a, b, x, y); });
        spawn("two", [&] { abba(b, a, y, x); });
        join_all_spawned();
      },
      default_policy(), limits);
}

TEST(Deadlock, PrintsTheCycleWithTasksOperationsLocksAndPlaces) {  // RT1
  const RunOutcome outcome = run_abba({});
  ASSERT_TRUE(outcome.finding.has_value());
  const Finding& finding = *outcome.finding;
  EXPECT_EQ(finding.verdict, Verdict::kDeadlock);
  EXPECT_EQ(finding.title, "circular wait: lock B, lock A");
  EXPECT_THAT(finding.detail, HasSubstr("cycle: T0 (one) -> lock B -> T1 (two) -> lock A -> T0 (one)"));
  EXPECT_THAT(finding.detail, HasSubstr("T0 (one) op 4 event"));
  EXPECT_THAT(finding.detail, HasSubstr("waits for lock \"lock B\" at"));
  EXPECT_THAT(finding.detail, HasSubstr("holds lock A [none], taken at"));
  EXPECT_THAT(finding.detail, HasSubstr("deadlock_test.cc:"));
  EXPECT_THAT(finding.detail, HasSubstr("root event"));
  EXPECT_THAT(finding.file, HasSubstr("deadlock_test.cc"));
}

TEST(Deadlock, KeepsStacksOnlyWhenAsked) {
  EXPECT_THAT(run_abba({}).finding->detail, testing::Not(HasSubstr("#0 ")));
  RunLimits limits;
  limits.capture_stacks = true;
  EXPECT_THAT(run_abba(limits).finding->detail, HasSubstr("#2 "));
}

TEST(Deadlock, IsTheSameTextEveryTime) {
  RunLimits limits;
  limits.capture_stacks = true;
  const RunOutcome a = run_abba(limits);
  const RunOutcome b = run_abba(limits);
  EXPECT_EQ(a.finding->detail, b.finding->detail);
  EXPECT_EQ(a.trace_hash, b.trace_hash);
}

TEST(Deadlock, SeesReadersAsOwners) {  // RT1
  const RunOutcome outcome = run_lambda([] {
    RwSem sem(Rank::kNone, "sem");
    Completion never("never");
    spawn("reader", [&] {
      const ReadLock lock(sem);
      never.wait();
    });
    spawn("writer", [&] { const WriteLock lock(sem); });
    join_all_spawned();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->title, "nobody left to wake: never");
  EXPECT_THAT(outcome.finding->detail, HasSubstr("holds sem (shared)"));
  EXPECT_THAT(outcome.finding->detail, HasSubstr("-> T0 (reader)"));
}

TEST(Deadlock, TasksThatJoinEachOtherAreACycle) {  // RT1
  const RunOutcome outcome = run_lambda([] {
    spawn("a", [] { join(1); });
    spawn("b", [] { join(0); });
    Completion().wait();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_THAT(outcome.finding->title, HasSubstr("circular wait"));
}

}  // namespace
}  // namespace daxfs::rt

#endif  // DAXFS_RT_FIBER
