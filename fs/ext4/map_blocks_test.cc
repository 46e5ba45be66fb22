// fs/ext4/map_blocks_test.cc - filling holes and unwritten extents as Linux 6.1 was seen to.
#include "fs/ext4/map_blocks.h"

#include <string>

#include <gtest/gtest.h>

#include "fs/ext4/extent_fake.h"

namespace daxfs::ext4 {
namespace {

using testing::FakeHost;
using testing::Judge;
using testing::kStale;

constexpr uint32_t kDaxWrite = MapRequest::kCreate | MapRequest::kZero;
constexpr uint32_t kPreallocate = MapRequest::kCreate | MapRequest::kUnwritten;
constexpr uint32_t kDirectWrite = kPreallocate | MapRequest::kPreIo;

class MapBlocks : public ::testing::Test {
 protected:
  Result<MapResult> map(uint32_t lblk, uint32_t len, uint32_t flags) {
    return mapper_.map({.lblk = LogicalBlock(lblk), .len = len, .flags = flags});
  }
  MapResult must_map(uint32_t lblk, uint32_t len, uint32_t flags) {
    Result<MapResult> got = map(lblk, len, flags);
    EXPECT_TRUE(got.ok());
    return got.value_or(MapResult{});
  }
  // "W0+4 U4+12": states, first blocks and lengths of the extents.
  std::string extents() {
    EXPECT_EQ(judge_.judge(), "");
    std::string text;
    for (const ExtentRun& run : judge_.extents) {
      if (!text.empty()) { text += ' '; }
      text += (run.unwritten ? "U" : "W") + std::to_string(run.lblk.value()) + "+" + std::to_string(run.len);
    }
    return text;
  }
  // No written block may show what the medium held before.
  void expect_nothing_stale() {
    for (const auto& [lblk, block] : judge_.blocks) {
      if (!block.unwritten) { EXPECT_NE(host_.contents[block.physical], kStale) << "block " << lblk; }
    }
  }

