// fs/lib/xarray_test.cc - one behaviour of the XArray at a time: state, action, state; empty at
// both ends.
#include "fs/lib/xarray.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "fs/rt/rcu.h"
#include "fs/rt/testing.h"

namespace daxfs::lib {
namespace {

constexpr uint64_t kMax = ~uint64_t{0};

XEntry value(uint64_t v) { return XEntry::from_value(v); }

// Every test starts and ends with an empty array, and leaves no node behind.
template <unsigned kShift>
class Arrays : public testing::Test {
 protected:
  ~Arrays() override {
    EXPECT_EQ(xa_.check(), "") << xa_.dump();
    xa_.destroy();
    EXPECT_TRUE(xa_.empty());
    EXPECT_EQ(XaNodePool<kShift>::live(), live_before_);
  }
  // What lies in the array, as "first+order:value" words.
  std::string contents() {
    std::vector<std::pair<uint64_t, XEntry>> found;
    xa_.for_each(0, kMax, [&](uint64_t first, XEntry entry) { found.emplace_back(first, entry); });
    std::string text;
    for (const auto& [first, entry] : found) {
      text += std::to_string(first) + "+" + std::to_string(xa_.get_order(first)) + ":" + std::to_string(entry.value()) +
              " ";
    }
    return text;
  }

