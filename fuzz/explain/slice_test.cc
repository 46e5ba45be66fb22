// fuzz/explain/slice_test.cc - recording, nesting and slicing of small hand-made runs.
#include "fuzz/explain/slice.h"

#include <string>

#include <gtest/gtest.h>

#include "fs/dax/entry.h"
#include "fs/rt/irq.h"
#include "fs/rt/mutex.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"
#include "fs/rt/trace.h"
#include "fuzz/explain/recorder.h"
#include "fuzz/explain/timeline.h"

namespace daxfuzz::explain {
namespace {

namespace rt = daxfs::rt;
using daxfs::Ino;
using daxfs::ObjectRef;
using daxfs::size_ref;

// Files whose sizes stand for any property.
constexpr ObjectRef kX = size_ref(Ino(1));
constexpr ObjectRef kY = size_ref(Ino(2));
constexpr ObjectRef kUnrelated = size_ref(Ino(3));

struct Recorded {
  Recorder recorder;
  rt::RunOutcome outcome;
};

template <typename F>
void record(Recorded* into, F root) {
  into->recorder.begin_run();
  const Recorder::Attached attached(into->recorder);
  into->outcome = rt::run_lambda(root, rt::default_policy(), {.observe = true}, &into->recorder);
}

void point() { rt::yield(); }

// "0f{ 0:1>2 1=2": calls, accesses and blocks of what is kept, each after its task.
std::string kept(const Timeline& timeline, const Slice& slice) {
  std::string text;
  for (size_t i = 0; i < timeline.steps().size(); ++i) {
    const Step& step = timeline.steps()[i];
    if (!slice.keep[i]) { continue; }
    text += (text.empty() ? "" : " ") + std::to_string(step.task);
    const std::string ino = std::to_string(step.object.a);
    switch (step.kind) {
      case Step::Kind::kCall: text += std::string(step.name) + "{"; break;
      case Step::Kind::kRead: text += ":" + ino + "=" + std::to_string(step.now); break;
      case Step::Kind::kWrite:
        text += ":" + ino + ":" + std::to_string(step.before) + ">" + std::to_string(step.now);
        break;
      case Step::Kind::kLock: text += "lock"; break;
      case Step::Kind::kUnlock: text += "unlock"; break;
      case Step::Kind::kBlocks: text += "blocks"; break;
      default: text += "?"; break;
    }
  }
  return text;
}

std::string sliced(const Recorded& recorded, Slice* slice_out = nullptr) {
  Timeline timeline(recorded.recorder);
  const daxfs::Finding none;
  const Slice result =
      slice(&timeline, recorded.outcome.finding ? *recorded.outcome.finding : none, recorded.outcome.taken);
  if (slice_out != nullptr) { *slice_out = result; }
  return kept(timeline, result);
}

void complain(const ObjectRef& object) { FS_FINDING(daxfs::Verdict::kWarn, "X1", daxfs::about(object), "planted"); }

TEST(Slice, GoesBackToWhoWroteTheValueThatTheFindingSaw) {
  Recorded run;
  record(&run, [] {
    rt::spawn("a", [] {
      FS_TRACE_SCOPE("writer", {});
      point();
      FS_TRACE_WRITE(kX, 1, 2);
      FS_TRACE_WRITE(kUnrelated, 1, 2);
    });
    rt::spawn("b", [] {
      FS_TRACE_SCOPE("unrelated", {});
      FS_TRACE_WRITE(kUnrelated, 2, 3);
    });
    rt::spawn("c", [] {
      FS_TRACE_SCOPE("reader", {});
      FS_TRACE_READ(kX, 2);
      complain(kX);
    });
    rt::join_all_spawned();
  });
  Slice slice;
  EXPECT_EQ(sliced(run, &slice), "0writer{ 0:1:1>2 2reader{ 2:1=2");
  EXPECT_EQ(slice.columns, (std::vector<rt::TaskId>{0, 2}));
  EXPECT_EQ(slice.reporter, 2);
}

TEST(Slice, FollowsAValueThroughATaskThatDecidedByIt) {
  Recorded run;
  record(&run, [] {
    rt::spawn("a", [] { FS_TRACE_WRITE(kY, 0, 1); });
    rt::spawn("b", [] {
      FS_TRACE_READ(kY, 1);  // hence:
      FS_TRACE_WRITE(kX, 1, 2);
    });
    rt::spawn("c", [] {
      FS_TRACE_READ(kX, 2);
      complain(kX);
    });
    rt::join_all_spawned();
  });
  EXPECT_EQ(sliced(run), "0:2:0>1 1:2=1 1:1:1>2 2:1=2");
}

TEST(Slice, LeavesOutWhatATaskDidAfterItsPartWasOver) {
  Recorded run;
  record(&run, [] {
    rt::spawn("a", [] {
      FS_TRACE_WRITE(kX, 1, 2);
      FS_TRACE_SCOPE("later", {});
      FS_TRACE_READ(kY, 5);
    });
    rt::spawn("b", [] {
      FS_TRACE_READ(kX, 2);
      FS_TRACE_WRITE(kY, 5, 6);
      complain(kX);
    });
    rt::join_all_spawned();
  });
  EXPECT_EQ(sliced(run), "0:1:1>2 1:1=2");
}

TEST(Slice, SaysAReadOnceAndAChangeThatWasUndoneUnseenNotAtAll) {
  Recorded run;
  record(&run, [] {
    rt::spawn("a", [] {
      FS_TRACE_WRITE(kX, 1, 2);
      FS_TRACE_WRITE(kY, 0, 1);
      FS_TRACE_WRITE(kY, 1, 0);
    });
    rt::spawn("b", [] {
      FS_TRACE_READ(kX, 2);
      FS_TRACE_READ(kY, 0);
      FS_TRACE_READ(kX, 2);
      complain(kX);
    });
    rt::join_all_spawned();
  });
  EXPECT_EQ(sliced(run), "0:1:1>2 1:1=2 1:2=0");
}

TEST(Slice, KeepsAChangeThatOverwritesWhatTheTaskNeverSaw) {
  Recorded run;
  record(&run, [] {
    rt::Mutex mutex(rt::Rank::kLeaf, "m");
    mutex.lock();
    rt::spawn("a", [&] {
      FS_TRACE_READ(kX, 1);
      const rt::MutexLock lock(mutex);  // the other one comes first
      FS_TRACE_WRITE(kX, 2, 2);
    });
    rt::spawn("b", [&] {
      FS_TRACE_WRITE(kX, 1, 2);
      complain(kX);
    });
    rt::relax();
    mutex.unlock();
    rt::join_all_spawned();
  });
  ASSERT_TRUE(run.outcome.finding);
  // Task 0's own change comes after the finding; what it saw is drawn.
  EXPECT_NE(sliced(run).find("1:1:1>2"), std::string::npos) << sliced(run);
}

TEST(Slice, OfADeadlockIsWhatTheBlockedTasksHoldAndWaitFor) {
  Recorded run;
  record(&run, [] {
    rt::Mutex m(rt::Rank::kNone, "m");
    rt::Mutex n(rt::Rank::kNone, "n");
    rt::spawn("a", [&] {
      FS_TRACE_SCOPE("first", {});
      const rt::MutexLock one(m);
      rt::relax();
      const rt::MutexLock two(n);
    });
    rt::spawn("b", [&] {
      FS_TRACE_SCOPE("second", {});
      const rt::MutexLock two(n);
      const rt::MutexLock one(m);
    });
    rt::join_all_spawned();
  });
  ASSERT_TRUE(run.outcome.finding);
  EXPECT_EQ(run.outcome.finding->verdict, daxfs::Verdict::kDeadlock);
  EXPECT_EQ(sliced(run), "0first{ 0lock 1second{ 1lock 1blocks 0blocks");
}

TEST(Slice, WithoutAHintInTheFindingStartsFromAllThatTasksShare) {
  Recorded run;
  record(&run, [] {
    rt::spawn("a", [] {
      FS_TRACE_WRITE(kX, 1, 2);
      FS_TRACE_WRITE(kUnrelated, 1, 2);
    });
    rt::spawn("b", [] {
      FS_TRACE_READ(kX, 2);
      FS_FINDING(daxfs::Verdict::kWarn, "X1", "planted");
    });
    rt::join_all_spawned();
  });
  EXPECT_EQ(sliced(run), "0:1:1>2 1:1=2");
}

TEST(Slice, LeavesOutInterruptsThatEndedBeforeTheProgramBegan) {
  Recorded run;
  record(&run, [] {
    rt::raise_irq([](void*) { FS_TRACE_WRITE(kX, 0, 1); }, nullptr);
    rt::run_pending_system_tasks();
    rt::spawn("a", [] {
      FS_TRACE_WRITE(kX, 1, 2);
      rt::raise_irq([](void*) { FS_TRACE_WRITE(kX, 2, 3); }, nullptr);
    });
    rt::join_all_spawned();
    rt::run_pending_system_tasks();
    complain(kX);
  });
  const std::string irq = std::to_string(rt::kFirstIrqTask);
  EXPECT_EQ(sliced(run), "0:1:1>2 " + irq + ":1:2>3");
}

// What a page of the cache is written under: one task sets a flag, another one takes it away.
void set_flag() {
  FS_TRACE_SCOPE("sets", {});
  point();
  FS_TRACE_WRITE(daxfs::writeback_ref(daxfs::Pfn(9)), 0, 1);
  FS_TRACE_WRITE(kX, 1, 2);
}
void clear_flag() { FS_TRACE_WRITE(daxfs::writeback_ref(daxfs::Pfn(9)), 1, 0); }
constexpr uint64_t kEntryOfFrame9 = 9 << 5 | 1;

TEST(Slice, DrawsAFlagIfSomebodySawItSet) {
  for (const bool seen : {false, true}) {
    Recorded run;
    record(&run, [seen] {
      FS_TRACE_WRITE(daxfs::entry_ref(Ino(1), daxfs::PgOff(0)), 0, kEntryOfFrame9);
      rt::spawn("a", set_flag);
      rt::spawn("b", [seen] {
        FS_TRACE_READ(kX, 2);
        if (seen) { FS_TRACE_READ(daxfs::writeback_ref(daxfs::Pfn(9)), 1); }
        rt::relax();
        if (seen) { FS_TRACE_READ(daxfs::writeback_ref(daxfs::Pfn(9)), 0); }
        complain(kX);
      });
      rt::spawn("c", clear_flag);
      rt::join_all_spawned();
    });
    const std::string text = sliced(run);
    EXPECT_EQ(text.find(":9:0>1") != std::string::npos, seen) << text;
  }
}

TEST(Slice, DrawsDetailsOnlyOfWhatTheFindingIsAbout) {
  for (const bool about : {false, true}) {
    Recorded run;
    record(&run, [about] {
      FS_TRACE_WRITE(daxfs::entry_ref(Ino(1), daxfs::PgOff(0)), 0, kEntryOfFrame9);
      rt::spawn("a", [] {
        FS_TRACE_WRITE(kX, 1, 2);
        FS_TRACE_WRITE(daxfs::buffer_ref(daxfs::Pfn(9)), 3, 0);
      });
      rt::spawn("b", [about] {
        FS_TRACE_READ(kX, 2);
        FS_TRACE_READ(daxfs::buffer_ref(daxfs::Pfn(9)), 0);
        complain(about ? daxfs::buffer_ref(daxfs::Pfn(9)) : kX);
      });
      rt::join_all_spawned();
    });
    EXPECT_EQ(sliced(run), about ? "0:1:1>2 0:9:3>0 1:1=2 1:9=0" : "0:1:1>2 1:1=2");
  }
}

TEST(Slice, OfARunWithoutRecordsIsEmpty) {
  Recorded run;
  run.recorder.begin_run();
  EXPECT_EQ(sliced(run), "");
}

TEST(Timeline, ResolvesFramesAndMappingsToTheFilePageBehindThem) {
  Recorded run;
  record(&run, [] {
    rt::spawn("a", [] {
      FS_TRACE_NAME(daxfs::pte_ref(1, daxfs::VirtAddr(0x10000), 4), "", daxfs::entry_ref(Ino(5), daxfs::PgOff(2), 4));
      FS_TRACE_READ(daxfs::pte_ref(1, daxfs::VirtAddr(0x12000)), 0);
      FS_TRACE_READ(daxfs::pte_ref(1, daxfs::VirtAddr(0x20000)), 0);
      FS_TRACE_READ(daxfs::extent_ref(Ino(5), 7), 0);
    });
    rt::join_all_spawned();
  });
  const Timeline timeline(run.recorder);
  std::vector<ObjectRef> pages;
  for (const Step& step : timeline.steps()) {
    if (step.is_access()) { pages.push_back(step.page); }
  }
  ASSERT_EQ(pages.size(), 3u);
  EXPECT_EQ(pages[0], daxfs::entry_ref(Ino(5), daxfs::PgOff(4)));
  EXPECT_EQ(pages[1].noun, daxfs::Noun::kNone);
  EXPECT_EQ(pages[2], daxfs::entry_ref(Ino(5), daxfs::PgOff(7)));
}

TEST(Timeline, EveryFrameOfAHugeEntryIsAPageOfItsFile) {
  Recorded run;
  record(&run, [] {
    rt::spawn("a", [] {
      const auto huge = daxfs::dax::Entry::frame(daxfs::Pfn(64), /*order=*/2);
      FS_TRACE_WRITE(daxfs::entry_ref(Ino(5), daxfs::PgOff(9)), 0, huge.trace_value());  // pages 8 to 11
      FS_TRACE_READ(daxfs::frame_ref(daxfs::Pfn(67)), 1);
      FS_TRACE_READ(daxfs::frame_ref(daxfs::Pfn(68)), 1);
    });
    rt::join_all_spawned();
  });
  const Timeline timeline(run.recorder);
  EXPECT_EQ(timeline.page_of(daxfs::frame_ref(daxfs::Pfn(67))), daxfs::entry_ref(Ino(5), daxfs::PgOff(11)));
  EXPECT_EQ(timeline.page_of(daxfs::frame_ref(daxfs::Pfn(68))).noun, daxfs::Noun::kNone);
}

TEST(Timeline, AFrameWhoseLastCountWentIsNobodysPage) {
  Recorded run;
  record(&run, [] {
    rt::spawn("a", [] {
      FS_TRACE_WRITE(daxfs::entry_ref(Ino(5), daxfs::PgOff(0)), 0, kEntryOfFrame9);
      FS_TRACE_WRITE(daxfs::frame_ref(daxfs::Pfn(9)), 1, 0);
      FS_TRACE_WRITE(daxfs::frame_ref(daxfs::Pfn(9)), 1, 2);
    });
    rt::join_all_spawned();
  });
  const Timeline timeline(run.recorder);
  std::vector<daxfs::Noun> pages;
  for (const Step& step : timeline.steps()) {
    if (step.object.noun == daxfs::Noun::kFrame) { pages.push_back(step.page.noun); }
  }
  EXPECT_EQ(pages, (std::vector{daxfs::Noun::kEntry, daxfs::Noun::kNone}));
}

TEST(Recorder, KnowsHowALockWasTakenAndWhatItIsCalled) {
  Recorded run;
  record(&run, [] {
    rt::Mutex mutex(rt::Rank::kLeaf, "the mutex");
    const rt::MutexLock lock(mutex);
    point();
  });
  for (const Record& r : run.recorder.records()) {
    if (r.object.noun != daxfs::Noun::kLock || r.point != rt::PointKind::kLock) { continue; }
    EXPECT_EQ(r.held, rt::HeldMode::kExclusive);
    ASSERT_NE(run.recorder.name_of(r.object), nullptr);
    EXPECT_STREQ(run.recorder.name_of(r.object)->name, "the mutex");
    return;
  }
  FAIL() << "no lock was recorded";
}

}  // namespace
}  // namespace daxfuzz::explain
