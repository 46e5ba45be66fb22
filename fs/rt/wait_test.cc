// fs/rt/wait_test.cc - wait queues and completions.
#include <array>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fs/rt/atomic.h"
#include "fs/rt/completion.h"
#include "fs/rt/testing.h"
#include "fs/rt/wait_queue.h"

namespace daxfs::rt {
namespace {

TEST(WaitQueue, WaitEventReturnsOnceTheConditionHolds) {
  run_for_test([] {
    WaitQueue queue("flag");
    Atomic<bool> flag(false);
    spawn("waiter", [&] {
      queue.wait_event([&] { return flag.load(); });
      EXPECT_TRUE(flag.load());
    });
    spawn("waker", [&] {
      flag.store(true);
      queue.wake_all();
    });
    join_all_spawned();
    EXPECT_FALSE(queue.has_waiters());
  });
}

TEST(WaitQueue, AWakeBetweenPrepareAndScheduleIsNotLost) {
  run_for_test([] {
    WaitQueue queue;
    Waiter waiter;
    queue.prepare_to_wait(waiter);
    EXPECT_TRUE(waiter.queued());
    EXPECT_EQ(queue.wake(), 1u);
    EXPECT_FALSE(waiter.queued());
    schedule();
    queue.finish_wait(waiter);
  });
}

TEST(Completion, LetsOneWaiterThroughForEachComplete) {
  run_for_test([] {
    Completion completion;
    Atomic<int> passed(0);
    for (int t = 0; t < 3; ++t) {
      spawn("waiter", [&] {
        completion.wait();
        passed.fetch_add(1);
      });
    }
    spawn("completer", [&] {
      completion.complete();
      completion.complete();
      completion.complete();
    });
    join_all_spawned();
    EXPECT_EQ(passed.load(), 3);
    EXPECT_FALSE(completion.done());
    completion.complete_all();
    completion.wait();
    completion.wait();
  });
}

TEST(Completion, MayDieWithItsWaiter) {
  for (int i = 0; i < 20; ++i) {
    run_for_test([] {
      Atomic<Completion*> slot(nullptr);
      spawn("waiter", [&] {
        auto completion = std::make_unique<Completion>();
        slot.store(completion.get());
        completion->wait();
      });
      spawn("completer", [&] {
        Completion* completion = nullptr;
        while ((completion = slot.load()) == nullptr) { yield(); }
        completion->complete();
      });
      join_all_spawned();
    });
  }
}

#if defined(DAXFS_RT_FIBER)

TEST(WaitQueue, WakesAllPlainWaitersAndTheGivenNumberOfExclusiveOnes) {
  TestLog log;
  run_for_test([&] {
    WaitQueue queue;
    const auto wait = [&](bool exclusive, char name) {
      Waiter waiter;
      queue.prepare_to_wait(waiter, exclusive);
      schedule();
      queue.finish_wait(waiter);
      log += name;
    };
    spawn("x", [&] { wait(true, 'x'); });
    spawn("y", [&] { wait(true, 'y'); });
    spawn("a", [&] { wait(false, 'a'); });
    spawn("b", [&] { wait(false, 'b'); });
    spawn("waker", [&] {
      EXPECT_EQ(queue.wake(1), 3u);
      for (int i = 0; i < 3; ++i) { yield(); }
      log += '|';
      EXPECT_EQ(queue.wake(1), 1u);
    });
    join_all_spawned();
  });
  EXPECT_EQ(log.text(), "|xyab");
}

TEST(WaitQueue, KeysAndWakeFunctionsFilter) {
  run_for_test([] {
    WaitQueue queue;
    std::array<bool, 3> woken{};
    const int owner = 0;
    const auto wait = [&](Waiter& waiter, size_t i) {
      queue.prepare_to_wait(waiter, true);
      schedule();
      queue.finish_wait(waiter);
      woken[i] = true;
    };
    spawn("key 7", [&] {
      Waiter waiter(7, &owner);
      wait(waiter, 0);
    });
    spawn("key 8", [&] {
      Waiter waiter(8, &owner);
      wait(waiter, 1);
    });
    spawn("range", [&] {
      Waiter waiter(100, &owner, [](const Waiter& self, uint64_t key, const void*) { return key > self.key(); });
      wait(waiter, 2);
    });
    spawn("waker", [&] {
      EXPECT_EQ(queue.wake_all(9, &owner), 0u);
      EXPECT_EQ(queue.wake_all(8, &owner), 1u);
      EXPECT_EQ(queue.wake_all(101, nullptr), 1u);
      EXPECT_EQ(queue.wake_all(), 1u);
    });
    join_all_spawned();
    EXPECT_THAT(woken, testing::Each(true));
  });
}

TEST(WaitQueue, ALostWakeUpIsADeadlock) {  // RT1
  const RunOutcome outcome = run_lambda([] {
    WaitQueue queue("page unlocked");
    Atomic<bool> flag(false);
    spawn("waiter", [&] {
      if (!flag.load()) {  // wrong: test first, queue later
        Completion waker_was_here;
        spawn("waker", [&] {
          flag.store(true);
          queue.wake_all();
          waker_was_here.complete();
        });
        waker_was_here.wait();
        Waiter waiter;
        queue.prepare_to_wait(waiter);
        schedule();
        queue.finish_wait(waiter);
      }
    });
    join_all_spawned();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->verdict, Verdict::kDeadlock);
  EXPECT_EQ(outcome.finding->tag, "RT1");
  EXPECT_EQ(outcome.finding->title, "nobody left to wake: page unlocked");
  EXPECT_THAT(outcome.finding->detail, testing::HasSubstr("T0 (waiter)"));
}

#endif

}  // namespace
}  // namespace daxfs::rt
