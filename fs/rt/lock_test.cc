// fs/rt/lock_test.cc - mutex, spinlock, rwsem: exclusion, hand-over, fairness.
#include <gtest/gtest.h>

#include "fs/rt/atomic.h"
#include "fs/rt/completion.h"
#include "fs/rt/mutex.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/testing.h"

namespace daxfs::rt {
namespace {

TEST(Mutex, ExcludesAndHandsOver) {
  int counter = 0;
  run_for_test([&] {
    Mutex mutex(Rank::kLeaf, "counter");
    for (int t = 0; t < 4; ++t) {
      spawn("adder", [&] {
        for (int i = 0; i < 50; ++i) {
          const MutexLock lock(mutex);
          const int old = counter;
          yield();
          counter = old + 1;
        }
      });
    }
    join_all_spawned();
    EXPECT_FALSE(mutex.is_locked());
  });
  EXPECT_EQ(counter, 200);
}

TEST(Mutex, TryLockFailsWhileHeld) {
  run_for_test([&] {
    Mutex mutex;
    const MutexLock lock(mutex);
    EXPECT_TRUE(mutex.held());
    mutex.assert_held();
    join(spawn("b", [&] {
      EXPECT_FALSE(mutex.held());
      if (mutex.try_lock()) {
        ADD_FAILURE();
        mutex.unlock();
      }
    }));
  });
}

TEST(SpinLock, ExcludesAndIsAtomicContext) {
  int counter = 0;
  run_for_test([&] {
    SpinLock lock(Rank::kLeaf, "counter");
    for (int t = 0; t < 4; ++t) {
      spawn("adder", [&] {
        for (int i = 0; i < 50; ++i) {
          const SpinGuard guard(lock);
          const int old = counter;
          yield();
          counter = old + 1;
        }
      });
    }
    join_all_spawned();
#if defined(DAXFS_RT_FIBER)
    EXPECT_FALSE(in_atomic());
    const SpinGuard guard(lock);
    EXPECT_TRUE(in_atomic());
#endif
  });
  EXPECT_EQ(counter, 200);
}

TEST(RwSem, AdmitsReadersTogetherAndWritersAlone) {
  run_for_test([&] {
    RwSem sem(Rank::kInode, "sem");
    Atomic<int> readers(0);
    Atomic<int> writers(0);
    for (int t = 0; t < 3; ++t) {
      spawn("reader", [&] {
        for (int i = 0; i < 20; ++i) {
          const ReadLock lock(sem);
          readers.fetch_add(1);
          yield();
          EXPECT_EQ(writers.load(), 0);
          readers.fetch_sub(1);
        }
      });
      spawn("writer", [&] {
        for (int i = 0; i < 20; ++i) {
          const WriteLock lock(sem);
          EXPECT_EQ(writers.fetch_add(1), 0);
          yield();
          EXPECT_EQ(readers.load(), 0);
          writers.fetch_sub(1);
        }
      });
    }
    join_all_spawned();
  });
}

TEST(RwSem, DowngradeLetsReadersIn) {
  run_for_test([&]() FS_NO_THREAD_SAFETY_ANALYSIS {  // downgrade is beyond the analysis
    RwSem sem;
    sem.down_write();
    EXPECT_TRUE(sem.held_write());
    sem.downgrade_write();
    EXPECT_TRUE(sem.held_read());
    EXPECT_FALSE(sem.held_write());
    join(spawn("reader", [&] { const ReadLock lock(sem); }));
    sem.up_read();
    EXPECT_TRUE(sem.try_down_write());
    sem.up_write();
  });
}

#if defined(DAXFS_RT_FIBER)

TEST(RwSem, AQueuedWriterBlocksLaterReaders) {
  TestLog log;
  run_for_test([&] {
    RwSem sem;
    Completion release;
    spawn("first reader", [&] {
      const ReadLock lock(sem);
      release.wait();
    });
    spawn("writer", [&] {
      const WriteLock lock(sem);
      log += 'w';
    });
    spawn("late reader", [&] {
      if (sem.try_down_read()) {
        ADD_FAILURE();
        sem.up_read();
      }
      const ReadLock lock(sem);
      log += 'r';
    });
    spawn("releaser", [&] {
      log += 'x';
      release.complete();
    });
    join_all_spawned();
  });
  EXPECT_EQ(log.text(), "xwr");
}

TEST(Mutex, HandsOverInTheOrderOfArrival) {
  TestLog log;
  run_for_test([&] {
    Mutex mutex;
    spawn("holder", [&] {
      const MutexLock lock(mutex);
      for (int t = 0; t < 3; ++t) {
        spawn("waiter", [&log, &mutex, t] {
          const MutexLock wait(mutex);
          log += static_cast<char>('0' + t);
        });
      }
      cond_resched();
    });
    join_all_spawned();
  });
  EXPECT_EQ(log.text(), "012");
}

#endif

}  // namespace
}  // namespace daxfs::rt
