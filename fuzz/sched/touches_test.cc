// What is drawn is a preemption at an object that two tasks touch, one of them writing, and goes to the other task.
#include "fuzz/sched/touches.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace daxfuzz::sched {
namespace {

using daxfs::rt::Event;
using daxfs::rt::object_id;
using daxfs::rt::ObjectClass;
using daxfs::rt::PointKind;

const daxfs::rt::ObjectId kFrame = object_id(ObjectClass::kFrame, 7);
const daxfs::rt::ObjectId kReadOnly = object_id(ObjectClass::kFrame, 8);
const daxfs::rt::ObjectId kOwn = object_id(ObjectClass::kLock, 1);
const daxfs::rt::ObjectId kLock = object_id(ObjectClass::kLock, 2);
const daxfs::rt::ObjectId kCounter = object_id(ObjectClass::kAtomic, 9);

Event event(daxfs::rt::TaskId task, uint64_t index, daxfs::rt::ObjectId object, PointKind kind = PointKind::kRef) {
  return {task, 0, index, kind, object, daxfs::Site::current()};
}

TEST(Touches, NothingIsDrawnFromARunWithoutMeetings) {
  Touches touches;
  SmallRandom random(1);
  EXPECT_FALSE(touches.draw(random));
  touches.record(event(1, 1, kOwn), true);
  touches.record(event(1, 2, kReadOnly), false);
  touches.record(event(2, 1, kReadOnly), false);
  EXPECT_FALSE(touches.draw(random));
}

TEST(Touches, EveryMeetingIsDrawnAndNothingElse) {
  Touches touches;
  touches.record(event(1, 1, kOwn), true);
  touches.record(event(1, 2, kFrame), false);
  touches.record(event(2, 5, kFrame), true);
  touches.record(event(3, 6, kFrame), false);
  for (uint32_t i = 0; i < 100; ++i) { touches.record(event(1 + static_cast<int>(i % 2), 10 + i, kLock), true); }
  SmallRandom random(1);
  std::set<std::pair<int, int>> frame_switches;
  int locks = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto anchor = touches.draw(random);
    ASSERT_TRUE(anchor);
    ASSERT_NE(anchor->task, anchor->next);
    if (anchor->event >= 10) {
      ++locks;
    } else {
      frame_switches.insert({anchor->task, anchor->next});
    }
  }
  // A reader meets the writer only.
  EXPECT_EQ(frame_switches, (std::set<std::pair<int, int>>{{1, 2}, {2, 1}, {2, 3}, {3, 2}}));
  EXPECT_GT(locks, 300);
  EXPECT_LT(locks, 700);
}

TEST(Touches, AWindowPutsOneAccessBetweenTwoOfAnotherTask) {
  Touches touches;
  SmallRandom random(1);
  touches.record(event(1, 1, kFrame), true);
  touches.record(event(2, 2, kFrame), false);
  EXPECT_FALSE(touches.draw_window(random));  // nobody comes twice
  touches.clear();
  touches.record(event(1, 1, kFrame), true);
  touches.record(event(2, 2, kFrame), false);
  touches.record(event(2, 7, kFrame), false);
  touches.record(event(2, 9, kFrame), false);
  std::set<std::pair<uint64_t, uint64_t>> windows;
  for (int i = 0; i < 500; ++i) {
    const auto window = touches.draw_window(random);
    if (!window) { continue; }  // task 2 drawn as the one in the middle, and task 1 comes but once
    EXPECT_EQ((*window)[0].task, 1);
    EXPECT_EQ((*window)[0].next, 2);
    EXPECT_EQ((*window)[1].task, 2);
    EXPECT_EQ((*window)[1].next, 1);
    windows.insert({(*window)[0].event, (*window)[1].event});
  }
  // Before the next access, or anywhere behind the one before.
  EXPECT_EQ(windows, (std::set<std::pair<uint64_t, uint64_t>>{{1, 3}, {1, 4}, {1, 5}, {1, 6}, {1, 7}, {1, 8}, {1, 9}}));
}

TEST(Touches, ATaskIsPreemptedBeforeItsAccessOrRightAfterIt) {
  Touches touches;
  touches.record(event(1, 10, kFrame), true);
  touches.record(event(2, 20, kFrame), false);
  SmallRandom random(1);
  std::set<std::pair<int, uint64_t>> places;
  for (int i = 0; i < 100; ++i) {
    const auto anchor = touches.draw(random);
    ASSERT_TRUE(anchor);
    places.insert({anchor->task, anchor->event});
  }
  EXPECT_EQ(places, (std::set<std::pair<int, uint64_t>>{{1, 10}, {1, 11}, {2, 20}, {2, 21}}));
}

