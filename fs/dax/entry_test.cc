// fs/dax/entry_test.cc - the entry's bits, its lock, its waiters.
#include "fs/dax/entry.h"

#include "fs/dax/entry_lock.h"
#include "fs/dax/entry_owner.h"
#include "fs/dax/test_world.h"

namespace daxfs::dax {
namespace {

TEST(Entry, KeepsEachBitApart) {
  const Entry frame = Entry::frame(Pfn(0x1234), 0);
  EXPECT_TRUE(frame.is_frame());
  EXPECT_FALSE(frame.is_locked() || frame.is_pmd() || frame.is_zero() || frame.is_empty() || frame.none());
  EXPECT_EQ(frame.pfn(), Pfn(0x1234));
  EXPECT_TRUE(frame.locked().is_locked());
  EXPECT_EQ(frame.locked().unlocked(), frame);
  EXPECT_EQ(Entry::from_tree(frame.locked().to_tree()), frame.locked());

  const Entry huge = Entry::frame(Pfn(0x200), kPmdOrder);
  EXPECT_TRUE(huge.is_pmd());
  EXPECT_EQ(huge.pages(), kPagesPerPmd);
  EXPECT_EQ(huge.base(PgOff(513)), PgOff(512));
  EXPECT_EQ(frame.base(PgOff(513)), PgOff(513));

  EXPECT_FALSE(Entry::zero(Pfn(9), 0).is_frame());
  EXPECT_FALSE(Entry::empty(0).is_frame());
  EXPECT_TRUE(Entry().none());
  EXPECT_FALSE(Entry::frame(Pfn(0), 0).none());  // block 0, no bit set, is an entry all the same
}

// O4, DE3: unlock stores the unlocked word; the counts follow.
TEST(EntryLock, CreatesAnEmptyEntryAndGivesItBack) {
  const auto outcome = run_in_world([](World& w) {
    bool conflict = true;
    EntryGuard guard(w.file.mapping(), PgOff(3), 0, &conflict);
    EXPECT_FALSE(conflict);
    EXPECT_TRUE(w.file.entry(3).is_empty());
    EXPECT_TRUE(w.file.entry(3).is_locked());
    EXPECT_EQ(w.file.mapping().nrexceptional, 1u);
    guard.unlock();
    EXPECT_FALSE(w.file.entry(3).is_locked());
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(EntryLock, OfA2MiBRangeDeclinesWhereSinglePagesAre) {
  const auto outcome = run_in_world([](World& w) {
    bool conflict = false;
    EntryGuard page(w.file.mapping(), PgOff(7), 0, &conflict);
    page.unlock();
    EntryGuard huge(w.file.mapping(), PgOff(0), kPmdOrder, &conflict);
    EXPECT_TRUE(conflict);
    EXPECT_EQ(w.file.mapping().nrexceptional, 1u);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(EntryLock, OfAPageReplacesA2MiBEntryWithoutBlocks) {
  const auto outcome = run_in_world([](World& w) {
    bool conflict = false;
    EntryGuard huge(w.file.mapping(), PgOff(0), kPmdOrder, &conflict);
    huge.unlock();
    EXPECT_EQ(w.file.mapping().nrexceptional, kPagesPerPmd);
    EntryGuard page(w.file.mapping(), PgOff(7), 0, &conflict);
    EXPECT_FALSE(conflict);
    EXPECT_EQ(w.file.mapping().nrexceptional, 1u);
    EXPECT_TRUE(w.file.entry(0).none());
    page.unlock();
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

#if defined(DAXFS_RT_FIBER)

// O4: two unlocks of one lock. The second finds the entry unlocked.
TEST(EntryLock, UnlockOfAnUnlockedEntryIsABug) {
  const auto outcome = run_in_world([](World& w) {
    bool conflict = false;
    EntryGuard guard(w.file.mapping(), PgOff(3), 0, &conflict);
    w.file.mapping().i_pages.store(3, Entry::empty(0).to_tree());
    guard.unlock();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "O4");
}

// DE3
TEST(EntryLock, MustBeGivenBackByName) {
  const auto outcome = run_in_world([](World& w) {
    bool conflict = false;
    EntryGuard guard(w.file.mapping(), PgOff(3), 0, &conflict);
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "DE3");
}

// DE2
TEST(EntryLock, AForeignWordInTheTreeIsABug) {
  const auto outcome = run_in_world([](World& w) {
    alignas(8) static int something = 0;
    w.file.mapping().i_pages.store(3, lib::XEntry::from_pointer(&something));
    bool conflict = false;
    EntryGuard guard(w.file.mapping(), PgOff(3), 0, &conflict);
    guard.unlock();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "DE2");
}

// Three tasks want one entry; a fourth only looks (get, put) and must pass its wake-up on. In no
// interleaving with two preemptions does one sleep for ever, and the lock excludes.
TEST(EntryLock, EveryWaiterGetsItsTurn) {
  const SearchResult result = search(
      [](World& w) {
        int inside = 0;
        bool overlap = false;
        const auto worker = [&] {
          bool conflict = false;
          EntryGuard guard(w.file.mapping(), PgOff(5), 0, &conflict);
          overlap |= ++inside > 1;
          rt::yield();
          rt::yield();
          --inside;
          guard.unlock();
        };
        const auto looker = [&]() {
          const EntryRank rank(w.file.mapping(), PgOff(5));
          rt::SpinGuard tree(w.file.mapping().i_pages.lock());
          lib::XaCursor xas(w.file.mapping().i_pages, 5);
          const FoundEntry found = get_unlocked_entry(w.file.mapping(), xas);
          put_unlocked_entry(w.file.mapping(), PgOff(5), found.entry);
        };
        rt::spawn("a", worker);
        rt::spawn("b", worker);
        rt::spawn("look", looker);
        rt::spawn("c", worker);
        rt::join_all_spawned();
        w.finish();
        return !overlap;
      },
      {.events_max = 60});
  EXPECT_TRUE(result.clean()) << result.text();
  EXPECT_GT(result.runs, 500u);
}

// O11: the entry lock is inside the handle's rank and outside i_data_sem.
TEST(EntryLock, TakenInsideIDataSemIsALockOrderFinding) {
  const auto outcome = run_in_world([](World& w) {
    rt::RwSem data_sem(rt::Rank::kDataSem, "i_data_sem");
    const rt::ReadLock lock(data_sem);
    bool conflict = false;
    EntryGuard guard(w.file.mapping(), PgOff(3), 0, &conflict);
    guard.unlock();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->verdict, Verdict::kLockMisuse);
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::dax