  FakeHost host_{kExtentRootEntries, kExtentNodeEntries, 5000};
  Judge judge_{host_};
  BlockMapper mapper_{host_};
};

// The examples of the row "unwritten neighbours".
TEST_F(MapBlocks, WriteIntoSixteenKibUnwrittenConvertsAllOfIt) {
  host_.eof = 4;
  must_map(0, 4, kPreallocate);
  EXPECT_EQ(extents(), "U0+4");
  const MapResult got = must_map(1, 1, kDaxWrite);
  EXPECT_EQ(got.len, 1u);
  EXPECT_TRUE(got.is_new);
  EXPECT_EQ(extents(), "W0+4");
  expect_nothing_stale();
}

TEST_F(MapBlocks, WriteAtSixteenKibOfSixtyFourConvertsTheHeadButNotTheTail) {
  host_.eof = 16;
  must_map(0, 16, kPreallocate);
  must_map(4, 1, kDaxWrite);
  EXPECT_EQ(extents(), "W0+5 U5+11");
  expect_nothing_stale();
}

TEST_F(MapBlocks, WriteAtTheLastBlockConvertsOnlyItself) {
  host_.eof = 4;
  must_map(0, 4, kPreallocate);
  must_map(3, 1, kDaxWrite);
  EXPECT_EQ(extents(), "U0+3 W3+1");
  expect_nothing_stale();
}

TEST_F(MapBlocks, TailIsConvertedUpToThirtyTwoKibTogetherWithTheWrite) {
  host_.eof = 100;
  must_map(0, 20, kPreallocate);
  must_map(12, 1, kDaxWrite);  // write and tail are 8 blocks; the head would make 20
  EXPECT_EQ(extents(), "U0+12 W12+8");
  must_map(100, 20, kPreallocate);
  host_.eof = 200;
  must_map(111, 1, kDaxWrite);  // write and tail are 9 blocks; head and write 12
  EXPECT_EQ(extents(), "U0+12 W12+8 U100+11 W111+1 U112+8");
  expect_nothing_stale();
}

TEST_F(MapBlocks, HeadIsConvertedOnlyBelowThirtyTwoKib) {
  host_.eof = 100;
  must_map(0, 30, kPreallocate);
  must_map(6, 1, kDaxWrite);  // 7 blocks
  EXPECT_EQ(extents(), "W0+7 U7+23");
  must_map(40, 30, kPreallocate);
  must_map(47, 1, kDaxWrite);  // 8 blocks: not less than 8
  EXPECT_EQ(extents(), "W0+7 U7+23 U40+7 W47+1 U48+22");
  expect_nothing_stale();
}

TEST_F(MapBlocks, ExtentPastEndOfFileIsSplitInsteadOfZeroed) {
  host_.eof = 3;
  must_map(0, 4, kPreallocate);
  must_map(1, 1, kDaxWrite);
  EXPECT_EQ(extents(), "U0+1 W1+1 U2+2");
  expect_nothing_stale();
}

TEST_F(MapBlocks, ExtendingWriteCountsItsOwnEndAsEndOfFile) {
  host_.eof = 0;
  must_map(0, 4, kPreallocate);
  must_map(2, 2, kDaxWrite);  // ends the extent: no tail
  EXPECT_EQ(extents(), "U0+2 W2+2");
}

TEST_F(MapBlocks, SequentialWritesGrowTheWrittenNeighbourWithoutZeroing) {
  host_.eof = 16;
  must_map(0, 16, kPreallocate);
  must_map(0, 1, kDaxWrite);
  EXPECT_EQ(extents(), "W0+1 U1+15");
  for (uint32_t i = 1; i < 12; ++i) { must_map(i, 1, kDaxWrite); }
  // The tail of 4 blocks is small enough to zero, but the left neighbour took the block first.
  EXPECT_EQ(extents(), "W0+12 U12+4");
  EXPECT_EQ(host_.zeroed, 12u);
  expect_nothing_stale();
}

TEST_F(MapBlocks, WriteThatEndsAtAWrittenNeighbourGrowsIt) {
  host_.eof = 16;
  must_map(0, 16, kPreallocate);
  must_map(15, 1, kDaxWrite);
  must_map(13, 2, kDaxWrite);
  EXPECT_EQ(extents(), "U0+13 W13+3");
}

TEST_F(MapBlocks, NoZeroOutSplitsAlways) {
  host_.eof = 4;
  must_map(0, 4, kPreallocate);
  must_map(1, 1, kDaxWrite | MapRequest::kNoZeroout);
  EXPECT_EQ(extents(), "U0+1 W1+1 U2+2");
}

TEST_F(MapBlocks, PreallocationOverUnwrittenAndWrittenChangesNothing) {
  host_.eof = 100;
  must_map(0, 4, kPreallocate);
  EXPECT_EQ(must_map(0, 4, kPreallocate).state, BlockState::kUnwritten);
  must_map(10, 4, kDaxWrite);
  EXPECT_EQ(must_map(10, 4, kPreallocate).state, BlockState::kWritten);
  EXPECT_FALSE(must_map(10, 4, kDaxWrite).is_new);
  EXPECT_EQ(extents(), "U0+4 W10+4");
}

TEST_F(MapBlocks, ZeroFlagNeverZeroesBlocksThatAreWritten) {
  const MapResult got = must_map(0, 4, kDaxWrite);
  host_.contents[got.pblk.value() + 2] = 77;
  must_map(0, 4, kDaxWrite);
  EXPECT_EQ(host_.contents[got.pblk.value() + 2], 77u);
}

TEST_F(MapBlocks, AllocationStopsAtTheNextExtent) {
  must_map(10, 5, kDaxWrite);
  const MapResult got = must_map(0, 100, kDaxWrite);
  EXPECT_EQ(got.len, 10u);
  EXPECT_EQ(must_map(12, 100, 0).len, 3u);
  const MapResult hole = must_map(20, 100, 0);
  EXPECT_EQ(hole.state, BlockState::kHole);
  EXPECT_EQ(hole.len, 100u);
}

TEST_F(MapBlocks, TwoMebibytesAtAnAlignedOffsetAskForAlignedBlocks) {
  must_map(512, 512, kDaxWrite);
  EXPECT_TRUE(host_.last_aligned);
  must_map(1100, 512, kDaxWrite);
  EXPECT_FALSE(host_.last_aligned);
  must_map(2048, 511, kDaxWrite);
  EXPECT_FALSE(host_.last_aligned);
}

TEST_F(MapBlocks, DirectWriteKeepsItsRangeUnwrittenUntilConverted) {
  host_.eof = 100;
  must_map(0, 16, kPreallocate);
  const MapResult prepared = must_map(4, 2, kDirectWrite);
  EXPECT_EQ(prepared.state, BlockState::kUnwritten);
  EXPECT_EQ(extents(), "U0+4 U4+2 U6+10");
  host_.allocations_left = 0;
  EXPECT_EQ(must_map(4, 2, MapRequest::kConvert).state, BlockState::kWritten);
  EXPECT_EQ(extents(), "U0+4 W4+2 U6+10");
  EXPECT_EQ(host_.zeroed, 0u);
}

TEST_F(MapBlocks, ConversionToUnwrittenSplitsBothSides) {
  must_map(0, 10, kDaxWrite);
  EXPECT_EQ(must_map(3, 4, kPreallocate | MapRequest::kConvertUnwritten).state, BlockState::kUnwritten);
  EXPECT_EQ(extents(), "W0+3 U3+4 W7+3");
  must_map(3, 4, kDaxWrite);
  EXPECT_EQ(extents(), "W0+10");
}

TEST_F(MapBlocks, NoSpaceForTheNodeGivesTheDataBlocksBack) {
  for (uint32_t i = 0; i < 4; ++i) { must_map(2 * i, 1, kDaxWrite); }
  const uint64_t used = host_.used();
  host_.allocations_left = 1;
  EXPECT_EQ(map(100, 1, kDaxWrite).error(), Errc::kNoSpc);
  EXPECT_EQ(host_.used(), used);
  EXPECT_EQ(extents(), "W0+1 W2+1 W4+1 W6+1");
}

TEST_F(MapBlocks, NoSpaceForASplitZeroesTheRestOfTheExtentBelowEndOfFile) {
  host_.eof = 1000;
  for (uint32_t i = 0; i < 3; ++i) { must_map(2 * i, 1, kDaxWrite); }
  must_map(100, 100, kPreallocate);
  host_.allocations_left = 0;
  must_map(150, 1, kDaxWrite);
  EXPECT_EQ(extents(), "W0+1 W2+1 W4+1 W100+100");
  expect_nothing_stale();
}

TEST_F(MapBlocks, NoSpaceForASplitPastEndOfFileFailsAndChangesNothing) {
  host_.eof = 10;
  for (uint32_t i = 0; i < 3; ++i) { must_map(2 * i, 1, kDaxWrite); }
  must_map(100, 100, kPreallocate);
  host_.allocations_left = 0;
  EXPECT_EQ(map(150, 1, kDaxWrite).error(), Errc::kNoSpc);
  EXPECT_EQ(extents(), "W0+1 W2+1 W4+1 U100+100");
}

// Cuts that direct I/O left between unwritten extents stay when a split beside them fails: the zeroing that follows is
// of the extent as it was. Before it and behind it.
TEST_F(MapBlocks, ASplitThatIsTakenBackJoinsNoNeighbour) {
  host_.eof = 1000;
  must_map(0, 1, kDaxWrite);
  must_map(100, 110, kPreallocate);
  ASSERT_TRUE(mapper_.tree().isolate(LogicalBlock(100), 10).ok());
  ASSERT_TRUE(mapper_.tree().isolate(LogicalBlock(200), 10).ok());
  ASSERT_EQ(extents(), "W0+1 U100+10 U110+90 U200+10");
  host_.allocations_left = 0;
  must_map(150, 1, kDirectWrite);
  EXPECT_EQ(extents(), "W0+1 U100+10 W110+90 U200+10");
  expect_nothing_stale();
}

// The first cut of a conversion found room in the next leaf, the second found none: the extent
// stays cut between two leaves, both pieces become written, and the data in the middle (direct I/O
// put it there) survives.
TEST(MapBlocksSplit, ConversionWithoutSpaceReachesBothPiecesOfAnExtentCutBetweenLeaves) {
  FakeHost host(4, 5, 1000);
  host.eof = 1000;
  ExtentNode root(host.root_bytes.data());
  root.format(1, 4);
  uint64_t physical = 100;
  const auto leaf = [&](unsigned index, std::initializer_list<ExtentRun> runs) {
    const FsBlock block(10 + index);
    host.set_owner(block.value(), FakeHost::Owner::kNode);
    ExtentNode node(host.node_bytes(block).data());
    node.format(0, 5);
    for (ExtentRun run : runs) {
      run.pblk = FsBlock(physical);
      const unsigned i = node.entries();
      node.insert_gap(i);
      node.set_extent(i, run);
      for (uint32_t b = 0; b < run.len; ++b) {
        host.set_owner(physical + b, FakeHost::Owner::kData);
        if (!run.unwritten) { host.contents[physical + b] = 1; }
      }
      physical += run.len + 1;
    }
    node.set_csum(FakeHost::kSeed);
    root.insert_gap(index);
    root.set_child(index, {.lblk = node.key(0), .node = block});
  };
  const auto run = [](uint32_t lblk, uint32_t len, bool unwritten) {
    return ExtentRun{.lblk = LogicalBlock(lblk), .len = len, .pblk = FsBlock(), .unwritten = unwritten};
  };
  leaf(0, {run(0, 1, false), run(10, 1, false), run(20, 1, false), run(30, 1, false), run(40, 10, true)});
  leaf(1, {run(60, 1, false), run(70, 1, false), run(80, 1, false), run(90, 1, false)});
  BlockMapper mapper(host);
  const Result<MapResult> before = mapper.look({.lblk = LogicalBlock(45), .len = 1});
  ASSERT_TRUE(before.ok());
  host.contents[before->pblk.value()] = 77;

  host.allocations_left = 0;
  const MapRequest convert{.lblk = LogicalBlock(45), .len = 1, .flags = MapRequest::kConvert};
  const Result<MapResult> got = mapper.map(convert);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->state, BlockState::kWritten);
  Judge judge(host);
  // The judge counts what the fake allocated; this tree was planted.
  ASSERT_EQ(judge.judge(), "blocks leaked");
  for (uint32_t i = 40; i < 50; ++i) {
    const Judge::Block block = judge.blocks.at(i);
    EXPECT_FALSE(block.unwritten);
    EXPECT_EQ(host.contents[block.physical], i == 45 ? 77u : 0u);
  }
}

}  // namespace
}  // namespace daxfs::ext4
