// fs/rt/rcu_test.cc - grace periods.
#include "fs/rt/rcu.h"

#include <gtest/gtest.h>

#include "fs/rt/atomic.h"
#include "fs/rt/completion.h"
#include "fs/rt/testing.h"

namespace daxfs::rt {
namespace {

TEST(Rcu, ReadersNeverSeeAFreedObject) {
  struct Node {
    explicit Node(int v) : value(v) {}
    ~Node() { value = -1; }
    int value;
  };
  run_for_test([] {
    Atomic<Node*> head(new Node(0));
    for (int t = 0; t < 2; ++t) {
      spawn("reader", [&] {
        for (int i = 0; i < 50; ++i) {
          const RcuReadGuard guard;
          const Node* node = head.load();
          yield();
          EXPECT_GE(node->value, 0);
        }
      });
    }
    spawn("writer", [&] {
      for (int i = 1; i < 20; ++i) { rcu_delete(head.exchange(new Node(i))); }
    });
    join_all_spawned();
    rcu_delete(head.load());
  });
}

TEST(Rcu, SynchronizeWaitsForTheSectionsThatExist) {
  run_for_test([] {
    Atomic<bool> inside(false);
    Atomic<bool> left(false);
    spawn("reader", [&] {
      const RcuReadGuard guard;
      inside.store(true);
      for (int i = 0; i < 10; ++i) { yield(); }
      left.store(true);
    });
    spawn("writer", [&] {
      while (!inside.load()) { yield(); }
      synchronize_rcu();
      EXPECT_TRUE(left.load());
    });
    join_all_spawned();
  });
}

#if defined(DAXFS_RT_FIBER)

// Lets each task run in turn at every yield.
class RoundRobin : public Policy {
 public:
  uint64_t budget(const SchedView& /*view*/) override { return 1; }
  TaskId preempt(const SchedView& view) override {
    const TaskId next = view.kind == PointKind::kYield ? default_choice(view) : kNoTask;
    return next == kNoTask ? view.current : next;
  }
  TaskId choose(const SchedView& view) override { return default_choice(view); }
};

// O13, whether or not the object is gone.
TEST(Rcu, WhatASectionKeepsIsNotUsedBehindIt) {
  const auto tag_of = [](auto body) {
    const RunOutcome outcome = run_lambda(body);
    return outcome.finding ? outcome.finding->tag : "silent";
  };
  int object = 7;
  EXPECT_EQ(tag_of([&] {
              const RcuReadGuard guard;
              const RcuBorrowed<int> borrowed(&object);
              rcu_read_lock();  // nested sections are one
              rcu_read_unlock();
              EXPECT_EQ(borrowed.get(), 7);
            }),
            "silent");
  EXPECT_EQ(tag_of([&] {
              const RcuBorrowed<int> borrowed(&object);
              const RcuReadGuard guard;
              borrowed.get();
            }),
            "O13");
  EXPECT_EQ(tag_of([&] {
              rcu_read_lock();
              const RcuBorrowed<int> borrowed(&object);
              rcu_read_unlock();
              const RcuReadGuard guard;
              borrowed.get();
            }),
            "O13");
}

TEST(Rcu, ACallbackWaitsForOldSectionsOnlyAndRunsInSoftirq) {
  TestLog log;
  RoundRobin policy;
  const RunOutcome outcome = run_lambda(
      [&] {
        struct Head : RcuHead {
          TestLog* log;
        } head;
        head.log = &log;
        spawn("old reader", [&] {
          rcu_read_lock();
          yield();  // the writer calls call_rcu
          yield();  // the new reader enters
          log += 'o';
          rcu_read_unlock();
          for (int i = 0; i < 3; ++i) { yield(); }
        });
        spawn("writer", [&] {
          call_rcu(&head, [](RcuHead* self) {
            EXPECT_EQ(current_context(), Context::kSoftirq);
            EXPECT_TRUE(in_atomic());
            *static_cast<Head*>(self)->log += 'c';
          });
          yield();
        });
        spawn("new reader", [&] {
          yield();
          const RcuReadGuard guard;
          for (int i = 0; i < 20; ++i) { yield(); }
          log += 'n';
        });
        join_all_spawned();
      },
      policy);
  ASSERT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
  EXPECT_EQ(log.text(), "ocn");
}

TEST(Rcu, TheEndOfARunWaitsForCallbacks) {
  bool deleted = false;
  struct Flag {
    explicit Flag(bool* f) : flag(f) {}
    ~Flag() { *flag = true; }
    bool* flag;
  };
  run_for_test([&] { rcu_delete(new Flag(&deleted)); });
  EXPECT_TRUE(deleted);
  deleted = false;
  rcu_delete(new Flag(&deleted));  // outside a run: nobody reads
  EXPECT_TRUE(deleted);
}

TEST(Rcu, SynchronizeInsideASectionIsAVerdict) {  // LD1
  const RunOutcome outcome = run_lambda([] {
    const RcuReadGuard guard;
    synchronize_rcu();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "LD1");
}

#endif

}  // namespace
}  // namespace daxfs::rt