  const uint64_t live_before_ = XaNodePool<kShift>::live();
  BasicXArray<kShift> xa_{7};
};
using XArrayTest = Arrays<6>;
using SmallXArrayTest = Arrays<2>;

TEST(XEntry, EveryWordIsOfExactlyOneKind) {
  alignas(8) static char pointee[8];
  EXPECT_TRUE(XEntry::null().is_null());
  EXPECT_FALSE(XEntry::null());
  for (uint64_t v : {uint64_t{0}, uint64_t{1}, (uint64_t{1} << 63) - 1}) {
    EXPECT_TRUE(value(v).is_value());
    EXPECT_EQ(value(v).value(), v);
    EXPECT_FALSE(value(v).is_internal() || value(v).is_pointer());
  }
  EXPECT_TRUE(XEntry::from_pointer(pointee).is_pointer());
  EXPECT_EQ(XEntry::from_pointer(pointee).pointer(), pointee);
  EXPECT_FALSE(XEntry::from_pointer(pointee).is_internal());
  EXPECT_TRUE(XEntry::retry_entry().is_retry());
  EXPECT_TRUE(XEntry::zero_entry().is_zero_entry());
  EXPECT_TRUE(XEntry::sibling(63).is_sibling());
  EXPECT_EQ(XEntry::sibling(63).sibling_offset(), 63u);
  for (XEntry internal : {XEntry::retry_entry(), XEntry::zero_entry(), XEntry::sibling(0)}) {
    EXPECT_TRUE(internal.is_internal());
    EXPECT_FALSE(internal.is_node() || internal.is_value() || internal.is_pointer());
  }
  EXPECT_FALSE(XEntry::retry_entry().is_sibling() || XEntry::zero_entry().is_sibling());
}

TEST_F(XArrayTest, StoreReturnsWhatWasThereBefore) {
  EXPECT_FALSE(xa_.store(5, value(1)));
  EXPECT_EQ(xa_.store(5, value(2)), value(1));
  EXPECT_EQ(xa_.load(5), value(2));
  EXPECT_FALSE(xa_.load(4));
  EXPECT_EQ(xa_.erase(5), value(2));
  EXPECT_FALSE(xa_.erase(5));
  EXPECT_TRUE(xa_.empty());
}

TEST_F(XArrayTest, TheSingleEntryAtZeroNeedsNoNode) {
  xa_.store(0, value(1));
  EXPECT_EQ(XaNodePool<6>::live(), live_before_);
  xa_.set_mark(0, XaMark::k2);
  xa_.store(1000, value(2));  // the tree grows two levels, the mark goes down with the entry
  EXPECT_TRUE(xa_.get_mark(0, XaMark::k2));
#if defined(DAXFS_RT_FIBER)  // nobody counts with OS threads
  EXPECT_EQ(XaNodePool<6>::live(), live_before_ + 3);
#endif
  xa_.erase(1000);
  EXPECT_EQ(XaNodePool<6>::live(), live_before_) << "XA5: as low as can be";
  EXPECT_TRUE(xa_.get_mark(0, XaMark::k2));
}

TEST_F(XArrayTest, AnyIndexOfALargeEntryLoadsIt) {
  xa_.store(512, value(9), 9);
  for (uint64_t index : {512, 513, 576, 700, 1023}) { EXPECT_EQ(xa_.load(index), value(9)) << index; }
  EXPECT_FALSE(xa_.load(511));
  EXPECT_FALSE(xa_.load(1024));
  EXPECT_EQ(xa_.get_order(777), 9u);
}

// D02: a smaller store that collides with a large entry meets siblings, which are not nodes.
TEST_F(XArrayTest, SmallStoreInsideALargeEntryReplacesAllOfIt) {
  xa_.store(512, value(9), 9);
  EXPECT_EQ(xa_.store(1000, value(3)), value(9));
  EXPECT_EQ(contents(), "512+9:3 ");
  EXPECT_EQ(xa_.store(520, value(4), 3), value(3));
  EXPECT_EQ(contents(), "512+9:4 ");
}

// D03: erasing through any index removes the siblings too, and the nodes.
TEST_F(XArrayTest, EraseThroughAnyIndexRemovesTheWholeEntry) {
  xa_.store(512, value(9), 9);
  xa_.store(16, value(2), 4);
  EXPECT_EQ(xa_.erase(1023), value(9));
  EXPECT_EQ(contents(), "16+4:2 ");
  EXPECT_EQ(xa_.erase(21), value(2));
  EXPECT_TRUE(xa_.empty());
  EXPECT_EQ(XaNodePool<6>::live(), live_before_);
}

TEST_F(XArrayTest, LargeStoreReplacesEverythingInItsRange) {
  for (uint64_t index : {500, 511, 512, 600, 1023, 1024}) { xa_.store(index, value(index)); }
  xa_.set_mark(600, XaMark::k0);
  xa_.set_mark(1024, XaMark::k1);
  xa_.store(512, value(7), 9);
  EXPECT_EQ(contents(), "500+0:500 511+0:511 512+9:7 1024+0:1024 ");
  EXPECT_TRUE(xa_.get_mark(512, XaMark::k0)) << "the marks of what was replaced are kept";
  EXPECT_FALSE(xa_.get_mark(512, XaMark::k1));
}

// Catalogue A23 and D08. A PTE entry at 1023 is locked, a PMD fault asks for 512..1023: a load of
// order 9 looks at the first slot and says "nothing", and a store then erases the entry that
// somebody else holds.
TEST_F(XArrayTest, OnlyFindConflictSeesASmallEntryElsewhereInTheRange) {
  xa_.store(1023, value(1));
  rt::SpinGuard guard(xa_.lock());
  XaCursor xas(xa_, 512, 9);
  EXPECT_FALSE(xas.load());
  xas.reset();
  EXPECT_EQ(xas.find_conflict(), value(1));
  EXPECT_EQ(xas.index(), 512u);
  EXPECT_FALSE(xas.find_conflict()) << "there is one";
}

TEST_F(SmallXArrayTest, OnlyFindConflictSeesASmallEntryElsewhereInTheRange) {
  xa_.store(7, value(1));
  xa_.store(8, value(2));
  rt::SpinGuard guard(xa_.lock());
  SmallXaCursor xas(xa_, 0, 3);
  EXPECT_FALSE(xas.load());
  xas.reset();
  EXPECT_EQ(xas.find_conflict(), value(1));
  EXPECT_FALSE(xas.find_conflict());
}

// Catalogue A24: a load of order 9 that meets a subtree must not be taken for an entry.
TEST_F(XArrayTest, LargeLoadOfSmallEntriesIsAnInternalEntry) {
  xa_.store(512, value(1));
  rt::SpinGuard guard(xa_.lock());
  XaCursor xas(xa_, 512, 9);
  const XEntry entry = xas.load();
  EXPECT_TRUE(entry.is_node());
  EXPECT_FALSE(entry.is_value());
}

TEST_F(XArrayTest, FindConflictSeesTheLargeEntryAroundASmallRange) {
  xa_.store(512, value(1), 9);
  rt::SpinGuard guard(xa_.lock());
  XaCursor xas(xa_, 900);
  EXPECT_EQ(xas.find_conflict(), value(1));
  EXPECT_FALSE(xas.find_conflict());
}

TEST_F(XArrayTest, StoreAfterAnExhaustedFindConflictGoesToTheRange) {
  xa_.store(100, value(1));
  xa_.store(5000, value(2));
  {
    rt::SpinGuard guard(xa_.lock());
    XaCursor xas(xa_, 512, 9);
    EXPECT_FALSE(xas.find_conflict());
    xas.store(value(3));
  }
  EXPECT_EQ(contents(), "100+0:1 512+9:3 5000+0:2 ");
}

// D07: marks belong to the canonical slot, whatever index one comes through. XA2.
TEST_F(XArrayTest, MarksThroughAnUnalignedIndexAreTheEntrys) {
  xa_.store(512, value(1), 9);
  xa_.set_mark(999, XaMark::k0);
  for (uint64_t index : {512, 640, 999, 1023}) { EXPECT_TRUE(xa_.get_mark(index, XaMark::k0)); }
  EXPECT_EQ(xa_.check(), "");
  xa_.clear_mark(700, XaMark::k0);
  EXPECT_FALSE(xa_.get_mark(512, XaMark::k0));
  EXPECT_FALSE(xa_.marked(XaMark::k0));
}

TEST_F(XArrayTest, AMarkIsClearedAboveOnlyWithTheLastMarkBelow) {
  xa_.store(1, value(1));
  xa_.store(2, value(2));
  xa_.store(70000, value(3));
  xa_.set_mark(1, XaMark::k1);
  xa_.set_mark(2, XaMark::k1);
  xa_.clear_mark(1, XaMark::k1);
  EXPECT_TRUE(xa_.marked(XaMark::k1));
  xa_.erase(2);
  EXPECT_FALSE(xa_.marked(XaMark::k1));
  xa_.set_mark(3, XaMark::k1);
  EXPECT_FALSE(xa_.marked(XaMark::k1)) << "nothing is at 3";
}

TEST_F(XArrayTest, FindMarkedSkipsWhatIsNotMarked) {
  for (uint64_t index = 0; index < 3000; index += 7) { xa_.store(index, value(index)); }
  for (uint64_t index : {7, 700, 2100, 2996}) { xa_.set_mark(index - index % 7, XaMark::k2); }
  rt::SpinGuard guard(xa_.lock());
  std::vector<uint64_t> found;
  XaCursor xas(xa_, 8);
  while (xas.find_marked(2500, XaMark::k2)) { found.push_back(xas.index()); }
  EXPECT_EQ(found, (std::vector<uint64_t>{700, 2100}));
}

TEST_F(XArrayTest, SplitKeepsMarksAndNeighbours) {
  xa_.store(511, value(1));
  xa_.store(512, value(2), 9);
  xa_.set_mark(600, XaMark::k0);
  {
    rt::SpinGuard guard(xa_.lock());
    XaCursor xas(xa_, 800, 0);
    xas.split(value(3), 9);
    EXPECT_EQ(xas.load(), value(3));
    EXPECT_EQ(xas.get_order(), 0u);
  }
  uint64_t entries = 0;
  uint64_t marked = 0;
  xa_.for_each(512, 1023, [&](uint64_t, XEntry entry) { entries += entry == value(3) ? 1 : 0; });
  for (uint64_t index = 512; index < 1024; ++index) { marked += xa_.get_mark(index, XaMark::k0) ? 1 : 0; }
  EXPECT_EQ(entries, 512u);
  EXPECT_EQ(marked, 512u);
  EXPECT_FALSE(xa_.get_mark(511, XaMark::k0));
  EXPECT_EQ(xa_.check(), "");
}

TEST_F(SmallXArrayTest, SplitGoesThroughSeveralLevels) {
  xa_.store(512, value(2), 9);
  rt::SpinGuard guard(xa_.lock());
  SmallXaCursor xas(xa_, 512, 1);
  xas.split(value(3), 9);
  for (uint64_t index = 512; index < 1024; ++index) {
    xas.set_order(index, 0);
    EXPECT_EQ(xas.load(), value(3));
    EXPECT_EQ(xas.get_order(), 1u);
  }
}

TEST_F(XArrayTest, PauseGoesOnBehindTheEntryThatWasSeenEvenIfItIsGone) {
  xa_.store(0, value(1));
  xa_.store(512, value(2), 9);
  xa_.store(1024, value(3));
  xa_.store(4000, value(4));
  xa_.lock().lock();
  XaCursor xas(xa_, 0);
  EXPECT_EQ(xas.find(kMax), value(1));
  xas.pause();
  xa_.lock().unlock();
  xa_.store(3, value(10));  // behind the pause: seen
  xa_.lock().lock();
  EXPECT_EQ(xas.find(kMax), value(10));
  EXPECT_EQ(xas.find(kMax), value(2));
  xas.pause();
  EXPECT_EQ(xas.index(), 1024u) << "behind all of the large entry";
  xa_.lock().unlock();
  xa_.erase(600);
  xa_.store(700, value(11));  // inside the range that was seen: not seen again
  xa_.erase(1024);            // not seen any more
  xa_.lock().lock();
  EXPECT_EQ(xas.find(kMax), value(4));
  xas.pause();
  xa_.lock().unlock();
  xa_.destroy();
  xa_.lock().lock();
  EXPECT_FALSE(xas.find(kMax));
  xa_.lock().unlock();
}

TEST_F(XArrayTest, PauseOfALookInsideALargeEntryDoesNotSkip) {
  xa_.store(8, value(1), 3);
  xa_.store(16, value(2));
  rt::SpinGuard guard(xa_.lock());
  XaCursor xas(xa_, 11);
  EXPECT_EQ(xas.find(kMax), value(1));
  EXPECT_EQ(xas.index(), 11u);
  EXPECT_EQ(xas.first_index(), 8u);
  xas.pause();
  EXPECT_EQ(xas.find(kMax), value(2));
}

TEST_F(XArrayTest, TheVeryLastIndexIsAnIndexLikeAnyOther) {
  xa_.store(kMax, value(1));
  xa_.store(kMax - 512, value(2));
  xa_.set_mark(kMax, XaMark::k0);
  rt::SpinGuard guard(xa_.lock());
  XaCursor xas(xa_, 1);
  EXPECT_EQ(xas.find(kMax), value(2));
  EXPECT_EQ(xas.find(kMax), value(1));
  xas.pause();
  EXPECT_FALSE(xas.find(kMax)) << "the index does not wrap around";
  xas.set(1);
  EXPECT_EQ(xas.find_marked(kMax, XaMark::k0), value(1));
  EXPECT_FALSE(xas.find_marked(kMax, XaMark::k0));
}

TEST_F(XArrayTest, AReservationIsOccupiedAndReadsAsNull) {
  xa_.store(3, XEntry::zero_entry());
  EXPECT_FALSE(xa_.empty());
  EXPECT_FALSE(xa_.load(3));
  rt::SpinGuard guard(xa_.lock());
  XaCursor xas(xa_, 3);
  EXPECT_TRUE(xas.retry(xas.load()));
  xas.store(value(1));
  xas.reset();
  EXPECT_EQ(xas.load(), value(1));
}

// The validator is the judge of every other test, so it must see each kind of damage. The root is
// reached as the answer to a load whose order is larger than the tree.
class XArrayDamage : public XArrayTest {
 protected:
  XaNode<6>* root() {
    rt::SpinGuard guard(xa_.lock());
    XaCursor xas(xa_, 0, 30);
    return XaNode<6>::of(xas.load());
  }
  // Checks that `damage` is seen as `tag` and, undone, is not.
  template <typename F, typename G>
  void expect_seen(const char* tag, F damage, G undo) {
    ASSERT_EQ(xa_.check(), "");
    damage();
    EXPECT_EQ(xa_.check().substr(0, 3), tag) << xa_.check();
    EXPECT_DEATH(xa_.assert_consistent(), tag);
    undo();
    ASSERT_EQ(xa_.check(), "");
  }
};

TEST_F(XArrayDamage, CheckSeesIt) {
  xa_.store(512, value(1), 9);
  xa_.store(3, value(2));
  xa_.set_mark(3, XaMark::k0);
  XaNode<6>* node = root();
  XaNode<6>* leaf = XaNode<6>::of(node->slot(0));
  expect_seen("XA1", [&] { ++node->count; }, [&] { --node->count; });
  expect_seen("XA1", [&] { --leaf->nr_values; }, [&] { ++leaf->nr_values; });
  expect_seen("XA2", [&] { leaf->set_marks(XaMark::k0, 0); }, [&] { leaf->set_marks(XaMark::k0, 8); });
  expect_seen("XA2", [&] { leaf->set_marks(XaMark::k0, 12); }, [&] { leaf->set_marks(XaMark::k0, 8); });
  expect_seen("XA2", [&] { node->set_marks(XaMark::k1, 1); }, [&] { node->set_marks(XaMark::k1, 0); });
  expect_seen("XA3", [&] { node->set_slot(12, XEntry::null()); }, [&] { node->set_slot(12, XEntry::sibling(8)); });
  expect_seen("XA3", [&] { node->set_slot(15, XEntry::sibling(9)); }, [&] { node->set_slot(15, XEntry::sibling(8)); });
  expect_seen("XA4", [&] { leaf->set_parent(nullptr); }, [&] { leaf->set_parent(node); });
  expect_seen("XA4", [&] { leaf->offset = 1; }, [&] { leaf->offset = 0; });
  xa_.clear_mark(3, XaMark::k0);
  expect_seen("XA4", [&] { leaf->set_slot(3, XEntry::null()); }, [&] { leaf->set_slot(3, value(2)); });
  expect_seen(
      "XA5",
      [&] {
        for (unsigned at = 8; at < 16; ++at) { node->set_slot(at, XEntry::null()); }
        node->count = 1;
      },
      [&] {
        node->set_slot(8, value(1));
        for (unsigned at = 9; at < 16; ++at) { node->set_slot(at, XEntry::sibling(8)); }
        node->count = 9;
      });
}

using XArrayDeathTest = XArrayTest;

// XA1, XA4: the counters are asserted where they change.
TEST_F(XArrayDeathTest, CountersThatCannotBeAreBugs) {
  xa_.store(3, value(1));
  xa_.store(70, value(1));
  rt::SpinGuard guard(xa_.lock());
  XaCursor whole(xa_, 0, 30);
  XaNode<6>* node = XaNode<6>::of(whole.load());
  XaCursor xas(xa_, 3);
  XaNode<6>* leaf = XaNode<6>::of(node->slot(0));
  leaf->nr_values = 5;
  EXPECT_DEATH(xas.store(XEntry::from_pointer(leaf)), "values among");
  leaf->nr_values = 1;
  node->count = 0;
  EXPECT_DEATH(xas.store(XEntry::null()), "counts no entries");
  node->count = 2;
}

// XA6.
TEST_F(XArrayDeathTest, StoreBelowTheCursorsLevelIsABug) {
  xa_.store(1023, value(1));
  rt::SpinGuard guard(xa_.lock());
  XaCursor xas(xa_, 512, 9);
  xas.find_conflict();  // stands at 1023 now
  EXPECT_DEATH(xas.store(value(2)), "reset it");
}

// XA7.
TEST_F(XArrayDeathTest, InternalEntriesCannotBeStored) {
  EXPECT_DEATH(xa_.store(0, XEntry::retry_entry()), "internal entry");
  EXPECT_DEATH(xa_.store(0, XEntry::sibling(3)), "internal entry");
}

// XA8.
TEST_F(XArrayDeathTest, MarksNeedAnEntry) {
  xa_.store(512, value(1));
  rt::SpinGuard guard(xa_.lock());
  XaCursor nothing(xa_, 3);
  nothing.load();
  EXPECT_DEATH(nothing.set_mark(XaMark::k0), "no entry");
  XaCursor subtree(xa_, 512, 9);
  subtree.load();
  EXPECT_DEATH(subtree.set_mark(XaMark::k0), "no entry");
  EXPECT_DEATH(subtree.init_marks(), "subtree");
}

// XA9.
TEST_F(XArrayDeathTest, SplitNeedsAnEntryOfThatOrder) {
  xa_.store(512, value(1), 9);
  rt::SpinGuard guard(xa_.lock());
  XaCursor xas(xa_, 512, 0);
  EXPECT_DEATH(xas.split(value(2), 8), "where order 9 is");
  EXPECT_DEATH(xas.split(XEntry::null(), 9), "into nothing");
}

// ---- With tasks.

// Switches tasks after every few events, from a fixed seed.
class RandomPolicy : public rt::Policy {
 public:
  explicit RandomPolicy(uint32_t seed) : random_(seed) {}
  uint64_t budget(const rt::SchedView&) override { return 1 + random_() % 12; }
  rt::TaskId preempt(const rt::SchedView& view) override { return view.runnable[random_() % view.runnable.size()]; }
  rt::TaskId choose(const rt::SchedView& view) override { return preempt(view); }

