#include "fuzz/minimize/landmarks.h"

#include <string>

#include <gtest/gtest.h>

#include "fs/base/raw_lock.h"
#include "fs/rt/atomic.h"
#include "fs/rt/testing.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::minimize {
namespace {

using daxfs::rt::Atomic;

// Two tasks with one operation each; 'a' passes `padding` points of another place first. Records who did what when.
std::string scene(daxfs::rt::Policy& policy, int padding, daxfs::rt::Observer* observer = nullptr) {
  std::string order;
  daxfs::RawLock order_lock;  // for TSan's sake: the order of the tasks is the question
  daxfs::rt::run_lambda(
      [&] {
        Atomic<int> other(0);
        Atomic<int> shared(0);
        for (const char name : {'a', 'b'}) {
          daxfs::rt::spawn("task", [&, name] {
            daxfs::rt::begin_op(0);
            for (int i = 0; name == 'a' && i < padding; ++i) { other.fetch_add(1); }
            for (int i = 0; i < 4; ++i) {
              shared.fetch_add(1);
              const daxfs::RawGuard guard(order_lock);
              order += name;
            }
            daxfs::rt::end_op();
          });
        }
        daxfs::rt::join_all_spawned();
      },
      policy, {.observe = observer != nullptr}, observer);
  return order;
}

prog::Preemption preemption(prog::TaskId task, uint16_t op, uint32_t event, prog::TaskId next) {
  prog::Preemption p;
  p.task = task;
  p.op = op;
  p.event = event;
  p.next = next;
  return p;
}

TEST(Landmarks, NameThePlaceAndSurviveOtherEventsBeforeIt) {
  const std::vector<prog::Preemption> schedule = {preemption(0, 0, 1 + 7 + 3, 1)};
  sched::PreemptionList list;
  const sched::Anchor anchor{0, 0, 1 + 7 + 3, 1};
  list.set({&anchor, 1});
  EventLog log;
  ASSERT_EQ(scene(list, 7, &log), "aabbbbaa");
  const auto marks = landmarks_of(schedule, log);
  ASSERT_EQ(marks.size(), 1u);
  EXPECT_NE(marks[0].site, 0u);
  EXPECT_EQ(marks[0].visit, 3u);
  LandmarkPolicy policy;
  policy.set(marks);
  EXPECT_EQ(scene(policy, 7), "aabbbbaa");
  EXPECT_EQ(scene(policy, 0), "aabbbbaa");
  EXPECT_EQ(scene(policy, 30), "aabbbbaa");
  EXPECT_EQ(scene(list, 0), "aaaabbbb");  // the number alone meets the end of the operation
}

TEST(Landmarks, OfAnEventThatNoRunMetKeepTheNumber) {
  daxfs::rt::Policy& none = daxfs::rt::default_policy();
  EventLog log;
  scene(none, 0, &log);
  const auto marks = landmarks_of(std::vector{preemption(0, 0, 500, 1)}, log);
  EXPECT_EQ(marks[0].site, 0u);
  EXPECT_EQ(marks[0].event, 500u);
  LandmarkPolicy policy;
  policy.set(std::vector{Landmark{.task = 0, .next = 1, .op = 0, .event = 2}});
  EXPECT_EQ(scene(policy, 0), "bbbbaaaa");
}

TEST(Landmarks, AreSpentWhereTheNextTaskCannotRun) {
  LandmarkPolicy policy;
  policy.set(std::vector{Landmark{.task = 0, .next = 5, .op = 0, .event = 2}});
  EXPECT_EQ(scene(policy, 0), "aaaabbbb");
}

TEST(EventLog, KnowsWhatTwoTasksShared) {
  EventLog log;
  scene(daxfs::rt::default_policy(), 3, &log);
  EXPECT_EQ(log.shared_objects(0).size(), 1u);
  EXPECT_TRUE(log.shared_objects(log.entries().size()).empty());
}

}  // namespace
}  // namespace daxfuzz::minimize
