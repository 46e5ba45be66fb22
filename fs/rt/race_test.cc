// fs/rt/race_test.cc - TSan sees data races between fibers, deterministically, and none where there is none.
//
// Its own program: it replaces TSan's report hook and counts. Without TSan it has nothing to count and only runs.
#include <gtest/gtest.h>

#include "fs/rt/atomic.h"
#include "fs/rt/completion.h"
#include "fs/rt/irq.h"
#include "fs/rt/mutex.h"
#include "fs/rt/race_scenes.h"
#include "fs/rt/rcu.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/testing.h"
#include "fs/rt/workqueue.h"

#if defined(DAXFS_RT_FIBER) && defined(DAXFS_TSAN)

namespace {

int g_reports = 0;

}  // namespace

// Report each race, not each pair of stacks once.
extern "C" const char* __tsan_default_options() {  // NOLINT(bugprone-reserved-identifier)
  return "suppress_equal_stacks=0:suppress_equal_addresses=0";
}

// Called by TSan with every report; true suppresses the printed text.
namespace __tsan {  // NOLINT(bugprone-reserved-identifier)
class ReportDesc;
bool OnReport(const ReportDesc* /*report*/, bool /*suppressed*/) {
  ++g_reports;
  return true;
}
}  // namespace __tsan

namespace daxfs::rt {
namespace {

template <typename F>
int races_in(F&& body) {
  g_reports = 0;
  run_for_test(body);
  return g_reports;
}

TEST(Race, AnUnlockedCounterIsReportedEveryTime) {
  for (int i = 0; i < 10; ++i) {
    auto* counter = new int(0);
    const int races = races_in([&] {
      for (int t = 0; t < 2; ++t) {
        spawn("adder", [counter] {
          yield();
          ++*counter;
        });
      }
      join_all_spawned();
    });
    EXPECT_EQ(races, 1) << i;
    delete counter;
  }
}

TEST(Race, TheWrongLockIsReported) {
  int counter = 0;
  EXPECT_GE(races_in([&] {
              Mutex a;
              Mutex b;
              spawn("one", [&] {
                const MutexLock lock(a);
                ++counter;
              });
              spawn("two", [&] {
                const MutexLock lock(b);
                ++counter;
              });
              join_all_spawned();
            }),
            1);
}

TEST(Race, SynchronisedCodeIsNotReported) {
  int under_mutex = 0;
  int under_spin = 0;
  int under_sem = 0;
  int handed_over = 0;
  int by_irq = 0;
  int by_work = 0;
  EXPECT_EQ(races_in([&] {
              Mutex mutex;
              SpinLock spin;
              RwSem sem;
              Completion ready;
              Atomic<int> flag(0);
              Completion irq_done;
              Workqueue queue;
              Work work([](void* arg) { ++*static_cast<int*>(arg); }, &by_work);
              struct Irq {
                int* value;
                Completion* done;
              } irq{&by_irq, &irq_done};
              for (int t = 0; t < 3; ++t) {
                spawn("worker", [&] {
                  for (int i = 0; i < 5; ++i) {
                    {
                      const MutexLock lock(mutex);
                      ++under_mutex;
                      yield();
                    }
                    {
                      const SpinGuard guard(spin);
                      ++under_spin;
                      yield();
                    }
                    {
                      const WriteLock lock(sem);
                      ++under_sem;
                      yield();
                    }
                    const ReadLock lock(sem);
                    EXPECT_GT(under_sem, 0);
                  }
                });
              }
              spawn("producer", [&] {
                handed_over = 1;
                flag.store(1);
                ready.complete();
                by_irq = 1;
                raise_irq(
                    [](void* arg) {
                      ++*static_cast<Irq*>(arg)->value;
                      static_cast<Irq*>(arg)->done->complete();
                    },
                    &irq);
                irq_done.wait();
                ++by_irq;
                by_work = 1;
                queue.queue(work);
                queue.flush();
                ++by_work;
              });
              spawn("consumer", [&] {
                ready.wait();
                EXPECT_EQ(flag.load(), 1);
                ++handed_over;
              });
              join_all_spawned();
              EXPECT_EQ(handed_over, 2);
              EXPECT_EQ(by_irq, 3);
              EXPECT_EQ(by_work, 3);
            }),
            0);
  EXPECT_EQ(under_mutex + under_spin + under_sem, 45);
}

// Both look at the same run of each scene and say the same.
TEST(Race, TheDetectorOfSharedFieldsAgrees) {
  for (const RaceScene& scene : kRaceScenes) {
    g_reports = 0;
    const auto outcome = run_lambda([&] { scene.run(); }, default_policy(), {.races = Races::kReportAtEnd});
    EXPECT_EQ(g_reports > 0, scene.racy) << scene.name;
    EXPECT_EQ(outcome.finding.has_value(), scene.racy) << scene.name;
  }
}

TEST(Race, AnAbandonedRunDoesNotTaintTheNext) {
  int value = 0;
  g_reports = 0;
  for (int i = 0; i < 5; ++i) {
    const RunOutcome outcome = run_lambda([&] {
      const TaskId task = spawn("writer", [&] {
        ++value;
        FS_BUG_ON(true, "T1", "stop here");
      });
      join(task);
    });
    EXPECT_TRUE(outcome.finding.has_value());
    ++value;
  }
  EXPECT_EQ(g_reports, 0);
  EXPECT_EQ(value, 10);
}

}  // namespace
}  // namespace daxfs::rt

#endif
