// fs/ext4/layout_test.cc - direct I/O against everything that takes blocks away; the historical
// bugs around break_layouts.
//
// Each search runs every interleaving of two tasks with up to two preemptions (with a stride in the
// second). The pages of a DAX file are the buffer of a direct read from a file of a second kind:
// one whose DAX flag is off.
#include "fs/ext4/layout.h"

#include "fs/ext4/file_test_world.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/io/direct_io.h"
#include "fs/mm/gup.h"

namespace daxfs::ext4 {
namespace {

using testing::FileWorld;
using testing::TestFile;

#if defined(DAXFS_RT_FIBER)

// Task 0 reads two blocks of `source` directly into the mapping of `target`; task 1 runs `remove`.
// What the freed blocks become afterwards is the fuzzer's business; here O1 and O15 speak.
template <typename Remove>
void dio_against(FileWorld& w, Remove remove) {
  const TestFile source = w.open("source");
  const TestFile target = w.open("target");
  EXPECT_TRUE(w.fill(source, 0, 2 * kPageSize, 0x77).ok());
  EXPECT_TRUE(w.fill(target, 0, 4 * kPageSize, 0x11).ok());
  const VirtAddr a = w.map(w.p0, target, 2);
  w.poke(w.p0, a, 1);
  w.poke(w.p0, a + kPageSize, 1);
  rt::spawn("dio", [&] {
    io::IovBuffer buffer = io::IovBuffer::user(w.p0, a, 2 * kPageSize);
    // As file_read does for a file without DAX.
    io::iomap_dio_rw(*source, buffer, 0, false, iomap_ops(), nullptr).ignore_error("a hole beyond EOF may fault");
  });
  rt::spawn("remove", [&] { remove(target); });
  rt::join_all_spawned();
  rt::run_pending_system_tasks();
}

template <typename Remove>
dax::SearchResult search_dio(Remove remove, dax::SearchOptions options) {
  return dax::search<FileWorld>(
      [&](FileWorld& w) {
        dio_against(w, remove);
        w.finish(/*fsck=*/false);
        return true;
      },
      options);
}

constexpr dax::SearchOptions kClean{.events_max = 400, .stride = 41};
constexpr dax::SearchOptions kFind{.events_max = 400, .stride = 3, .until_found = true};

Status falloc(const TestFile& f, unsigned mode) { return fallocate(*f, mode, 0, 2 * kPageSize); }
void punch(const TestFile& f) { EXPECT_TRUE(falloc(f, testing::kPunch).ok()); }
void zero(const TestFile& f) { EXPECT_TRUE(falloc(f, kFallocZeroRange).ok()); }
void collapse(const TestFile& f) { EXPECT_TRUE(falloc(f, kFallocCollapseRange).ok()); }
void insert(const TestFile& f) { EXPECT_TRUE(falloc(f, kFallocInsertRange).ok()); }
void shrink(const TestFile& f) { EXPECT_TRUE(FileWorld::truncate(f, 0).ok()); }

TEST(BreakLayouts, EveryRemoverWaitsForDirectIo) {
  for (void (*remove)(const TestFile&) : {punch, zero, collapse, insert, shrink}) {
    const dax::SearchResult result = search_dio(remove, kClean);
    EXPECT_TRUE(result.clean()) << result.text();
    EXPECT_GT(result.runs, 200u);
  }
}

struct BugCase {
  Bug bug;
  void (*remove)(const TestFile&);
};

// A02. The completion releases the two pins one by one: the punch finds the first page busy, and
// idle again when it is about to wait; so it never sleeps, and with the bug never looks at the
// second page.
TEST(BreakLayouts, LooksAgainAfterAWaitThatNeedNotSleep) {
  dax::SearchOptions options{.tasks = {1, rt::kFirstIrqTask}, .events_max = 400, .second_events_max = 40, .stride = 2};
  EXPECT_TRUE(search_dio(punch, options).clean());
  const dax::WithBug bug(Bug::kBreakLayoutsLostRetry);
  options.stride = 1;
  options.until_found = true;
  const dax::SearchResult result = search_dio(punch, options);
  EXPECT_GT(result.findings("O1") + result.findings("O15"), 0u) << result.text();
}

// A01, A03: the pin is missed and O1 fires where the entry goes.
TEST(BreakLayouts, HistoricalBugsMissAPin) {
  const BugCase cases[] = {{Bug::kNoBreakLayoutsPunch, punch},
                           {Bug::kNoBreakLayoutsTruncate, shrink},
                           {Bug::kNoBreakLayoutsCollapse, collapse},
                           {Bug::kNoBreakLayoutsZeroRange, zero},
                           {Bug::kDioPinNoUnmap, punch},
                           {Bug::kDioPinScanUnlocked, punch}};
  for (const BugCase& c : cases) {
    const dax::WithBug bug(c.bug);
    const dax::SearchResult result = search_dio(c.remove, kFind);
    EXPECT_GT(result.findings("O1") + result.findings("O15"), 0u)
        << historical_bugs()[static_cast<size_t>(c.bug)].id << ": " << result.text();
  }
}

// A04: the direct read pins its first page, and faults for the second while the punch sleeps with
// the lock held.
TEST(BreakLayouts, AWaitThatKeepsTheInvalidateLockDeadlocks) {
  const auto race = [](FileWorld& w) {
    const TestFile source = w.open("source");
    const TestFile target = w.open("target");
    EXPECT_TRUE(w.fill(source, 0, 2 * kPageSize, 0x77).ok());
    EXPECT_TRUE(w.fill(target, 0, 2 * kPageSize, 0x11).ok());
    const VirtAddr a = w.map(w.p0, target, 2);
    w.poke(w.p0, a, 1);
    rt::spawn("dio", [&] {
      io::IovBuffer buffer = io::IovBuffer::user(w.p0, a, 2 * kPageSize);
      EXPECT_TRUE(io::iomap_dio_rw(*source, buffer, 0, false, iomap_ops(), nullptr).ok());
    });
    rt::spawn("punch", [&] { punch(target); });
    rt::join_all_spawned();
  };
  const auto scenario = [&](FileWorld& w) {
    race(w);
    w.finish(/*fsck=*/false);
    return true;
  };
  EXPECT_TRUE(dax::search<FileWorld>(scenario, kClean).clean());
  const dax::WithBug bug(Bug::kWaitKeepsMmapSem);
  const dax::SearchResult result = dax::search<FileWorld>(scenario, kFind);
  EXPECT_FALSE(result.tags.empty()) << result.text();
}

// A04, the opposite error. O11: somebody changes the size while a punch sleeps.
TEST(BreakLayouts, AWaitThatDropsTheInodeLockLetsOthersIn) {
  for (const bool buggy : {false, true}) {
    BugSet bugs;
    bugs.set(static_cast<size_t>(Bug::kWaitDropsInodeLock), buggy);
    set_historical(bugs);
    const auto outcome = dax::run_in_world<FileWorld>([&](FileWorld& w) {
      TestFile f = w.open("f");
      EXPECT_TRUE(w.fill(f, 0, 2 * kPageSize, 0x11).ok());
      const VirtAddr a = w.map(w.p0, f, 2);
      w.poke(w.p0, a, 1);
      auto pin = mm::pin_user_page(w.p0, a, true);
      rt::spawn("punch", [&] { punch(f); });
      const rt::TaskId grow = rt::spawn("grow", [&] { EXPECT_TRUE(w.fill(f, 8 * kPageSize, 1, 1).ok()); });
      if (buggy) { rt::join(grow); }
      pin->release();
      rt::join_all_spawned();
      f.inode.put();
      w.finish(/*fsck=*/false);
    });
    EXPECT_EQ(outcome.finding.has_value(), buggy);
    if (outcome.finding.has_value()) { EXPECT_EQ(outcome.finding->tag, "O11") << outcome.finding->title; }
  }
  set_historical(BugSet());
}

// A03, eviction: the file goes away while its page is under DMA.
TEST(BreakLayouts, EvictionWaitsForPins) {
  const auto race = [](FileWorld& w) {
    const TestFile source = w.open("source");
    TestFile target = w.open("target");
    EXPECT_TRUE(w.fill(source, 0, kPageSize, 0x77).ok());
    EXPECT_TRUE(w.fill(target, 0, kPageSize, 0x11).ok());
    w.remove("target");
    const VirtAddr a = w.map(w.p0, target, 1);
    w.poke(w.p0, a, 1);
    rt::spawn("dio", [&] {
      io::IovBuffer buffer = io::IovBuffer::user(w.p0, a, kPageSize);
      io::iomap_dio_rw(*source, buffer, 0, false, iomap_ops(), nullptr).ignore_error("the mapping may be gone");
    });
    rt::spawn("close", [&] {
      EXPECT_TRUE(w.p0.munmap(a, kPageSize).ok());
      target.inode.put();
    });
    rt::join_all_spawned();
    rt::run_pending_system_tasks();
  };
  const auto scenario = [&](FileWorld& w) {
    race(w);
    w.finish(/*fsck=*/false);
    return true;
  };
  const dax::SearchResult clean = dax::search<FileWorld>(scenario, kClean);
  EXPECT_TRUE(clean.clean()) << clean.text();
  const dax::WithBug bug(Bug::kNoBreakLayoutsEvict);
  const dax::SearchResult result = dax::search<FileWorld>(scenario, kFind);
  EXPECT_GT(result.findings("O1") + result.findings("O15"), 0u) << result.text();
}

// C01: a store fault between the dropped entries and the freed blocks maps a block that is about to
// belong to nobody.
TEST(Punch, WithoutInvalidateLockAFaultMapsADoomedBlock) {
  const auto race = [](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 2 * kPageSize, 0x11).ok());
    const VirtAddr a = w.map(w.p0, f, 2);
    rt::spawn("store", [&] { w.poke(w.p0, a, 0x55); });
    rt::spawn("punch", [&] { punch(f); });
    rt::join_all_spawned();
    const dax::Entry entry = dax::Entry::from_tree(f->mapping().i_pages.load(0));
    const auto map = map_blocks(nullptr, *f, {.lblk = LogicalBlock(0), .len = 1});
    return !entry.is_frame() ||
           (map.ok() && map->state == BlockState::kWritten && map->pblk.value() == entry.pfn().value());  // O6
  };
  const auto scenario = [&](FileWorld& w) {
    const bool right = race(w);
    w.finish(/*fsck=*/false);
    return right;
  };
  const dax::SearchResult clean = dax::search<FileWorld>(scenario, kClean);
  EXPECT_TRUE(clean.clean()) << clean.text();
  const dax::WithBug bug(Bug::kFaultVsPunch);
  const dax::SearchResult result = dax::search<FileWorld>(scenario, kFind);
  EXPECT_GT(result.wrong + result.findings("O15"), 0u) << result.text();
}

// EL1
TEST(BreakLayouts, WithoutTheInvalidateLockIsAFinding) {
  const auto outcome = dax::run_in_world<FileWorld>([](FileWorld& w) {
    const TestFile f = w.open("f");
    break_layouts(*f).ignore_error("ends the run");
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "EL1");
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::ext4