TEST(Touches, OfSeveralTriesTheOrderThatWasSeenLeastOftenIsDrawn) {
  Touches touches;
  constexpr uint32_t kUsual = 17;
  constexpr uint32_t kRare = 18;
  constexpr uint32_t kOther = 19;
  touches.record(event(1, 10, kFrame), true, kUsual);
  touches.record(event(1, 20, kFrame), true, kRare);
  touches.record(event(2, 30, kFrame), true, kOther);
  std::vector<uint32_t> orders(kOrderCells, 1000);
  orders[order_cell(kOther, kRare)] = 0;
  SmallRandom random(1);
  int rare = 0;
  int plain = 0;
  for (int i = 0; i < 400; ++i) {
    // Before the access of task 1, or right after the one of task 2.
    const auto is_rare = [](const Anchor& anchor) { return anchor.event == 20 || anchor.event == 31; };
    rare += is_rare(*touches.draw(random, 32, orders)) ? 1 : 0;
    plain += is_rare(*touches.draw(random)) ? 1 : 0;
  }
  EXPECT_GT(rare, 390);
  EXPECT_LT(plain, 300);
}

TEST(Touches, ALoopDoesNotCrowdOutWhatIsPassedOnce) {
  Touches touches;
  for (uint32_t i = 0; i < 1000; ++i) { touches.record(event(1, i, kFrame), true, 7); }
  touches.record(event(1, 2000, kFrame), true, 8);
  touches.record(event(2, 1, kFrame), true, 9);
  SmallRandom random(1);
  int once = 0;
  for (int i = 0; i < 1000; ++i) { once += touches.draw(random)->event >= 2000 ? 1 : 0; }
  EXPECT_GT(once, 100);
}

TEST(Touches, AnInterruptComesInOnlyAfterItsRequestWasMade) {
  const auto irq = static_cast<daxfs::rt::TaskId>(daxfs::rt::kFirstSystemTask + 1);
  const daxfs::rt::ObjectId bio = object_id(ObjectClass::kBio, 1);
  Touches touches;
  touches.record(event(1, 1, kFrame), true, 0, 101);
  touches.record(event(1, 2, bio), true, 0, 102);
  touches.record(event(1, 3, kFrame), true, 0, 103);
  touches.record(event(irq, 1, bio), true, 0, 104);
  touches.record(event(irq, 2, kFrame), true, 0, 105);
  touches.keep_events(100, 104);  // what came of it afterwards stays
  SmallRandom random(1);
  std::set<uint64_t> events;
  for (int i = 0; i < 200; ++i) {
    const auto anchor = touches.draw(random);
    if (anchor && anchor->task == 1) { events.insert(anchor->event); }
  }
  EXPECT_EQ(events, (std::set<uint64_t>{3, 4}));
}

TEST(Touches, WhatHappenedBeforeTheTasksBeganIsNotDrawn) {
  const auto worker = static_cast<daxfs::rt::TaskId>(daxfs::rt::kFirstSystemTask + 32);
  Touches touches;
  touches.record(event(worker, 1, kFrame), true, 0, 50);
  touches.record(event(1, 1, kFrame), true, 0, 101);
  touches.keep_events(100, 200);
  SmallRandom random(1);
  EXPECT_FALSE(touches.draw(random));
}

TEST(Touches, TasksMeetOnWhatHoldsSomethingNotOnLocks) {
  Touches touches;
  touches.record(event(1, 1, kLock), true);
  touches.record(event(2, 1, kLock), true);
  EXPECT_FALSE(touches.met());
  touches.record(event(1, 2, kCounter), true);  // of references
  touches.record(event(2, 2, kCounter, PointKind::kAtomicLoad), false);
  EXPECT_FALSE(touches.met());
  touches.clear();
  touches.record(event(1, 2, kCounter, PointKind::kAtomicRmw), true);
  touches.record(event(2, 2, kCounter, PointKind::kAtomicLoad), false);
  EXPECT_TRUE(touches.met());
  touches.clear();
  touches.record(event(1, 1, kFrame), true);
  touches.record(event(2, 1, kFrame), false);
  EXPECT_TRUE(touches.met());
}

TEST(Touches, TheSameSeedDrawsTheSame) {
  Touches touches;
  for (uint32_t i = 0; i < 50; ++i) { touches.record(event(1 + static_cast<int>(i % 3), i, kFrame), i % 2 != 0); }
  SmallRandom a(5);
  SmallRandom b(5);
  for (int i = 0; i < 100; ++i) {
    const auto x = touches.draw(a);
    const auto y = touches.draw(b);
    ASSERT_TRUE(x && y);
    EXPECT_EQ(x->task, y->task);
    EXPECT_EQ(x->event, y->event);
    EXPECT_EQ(x->next, y->next);
  }
}

TEST(Touches, WindowsAreMostlyAboutDataAndSometimesAboutLocks) {
  Touches touches;
  for (const int task : {1, 2}) {
    touches.record(event(static_cast<daxfs::rt::TaskId>(task), 1, kFrame), true);
    touches.record(event(static_cast<daxfs::rt::TaskId>(task), 2, kFrame), true);
    touches.record(event(static_cast<daxfs::rt::TaskId>(task), 3, kLock), true);
    touches.record(event(static_cast<daxfs::rt::TaskId>(task), 4, kLock), true);
  }
  SmallRandom random(1);
  int data = 0;
  int locks = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto window = touches.draw_window(random);
    if (!window) { continue; }
    ++((*window)[1].event <= 2 ? data : locks);
  }
  EXPECT_GT(data, 4 * locks);
  EXPECT_GT(locks, 50);
}

}  // namespace
}  // namespace daxfuzz::sched
