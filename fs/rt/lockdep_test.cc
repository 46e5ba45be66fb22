// fs/rt/lockdep_test.cc - every misuse of locks is a verdict that names both places. Fiber flavour.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fs/rt/lock_rank.h"
#include "fs/rt/mutex.h"
#include "fs/rt/rcu.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/testing.h"
#include "fs/rt/wait_queue.h"

#if defined(DAXFS_RT_FIBER)

namespace daxfs::rt {
namespace {

using testing::HasSubstr;

// Runs `body` in a task and expects a finding with this tag.
template <typename F>
Finding expect_misuse(const char* tag, F&& body) {
  const RunOutcome outcome = run_lambda([&] { spawn("culprit", [&] { body(); }); });
  if (!outcome.finding.has_value()) {
    ADD_FAILURE() << "no finding, expected " << tag;
    return {};
  }
  EXPECT_EQ(outcome.finding->verdict, Verdict::kLockMisuse);
  EXPECT_EQ(outcome.finding->tag, tag) << outcome.finding->title;
  EXPECT_THAT(outcome.finding->file, HasSubstr("lockdep_test.cc"));
  EXPECT_THAT(outcome.finding->detail, HasSubstr("T0 (culprit)"));
  return *outcome.finding;
}

TEST(Lockdep, SleepUnderASpinlockIsAVerdict) {  // LD1
  SpinLock spin(Rank::kNone, "spin");
  Mutex mutex(Rank::kNone, "mutex");
  const Finding finding = expect_misuse("LD1", [&] {
    const SpinGuard guard(spin);
    const MutexLock lock(mutex);
  });
  EXPECT_THAT(finding.title, HasSubstr("spinlock"));
  EXPECT_THAT(finding.detail, HasSubstr("spin [none], taken at"));
}

TEST(Lockdep, ScheduleUnderASpinlockIsAVerdict) {  // LD1
  SpinLock spin;
  expect_misuse("LD1", [&] {
    const SpinGuard guard(spin);
    schedule();
  });
}

TEST(Lockdep, SleepInsideAnRcuReadSectionIsAVerdict) {  // LD1
  const Finding finding = expect_misuse("LD1", [&] {
    const RcuReadGuard guard;
    might_sleep();
  });
  EXPECT_THAT(finding.title, HasSubstr("RCU"));
}

TEST(Lockdep, RecursionIsAVerdict) FS_NO_THREAD_SAFETY_ANALYSIS {  // LD2; misuse on purpose
  Mutex mutex(Rank::kInode, "inode");
  EXPECT_THAT(expect_misuse("LD2",
                            [&]() FS_NO_THREAD_SAFETY_ANALYSIS {  // misuse on purpose
                              mutex.lock();
                              mutex.lock();
                            })
                  .title,
              HasSubstr("inode"));
  SpinLock spin;
  expect_misuse("LD2", [&]() FS_NO_THREAD_SAFETY_ANALYSIS {  // misuse on purpose
    spin.lock();
    spin.lock();
  });
  RwSem sem(Rank::kInode, "sem");
  expect_misuse("LD2", [&]() FS_NO_THREAD_SAFETY_ANALYSIS {  // misuse on purpose
    sem.down_read();
    sem.down_read();
  });
}

TEST(Lockdep, RankInversionIsAVerdictThatNamesBothLocks) {  // LD3
  Mutex outer(Rank::kInode, "outer");
  RwSem inner(Rank::kDataSem, "inner");
  const Finding finding = expect_misuse("LD3", [&] {
    const WriteLock write(inner);
    const MutexLock lock(outer);
  });
  EXPECT_EQ(finding.title, "rank inversion: outer [inode] taken under inner [data-sem]");
  EXPECT_THAT(finding.detail, HasSubstr("held: inner [data-sem], taken at"));
}

TEST(Lockdep, EqualRanksNeedGrowingSubclasses) {  // LD3
  Mutex a(Rank::kInode, "a");
  Mutex b(Rank::kInode, "b");
  Mutex c(Rank::kInode, "c");
  run_for_test([&] {
    const MutexLock first(a);
    const MutexLock second(b, 1);
    const MutexLock third(c, 2);
  });
  expect_misuse("LD3", [&] {
    const MutexLock first(a);
    const MutexLock second(b);
  });
  Mutex d(Rank::kInode, "d");
  expect_misuse("LD3", [&] {
    const MutexLock first(b, 1);
    const MutexLock second(d, 1);
  });
}

TEST(Lockdep, ReleaseOutOfOrderKeepsTheCheckRight) {  // LD3
  Mutex a(Rank::kInode, "a");
  Mutex b(Rank::kGroup, "b");
  Mutex c(Rank::kXattr, "c");
  Mutex none(Rank::kNone, "none");
  run_for_test([&] {
    a.lock();
    b.lock();
    a.unlock();
    none.lock();
    b.unlock();
    c.lock();  // fine: the greatest rank is gone
    none.unlock();
    c.unlock();
  });
}

TEST(Lockdep, TryLockIsNotCheckedForRank) {
  Mutex a(Rank::kInode, "a");
  Mutex b(Rank::kGroup, "b");
  run_for_test([&] {
    const MutexLock lock(b);
    if (a.try_lock()) { a.unlock(); }
  });
}

TEST(Lockdep, PseudoLocksTakePart) {  // LD3, LD4, LD6
  constexpr ObjectId kHandle = object_id(ObjectClass::kOp, 1);
  RwSem inode(Rank::kInode, "inode");
  expect_misuse("LD3", [&] {
    rank_acquire(Rank::kHandle, kHandle);
    const WriteLock lock(inode);
  });
  expect_misuse("LD4", [&] { rank_release(Rank::kHandle, kHandle); });
  expect_misuse("LD6", [&] {
    begin_op(0);
    rank_acquire(Rank::kDaxEntry, kHandle);
    end_op();
  });
  run_for_test([&] {
    rank_acquire(Rank::kHandle, kHandle);
    EXPECT_TRUE(rank_held(Rank::kHandle));
    rank_release(Rank::kHandle, kHandle);
    EXPECT_FALSE(rank_held(Rank::kHandle));
  });
}

TEST(Lockdep, UnbalancedAndForeignUnlocksAreVerdicts) {  // LD4, LD5
  Mutex mutex(Rank::kNone, "mutex");
  expect_misuse("LD4", [&]() FS_NO_THREAD_SAFETY_ANALYSIS { mutex.unlock(); });  // misuse on purpose
  RwSem sem(Rank::kNone, "sem");
  expect_misuse("LD4", [&]() FS_NO_THREAD_SAFETY_ANALYSIS { sem.up_read(); });  // misuse on purpose
  expect_misuse("LD4", [] { rcu_read_unlock(); });
  const RunOutcome outcome = run_lambda([&] {
    const MutexLock lock(mutex);
    join(spawn("thief", [&]() FS_NO_THREAD_SAFETY_ANALYSIS { mutex.unlock(); }));  // misuse on purpose
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "LD5");
  EXPECT_THAT(outcome.finding->detail, HasSubstr("owner: root"));
}

TEST(Lockdep, ALockHeldAtTheEndOfAnOperationIsAVerdictAtItsAcquisition) {  // LD6
  Mutex mutex(Rank::kInode, "inode");
  uint32_t line = 0;
  const Finding finding = expect_misuse("LD6", [&]() FS_NO_THREAD_SAFETY_ANALYSIS {  // misuse on purpose
    begin_op(2);
    line = __LINE__ + 1;
    mutex.lock();
    end_op();
  });
  EXPECT_EQ(finding.line, line);
  EXPECT_THAT(finding.title, HasSubstr("inode"));
  EXPECT_THAT(finding.title, HasSubstr("operation"));
  EXPECT_THAT(finding.detail, HasSubstr("op 2 event 2"));
  expect_misuse("LD6", [] {
    begin_op(0);
    rcu_read_lock();
    end_op();
  });
}

TEST(Lockdep, ALockHeldAtTheEndOfATaskIsAVerdict) {  // LD6
  Mutex mutex;
  expect_misuse("LD6", [&]() FS_NO_THREAD_SAFETY_ANALYSIS { mutex.lock(); });  // misuse on purpose
}

TEST(Lockdep, AssertHeldObjectsWhenItIsNot) {  // LD7
  Mutex mutex(Rank::kNone, "mutex");
  expect_misuse("LD7", [&] { mutex.assert_held(); });
  RwSem sem(Rank::kNone, "sem");
  expect_misuse("LD7", [&] {
    const ReadLock lock(sem);
    sem.assert_held_read();
    [&]() FS_NO_THREAD_SAFETY_ANALYSIS { sem.assert_held_write(); }();  // misuse on purpose
  });
}

}  // namespace
}  // namespace daxfs::rt

#endif  // DAXFS_RT_FIBER
