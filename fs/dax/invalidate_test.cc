// fs/dax/invalidate_test.cc - entries that leave the tree.
#include "fs/dax/invalidate.h"

#include "fs/dax/test_world.h"
#include "fs/mm/gup.h"

namespace daxfs::dax {
namespace {

TEST(Invalidate, HoleEntriesGoAndBlocksStay) {
  const auto outcome = run_in_world([](World& w) {
    w.file.add_block(0, std::byte{1});
    const VirtAddr a0 = w.map(w.p0, w.file, 4);
    World::peek(w.p0, a0);
    World::peek(w.p0, a0 + kPageSize);
    drop_hole_entries(w.file.mapping(), PgOff(0), PgOff(3));
    EXPECT_TRUE(w.file.entry(0).is_frame());
    EXPECT_TRUE(w.file.entry(1).none());
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(Truncate, DropsManyEntriesAndPrivateCopiesBehindTheNewSize) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 16);
    const VirtAddr a1 = w.map(w.p1, w.file, 16, mm::kMapPrivate);
    for (uint64_t n = 0; n < 16; ++n) { World::poke(w.p0, a0 + n * kPageSize, 5); }
    World::poke(w.p1, a1 + kPageSize, 6);
    World::poke(w.p1, a1 + 9 * kPageSize, 6);
    w.file.size = 2 * kPageSize + 1;
    truncate_pagecache(w.file.mapping(), w.file.size);
    EXPECT_EQ(w.file.mapping().nrexceptional, 3u);
    EXPECT_EQ(World::peek(w.p1, a1 + kPageSize), std::byte{6});
    EXPECT_TRUE(w.p1.page_table.load_unscheduled(a1 + 9 * kPageSize).none());
    EXPECT_EQ(World::poke(w.p0, a0 + 3 * kPageSize, 1), mm::Signal::kBusAdrerr);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(Truncate, OfARangeKeepsPartPagesAndPrivateCopies) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 4);
    const VirtAddr a1 = w.map(w.p1, w.file, 4, mm::kMapPrivate);
    for (uint64_t n = 0; n < 4; ++n) { World::poke(w.p0, a0 + n * kPageSize, 5); }
    World::poke(w.p1, a1 + kPageSize, 6);
    truncate_pagecache_range(w.file.mapping(), 1, 3 * kPageSize + 1);
    EXPECT_TRUE(w.file.entry(0).is_frame());
    EXPECT_TRUE(w.file.entry(1).none());
    EXPECT_TRUE(w.file.entry(2).none());
    EXPECT_TRUE(w.file.entry(3).is_frame());
    EXPECT_EQ(World::peek(w.p1, a1 + kPageSize), std::byte{6});
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

#if defined(DAXFS_RT_FIBER)

// O1: the block of a pinned page is about to be freed.
TEST(Truncate, OfAPinnedPageIsAFinding) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    World::poke(w.p0, a0, 5);
    auto pin = mm::pin_user_page(w.p0, a0, true);
    truncate_mapping_range(w.file.mapping(), PgOff(0), PgOff(9));
    pin->release();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "O1");
}

// O2: counts that do not match the tree.
TEST(Evict, WithALeftOverCountIsAFinding) {
  const auto outcome = run_in_world([](World& w) {
    w.file.mapping().nrexceptional = 1;
    truncate_inode_pages_final(w.file.mapping());
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "O2");
}

// Truncate of a range against faults in it: whoever comes later sees the range empty, counts agree,
// nobody hangs.
TEST(TruncateRace, AgainstStoresKeepsCountsRight) {
  const SearchResult result = search(
      [](World& w) {
        const VirtAddr a0 = w.map(w.p0, w.file, 2);
        rt::spawn("store", [&] {
          World::poke(w.p0, a0, 7);
          World::poke(w.p0, a0 + kPageSize, 7);
        });
        rt::spawn("punch", [&] { w.file.punch(0, 2); });
        rt::join_all_spawned();
        w.finish();
        return true;
      },
      {.events_max = 200, .stride = 5});
  EXPECT_TRUE(result.clean()) << result.text();
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::dax
