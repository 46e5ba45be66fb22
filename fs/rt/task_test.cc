// fs/rt/task_test.cc - spawn, join, operations, clock.
#include "fs/rt/task.h"

#include <array>

#include <gtest/gtest.h>

#include "fs/rt/clock.h"
#include "fs/rt/testing.h"

namespace daxfs::rt {
namespace {

TEST(Spawn, GivesTheLowestFreeIds) {
  run_for_test([] {
    EXPECT_EQ(spawn("a", [] {}), 0);
    EXPECT_EQ(spawn("b", [] {}), 1);
    EXPECT_EQ(spawn("c", [] {}), 2);
    join(1);
    EXPECT_EQ(spawn("d", [] {}), 1);
    join_all_spawned();
    EXPECT_EQ(spawn("e", [] {}), 0);
  });
}

TEST(Spawn, RunsTheCallableAndDestroysItsCaptures) {
  int destroyed = 0;
  struct Counter {
    explicit Counter(int* count) : count_(count) {}
    Counter(Counter&& other) noexcept : count_(other.count_) { other.count_ = nullptr; }
    ~Counter() {
      if (count_ != nullptr) { ++*count_; }
    }
    int* count_;
  };
  run_for_test([&] {
    join(spawn("a", [counter = Counter(&destroyed)] { EXPECT_NE(counter.count_, nullptr); }));
    EXPECT_EQ(destroyed, 1);
  });
  EXPECT_EQ(destroyed, 1);
}

TEST(Spawn, TakesAFunctionAndAnArgument) {
  int value = 0;
  run_for_test([&] { spawn("a", [](void* arg) { *static_cast<int*>(arg) = 5; }, &value); });
  EXPECT_EQ(value, 5);
}

TEST(Join, SeesWhatTheTaskDid) {
  run_for_test([] {
    for (int round = 0; round < 100; ++round) {
      int value = 0;
      const TaskId task = spawn("a", [&] { value = round + 1; });
      join(task);
      EXPECT_EQ(value, round + 1);
    }
  });
}

TEST(Join, WorksFromATaskThatIsNotTheRoot) {
  int sum = 0;
  run_for_test([&] {
    spawn("outer", [&] {
      std::array<int, 3> parts{};
      std::array<TaskId, 3> ids{};
      for (size_t i = 0; i < parts.size(); ++i) {
        ids[i] = spawn("inner", [&parts, i] { parts[i] = static_cast<int>(i) + 1; });
      }
      for (const TaskId id : ids) { join(id); }
      sum = parts[0] + parts[1] + parts[2];
    });
    join(0);
  });
  EXPECT_EQ(sum, 6);
}

TEST(Operations, SetTheIndexAndTheContextIsProcess) {
  run_for_test([] {
    spawn("a", [] {
      EXPECT_EQ(current_op(), kNoOp);
      EXPECT_EQ(current_context(), Context::kProcess);
      begin_op(3);
      EXPECT_EQ(current_op(), 3u);
      end_op();
      EXPECT_EQ(current_op(), 3u);
      might_sleep();
      cond_resched();
    });
  });
}

#if defined(DAXFS_RT_FIBER)
TEST(Clock, MovesWithOperationsAndNotWithTheSchedule) {
  run_for_test([] {
    const uint64_t start = clock_realtime_ns();
    EXPECT_EQ(start, kClockStartSeconds * 1000000000u);
    yield();
    EXPECT_EQ(clock_realtime_ns(), start);
    join(spawn("a", [] {
      begin_op(0);
      end_op();
      begin_op(1);
      end_op();
    }));
    EXPECT_EQ(clock_monotonic_ns(), 2 * kOpTickNs);
    clock_advance(5);
    EXPECT_EQ(clock_realtime_ns(), start + 2 * kOpTickNs + 5);
  });
}
#endif

}  // namespace
}  // namespace daxfs::rt