 private:
  std::mt19937 random_;
};

// Readers walk without the lock while a writer grows, shrinks, splits and replaces. Each index of
// [0, 64) only ever holds null or a value between 100 and 199; a torn walk would show a node, a
// sibling, freed memory (ASan), or a race (TSan).
template <unsigned kShift>
void lockless_readers_see_entries_only(uint32_t seed) {
  const uint64_t live = XaNodePool<kShift>::live();
  RandomPolicy policy(seed);
  const rt::RunOutcome outcome = rt::run_lambda(
      [&] {
        BasicXArray<kShift> xa(1, XaReaders::kLockless);
        auto reader = [&xa] {
          for (uint64_t i = 0; i < 60; ++i) {
            const XEntry entry = xa.load(i % 64);
            FS_BUG_ON(entry && (!entry.is_value() || entry.value() < 100 || entry.value() > 199), "XA3",
                      "reader saw %s", entry.is_internal() ? "an internal entry" : "a strange value");
            rt::RcuReadGuard guard;
            XaState<kShift> xas(xa, i % 16);
            for (XEntry next = xas.find(63); next; next = xas.find(63)) {
              if (xas.retry(next)) { continue; }
              FS_BUG_ON(!next.is_value(), "XA3", "iteration met an internal entry");
            }
          }
        };
        rt::spawn("reader", reader);
        rt::spawn("reader", reader);
        rt::spawn("writer", [&xa, seed] {
          std::mt19937 random(seed);
          for (int i = 0; i < 60; ++i) {
            const uint64_t index = random() % 64;
            switch (random() % 4) {
              case 0: xa.erase(index); break;
              case 1: xa.store(index, value(100 + random() % 100), static_cast<unsigned>(random() % 6)); break;
              case 2: {
                rt::SpinGuard guard(xa.lock());
                XaState<kShift> xas(xa, index);
                if (const unsigned order = xas.get_order(); order > 0) {
                  xas.set_order(index, order / 2);
                  xas.split(value(150), order);
                }
                break;
              }
              default: xa.store(index, value(100)); break;
            }
            rt::SpinGuard guard(xa.lock());
            xa.assert_consistent();
          }
        });
        rt::join_all_spawned();
      },
      policy);
  ASSERT_FALSE(outcome.finding.has_value()) << outcome.finding->title << " seed " << seed;
  EXPECT_EQ(XaNodePool<kShift>::live(), live);
}

TEST(XArrayTasks, LocklessReadersSeeEntriesOnly) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    lockless_readers_see_entries_only<2>(seed);
    lockless_readers_see_entries_only<6>(seed);
  }
}

#if defined(DAXFS_RT_FIBER)
TEST(XArrayTasks, ReadWithoutTheLockIsAVerdict) {
  const rt::RunOutcome outcome = rt::run_lambda([] {
    XArray xa(1);
    XaCursor xas(xa, 0);
    xas.load();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->verdict, Verdict::kLockMisuse);
}

TEST(XArrayTasks, NodesOfAnAbandonedRunAreReclaimed) {
  const uint64_t live = XaNodePool<6>::live();
  const rt::RunOutcome outcome = rt::run_lambda([] {
    static XArray* leaked;
    leaked = new XArray(1);
    for (uint64_t i = 0; i < 1000; i += 50) { leaked->store(i, value(i)); }
    FS_BUG_ON(true, "XA4", "abandon");
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_GT(XaNodePool<6>::live(), live);
  XaNodePool<6>::reclaim_all();
  EXPECT_EQ(XaNodePool<6>::live(), 0u);
}
#endif

}  // namespace
}  // namespace daxfs::lib
