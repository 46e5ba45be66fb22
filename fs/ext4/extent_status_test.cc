// fs/ext4/extent_status_test.cc - ranges by themselves, and zero range with two bugs that cancel each other.
#include "fs/ext4/extent_status.h"

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_test_world.h"

namespace daxfs::ext4 {
namespace {

using State = ExtentStatus::State;

ExtentStatus::Range range(uint32_t lblk, uint64_t end, uint64_t pblk, State state) {
  return {.lblk = LogicalBlock(lblk), .end = end, .pblk = FsBlock(pblk), .state = state};
}

TEST(ExtentStatus, FindsOnlyWhatCoversTheWholeRequest) {
  ExtentStatus cache;
  cache.insert(range(4, 8, 100, State::kWritten));
  EXPECT_FALSE(cache.lookup(LogicalBlock(3), 1).has_value());
  EXPECT_FALSE(cache.lookup(LogicalBlock(6), 3).has_value());
  ASSERT_TRUE(cache.lookup(LogicalBlock(6), 2).has_value());
  EXPECT_EQ(cache.lookup(LogicalBlock(6), 2)->pblk, FsBlock(100));
}

// ES1.
TEST(ExtentStatus, WhatIsInsertedReplacesWhatOverlaps) {
  ExtentStatus cache;
  cache.insert(range(0, 10, 100, State::kUnwritten));
  cache.insert(range(4, 6, 104, State::kWritten));
  const std::vector<ExtentStatus::Range> expected = {
      range(0, 4, 100, State::kUnwritten), range(4, 6, 104, State::kWritten), range(6, 10, 106, State::kUnwritten)};
  EXPECT_EQ(cache.ranges(), expected);
  cache.remove(LogicalBlock(2), 7);
  const std::vector<ExtentStatus::Range> rest = {range(0, 2, 100, State::kUnwritten),
                                                 range(7, 10, 107, State::kUnwritten)};
  EXPECT_EQ(cache.ranges(), rest);
  cache.clear();
  EXPECT_TRUE(cache.ranges().empty());
}

TEST(ExtentStatus, ForgetsAllRatherThanGrowWithoutBound) {
  ExtentStatus cache;
  for (uint32_t i = 0; i < 100; ++i) { cache.insert(range(2 * i, 2 * i + 1, 100 + i, State::kWritten)); }
  EXPECT_LE(cache.ranges().size(), 32u);
  EXPECT_TRUE(cache.lookup(LogicalBlock(198), 1).has_value());
}

TEST(ExtentStatus, DelayedBlocksSpreadOverAnExtentAndAreTakenOffPartByPart) {
  ExtentStatus cache;
  EXPECT_FALSE(cache.has_delayed());
  cache.spread_delayed(LogicalBlock(0), 8);
  EXPECT_FALSE(cache.has_delayed());
  cache.add_delayed(LogicalBlock(2), 3);
  cache.spread_delayed(LogicalBlock(0), 8);
  EXPECT_EQ(cache.delayed(), (std::vector<ExtentStatus::Delayed>{{0, 8}}));
  cache.remove_delayed(LogicalBlock(3), 5);
  EXPECT_EQ(cache.delayed(), (std::vector<ExtentStatus::Delayed>{{0, 3}, {5, 8}}));
  EXPECT_TRUE(cache.is_delayed(LogicalBlock(2)));
  EXPECT_FALSE(cache.is_delayed(LogicalBlock(3)));
  cache.clear();
  EXPECT_TRUE(cache.has_delayed()) << "ranges are forgotten, promises are not";
  cache.add_delayed(LogicalBlock(3), 5);
  EXPECT_EQ(cache.delayed(), (std::vector<ExtentStatus::Delayed>{{0, 8}}));
  cache.remove_delayed(LogicalBlock(0), 100);
  EXPECT_FALSE(cache.has_delayed());
}

#if defined(DAXFS_HISTORICAL_BUGS)
// O18, and catalogue C20: one bit meant CONVERT_UNWRITTEN and NO_CACHE, and zero range dropped
// cached ranges before it converted instead of afterwards. Each hides the other; of four
// combinations only one goes wrong.
TEST(ExtentStatus, TwoBugsOfZeroRangeHideEachOther) {
  for (const bool drops_first : {false, true}) {
    for (const bool one_bit : {false, true}) {
      testing::in_file_world([&](testing::FileWorld& w) {
        const testing::TestFile f = w.open("f");
        ASSERT_TRUE(testing::FileWorld::write(f, 0, std::vector<std::byte>(4 * kBlockSize, std::byte{1})).ok());
        const MapRequest look{.lblk = LogicalBlock(0), .len = 4};
        ASSERT_EQ(map_blocks(nullptr, *f, look)->state, BlockState::kWritten);
        BugSet bugs;
        bugs.set(static_cast<size_t>(Bug::kZeroRangeDropsFirst), drops_first);
        set_historical(bugs);
        if (drops_first) { f->extent_status.clear(); }
        const MapRequest convert{
            .lblk = LogicalBlock(0),
            .len = 4,
            .flags = MapRequest::kConvertUnwritten | (one_bit ? uint32_t{MapRequest::kNoCache} : 0U)};
        EXPECT_TRUE(internal::with_handle(*f, [&](jbd2::Handle& handle) {
                      return map_blocks(&handle, *f, convert).status();
                    }).ok());
        set_historical({});
        const bool stale = map_blocks(nullptr, *f, look)->state == BlockState::kWritten;
        EXPECT_EQ(stale, drops_first && !one_bit) << drops_first << one_bit;
        f->extent_status.clear();
      });
    }
  }
}
#endif

}  // namespace
}  // namespace daxfs::ext4
