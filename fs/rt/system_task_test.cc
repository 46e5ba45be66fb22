// fs/rt/system_task_test.cc - interrupts and work queues.
#include <string>

#include <gtest/gtest.h>

#include "fs/rt/atomic.h"
#include "fs/rt/completion.h"
#include "fs/rt/irq.h"
#include "fs/rt/mutex.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/testing.h"
#include "fs/rt/workqueue.h"

namespace daxfs::rt {
namespace {

TEST(Irq, RunsInItsContextAndMayWake) {
  run_for_test([] {
    Completion completion;
    raise_irq(
        [](void* arg) {
          EXPECT_EQ(current_context(), Context::kIrq);
          EXPECT_TRUE(in_atomic());
          static_cast<Completion*>(arg)->complete();
        },
        &completion);
    completion.wait();
    run_pending_system_tasks();
  });
}

TEST(Workqueue, RunsItemsInOrderInProcessContext) {
  std::string log;
  run_for_test([&] {
    Workqueue queue("test");
    Mutex mutex;
    struct Item {
      std::string* log;
      Mutex* mutex;
      char name;
    };
    Item items[2] = {{&log, &mutex, 'a'}, {&log, &mutex, 'b'}};
    const auto function = [](void* arg) {
      auto* item = static_cast<Item*>(arg);
      EXPECT_EQ(current_context(), Context::kWorker);
      const MutexLock lock(*item->mutex);  // may sleep
      *item->log += item->name;
    };
    Work a(function, &items[0]);
    Work b(function, &items[1]);
    EXPECT_TRUE(queue.queue(a));
    EXPECT_TRUE(queue.queue(b));
    queue.flush();
    EXPECT_EQ(log, "ab");
    EXPECT_TRUE(queue.queue(a));
    queue.flush();
    EXPECT_EQ(log, "aba");
    run_pending_system_tasks();
    EXPECT_TRUE(queue.idle());
  });
}

TEST(SystemTasks, DrainWaitsForAChainOfThem) {
  Atomic<int> done(0);
  struct Chain {
    Workqueue queue{"chain"};
    Atomic<int>* done = nullptr;
    Work work{[](void* arg) { static_cast<Chain*>(arg)->done->fetch_add(1); }, this};
  };
  run_for_test([&] {
    Chain chain;
    chain.done = &done;
    raise_irq([](void* arg) { static_cast<Chain*>(arg)->queue.queue(static_cast<Chain*>(arg)->work); }, &chain);
    run_pending_system_tasks();
    EXPECT_EQ(done.load(), 1);
  });
}

#if defined(DAXFS_RT_FIBER)

TEST(Irq, ComesWhenTheScheduleSaysSo) {
  TestLog log;
  const auto root = [&] {
    spawn("a", [&] {
      raise_irq([](void* arg) { *static_cast<TestLog*>(arg) += '1'; }, &log);
      raise_irq([](void* arg) { *static_cast<TestLog*>(arg) += '2'; }, &log);
      log += 'a';
    });
  };
  run_for_test(root);
  EXPECT_EQ(log.text(), "a12");
  class LateFirst : public Policy {
   public:
    uint64_t budget(const SchedView& view) override { return view.current == 0 ? 2 : kNeverAsk; }
    TaskId preempt(const SchedView& view) override { return view.runnable.back(); }
    TaskId choose(const SchedView& view) override { return default_choice(view); }
  } policy;
  log.clear();
  EXPECT_FALSE(run_lambda(root, policy).finding.has_value());
  EXPECT_EQ(log.text(), "2a1");  // by default the lowest id follows the highest
}

TEST(Irq, SleepingInItIsAVerdict) {  // LD1
  Mutex mutex;
  const RunOutcome outcome =
      run_lambda([&] { raise_irq([](void* arg) { const MutexLock lock(*static_cast<Mutex*>(arg)); }, &mutex); });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "LD1");
}

TEST(Irq, OutsideARunItRunsAtOnce) {
  bool ran = false;
  raise_irq(
      [](void* arg) {
        *static_cast<bool*>(arg) = true;
        EXPECT_EQ(current_context(), Context::kIrq);
      },
      &ran);
  EXPECT_TRUE(ran);
  EXPECT_EQ(current_context(), Context::kProcess);
}

TEST(SystemTasks, ActivationsOfOneIdAreDistinctOperations) {
  class Watch : public Observer {
   public:
    void on_event(const Event& event) override {
      if (event.task == kFirstIrqTask && event.kind == PointKind::kYield) { ops.push_back(event.op); }
    }
    std::vector<uint32_t> ops;
  } watch;
  RunLimits limits;
  limits.observe = true;
  run_lambda(
      [] {
        for (int i = 0; i < 3; ++i) {
          raise_irq([](void*) { yield(); }, nullptr);
          run_pending_system_tasks();
        }
      },
      default_policy(), limits, &watch);
  EXPECT_EQ(watch.ops, (std::vector<uint32_t>{0, 1, 2}));
}

#endif

}  // namespace
}  // namespace daxfs::rt
