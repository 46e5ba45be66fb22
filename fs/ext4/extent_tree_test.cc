// fs/ext4/extent_tree_test.cc - the extent tree against a map, over long histories.
#include "fs/ext4/extent_tree.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "fs/ext4/extent_fake.h"
#include "fs/ext4/map_blocks.h"

namespace daxfs::ext4 {
namespace {

using testing::Dice;
using testing::FakeHost;
using testing::Judge;
using testing::kStale;

struct Shape {
  uint16_t root_entries;
  uint16_t node_entries;
  uint32_t span;     // logical blocks in play
  uint32_t run_max;  // physical fragmentation
  bool scatter;
  unsigned depth_min;  // that the history must reach
};

// What a file's blocks are and hold, kept by simple means.
class History {
 public:
  History(const Shape& shape, uint64_t seed)
      : shape_(shape), dice_(seed), host_(shape.root_entries, shape.node_entries, 6000), judge_(host_), mapper_(host_) {
    host_.run_max = shape.run_max;
    host_.scatter = shape.scatter ? &dice_ : nullptr;
    host_.eof = shape.span / 2;
  }

  void step() {
    // A third of the histories' steps run out of blocks somewhere.
    if (dice_.below(3) == 0) { host_.allocations_left = dice_.below(4); }
    const uint32_t first = dice_.below(shape_.span);
    const uint32_t len = 1 + dice_.below(dice_.below(8) == 0 ? shape_.span / 4 : 12);
    const uint32_t end = std::min(first + len, shape_.span);
    const uint32_t choice = dice_.below(100);
    if (choice < 35) {
      write(first, end, dice_.below(2) == 0 ? MapRequest::kNoZeroout : 0);
    } else if (choice < 55) {
      map(first, end, MapRequest::kCreate | MapRequest::kUnwritten);
    } else if (choice < 62) {
      direct_write(first, end);
    } else if (choice < 70) {
      zero_range(first, end);
    } else if (choice < 88) {
      remove(first, end);
    } else if (choice < 92) {
      collapse(first, end - first);
    } else if (choice < 96) {
      insert_range(first, 1 + dice_.below(6));
    } else if (choice < 98) {
      host_.eof = dice_.below(shape_.span);
    } else {
      isolate(first);
    }
    host_.allocations_left.reset();
    verify();
  }

  void remove_all() {
    remove(0, shape_.span * 2);
    verify();
    EXPECT_EQ(host_.used(), 0u);
    EXPECT_EQ(host_.root().depth(), 0u);
  }

  void verify() {
    ASSERT_EQ(judge_.judge(), "");
    deepest_ = std::max(deepest_, judge_.depth);
    ASSERT_EQ(judge_.blocks.size(), model_.size());
    auto expected = model_.begin();
    for (const auto& [lblk, block] : judge_.blocks) {
      ASSERT_EQ(lblk, expected->first);
      // Readers see zeros in unwritten blocks; a written one shows its contents, never stale ones
      // (MB2).
      const uint64_t seen = block.unwritten ? 0 : host_.contents[block.physical];
      ASSERT_EQ(seen, expected->second) << "block " << lblk;
      ++expected;
    }
    const Result<uint64_t> nodes = mapper_.tree().check();
    ASSERT_TRUE(nodes.ok());
    ASSERT_EQ(*nodes, judge_.nodes);
    look_somewhere();
  }

  unsigned deepest() const { return deepest_; }
  uint64_t no_space() const { return no_space_; }

 private:
  void look_somewhere() {
    const uint32_t at = dice_.below(shape_.span);
    const Result<MapResult> found = mapper_.look({.lblk = LogicalBlock(at), .len = 50});
    ASSERT_TRUE(found.ok());
    for (uint32_t i = at; i < at + found->len; ++i) {
      const auto block = judge_.blocks.find(i);
      ASSERT_EQ(block == judge_.blocks.end(), found->state == BlockState::kHole);
      if (block == judge_.blocks.end()) { continue; }
      ASSERT_EQ(block->second.physical, found->pblk.value() + (i - at));
      ASSERT_EQ(block->second.unwritten, found->state == BlockState::kUnwritten);
    }
    const auto next = judge_.blocks.lower_bound(at);
    const Result<std::optional<ExtentRun>> extent = mapper_.tree().next_extent(LogicalBlock(at));
    ASSERT_TRUE(extent.ok());
    ASSERT_EQ(extent->has_value(), next != judge_.blocks.end());
    if (extent->has_value()) { ASSERT_TRUE((*extent)->contains(LogicalBlock(next->first))); }
  }

  // Maps [first, end) piece by piece, as callers do; stops at kNoSpc. Calls `each` for every piece.
  template <typename F>
  void map_each(uint32_t first, uint32_t end, uint32_t flags, F&& each) {
    for (uint32_t at = first; at < end;) {
      const Result<MapResult> mapped = mapper_.map({.lblk = LogicalBlock(at), .len = end - at, .flags = flags});
      if (!mapped.ok()) {
        ASSERT_EQ(mapped.error(), Errc::kNoSpc);
        ++no_space_;
        return;
      }
      ASSERT_GE(mapped->len, 1u);
      ASSERT_LE(mapped->len, end - at);
      each(at, *mapped);
      at += mapped->len;
    }
  }

  void put(uint32_t lblk, FsBlock block) {
    host_.contents[block.value()] = ++tag_;
    model_[lblk] = tag_;
  }

  void write(uint32_t first, uint32_t end, uint32_t more_flags) {
    map_each(first, end, MapRequest::kCreate | MapRequest::kZero | more_flags, [&](uint32_t at, const MapResult& got) {
      ASSERT_EQ(got.state, BlockState::kWritten);
      for (uint32_t i = 0; i < got.len; ++i) {
        if (got.is_new) { ASSERT_EQ(host_.contents[got.pblk.value() + i], 0u); }
        put(at + i, got.pblk + i);
      }
    });
  }

  void map(uint32_t first, uint32_t end, uint32_t flags) {
    map_each(first, end, flags, [&](uint32_t at, const MapResult& got) {
      for (uint32_t i = 0; i < got.len; ++i) { model_.try_emplace(at + i, 0); }
    });
  }

  void direct_write(uint32_t first, uint32_t end) {
    const uint32_t prepare = MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kPreIo;
    map_each(first, end, prepare, [&](uint32_t at, const MapResult& got) {
      ASSERT_NE(got.state, BlockState::kHole);
      for (uint32_t i = 0; i < got.len; ++i) {
        const auto before = judge_.blocks.find(at + i);
        if (got.state == BlockState::kWritten && before != judge_.blocks.end() && before->second.unwritten) {
          ASSERT_EQ(host_.contents[got.pblk.value() + i], 0u);  // visible before the data is there
        }
        put(at + i, got.pblk + i);
      }
      // The data is on the medium; only now it becomes visible. kPreIo made the split, so this
      // needs no block.
      const std::optional<uint32_t> left = host_.allocations_left;
      if (got.state == BlockState::kUnwritten && !got.is_new) { host_.allocations_left = 0; }
      uint32_t done = 0;
      map_each(at, at + got.len, MapRequest::kConvert, [&](uint32_t, const MapResult& converted) {
        ASSERT_EQ(converted.state, BlockState::kWritten);
        done += converted.len;
      });
      if (done < got.len) {  // merged with an unwritten neighbour and no block for the split: stays
                             // unwritten
        ASSERT_TRUE(got.is_new);
        for (uint32_t i = done; i < got.len; ++i) { model_[at + i] = 0; }
      }
      host_.allocations_left = left;
    });
  }

  void zero_range(uint32_t first, uint32_t end) {
    const uint32_t flags = MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kConvertUnwritten;
    map_each(first, end, flags, [&](uint32_t at, const MapResult& got) {
      ASSERT_EQ(got.state, BlockState::kUnwritten);
      for (uint32_t i = 0; i < got.len; ++i) { model_[at + i] = 0; }
    });
  }

  void remove(uint32_t first, uint32_t end) {
    const Status status = mapper_.tree().remove_range(LogicalBlock(first), LogicalBlock(end));
    if (!status.ok()) {
      ASSERT_EQ(status.error(), Errc::kNoSpc);
      ++no_space_;
      return;
    }
    model_.erase(model_.lower_bound(first), model_.lower_bound(end));
  }

  void move_from(uint32_t start, int64_t by) {
    std::map<uint32_t, uint64_t> moved;
    for (const auto& [lblk, tag] : model_) { moved[static_cast<uint32_t>(lblk >= start ? lblk + by : lblk)] = tag; }
    model_ = std::move(moved);
  }

  void collapse(uint32_t first, uint32_t len) {
    const bool blocked = model_.lower_bound(first) != model_.lower_bound(first + len);
    const Status early = mapper_.tree().shift_left(LogicalBlock(first + len), len);
    if (blocked && model_.lower_bound(first + len) != model_.end() && !early.ok()) {
      ASSERT_EQ(early.error(), Errc::kInval);
    }
    if (early.ok()) {
      move_from(first + len, -int64_t{len});
      return;
    }
    const Status removed = mapper_.tree().remove_range(LogicalBlock(first), LogicalBlock(first + len));
    if (!removed.ok()) {
      ASSERT_EQ(removed.error(), Errc::kNoSpc);
      return;
    }
    model_.erase(model_.lower_bound(first), model_.lower_bound(first + len));
    const Status shifted = mapper_.tree().shift_left(LogicalBlock(first + len), len);
    ASSERT_TRUE(shifted.ok());
    move_from(first + len, -int64_t{len});
  }

  void insert_range(uint32_t first, uint32_t len) {
    // Keeps the blocks within the span.
    if (!model_.empty() && model_.rbegin()->first + len >= shape_.span) { return; }
    const Status status = mapper_.tree().shift_right(LogicalBlock(first), len);
    if (!status.ok()) {
      ASSERT_EQ(status.error(), Errc::kNoSpc);
      ++no_space_;
      return;
    }
    move_from(first, len);
  }

  void isolate(uint32_t at) {
    const Status status = mapper_.tree().isolate(LogicalBlock(at), 1);
    ASSERT_TRUE(status.ok() || status.error() == Errc::kNoSpc);
  }

  const Shape shape_;
  Dice dice_;
  FakeHost host_;
  Judge judge_;
  BlockMapper mapper_;
  std::map<uint32_t, uint64_t> model_;  // what a read of the block sees; absent: a hole
  uint64_t tag_ = 0;
  uint64_t no_space_ = 0;
  unsigned deepest_ = 0;
};

class ExtentTreeHistory : public ::testing::TestWithParam<Shape> {};

// ET1 ET2 ET3 ET4 MB1 MB2: the judge walks the bytes after every step.
TEST_P(ExtentTreeHistory, ShowsWhatWasWrittenAndOwnsItsBlocks) {
  unsigned deepest = 0;
  uint64_t no_space = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    History history(GetParam(), seed);
    for (int i = 0; i < 900; ++i) {
      SCOPED_TRACE(i);
      history.step();
      if (HasFatalFailure()) { return; }
    }
    history.remove_all();
    deepest = std::max(deepest, history.deepest());
    no_space += history.no_space();
  }
  EXPECT_GE(deepest, GetParam().depth_min);
  EXPECT_GT(no_space, 100u);
}

INSTANTIATE_TEST_SUITE_P(Shapes, ExtentTreeHistory,
                         ::testing::Values(Shape{2, 3, 300, 3, true, 5}, Shape{4, 5, 600, 3, true, 3},
                                           Shape{4, 6, 1500, 1, true, 4}, Shape{4, 340, 1500, 2, true, 1},
                                           Shape{4, 340, 400, 0, false, 1}, Shape{3, 4, 200, 0, false, 1}));

// Block 7 is an extent of its own because somebody writes to it; an isolation that fails beside it takes back its own
// cut only, and what is done then is done to the extent that could not be cut.
TEST(ExtentTree, AnIsolationThatFailsLeavesItsNeighboursIsolated) {
  struct Case {
    uint16_t entries;  // of the root: full before the one cut that block 15 wants, or the second one of block 10
    uint32_t at;
  };
  for (const Case c : {Case{3, 15}, Case{4, 10}}) {
    SCOPED_TRACE(c.at);
    FakeHost host(c.entries, 3, 64);
    host.eof = 16;
    BlockMapper mapper(host);
    const uint32_t unwritten = MapRequest::kCreate | MapRequest::kUnwritten;
    ASSERT_EQ(mapper.map({.lblk = LogicalBlock(0), .len = 16, .flags = unwritten})->len, 16u);
    ASSERT_TRUE(mapper.tree().isolate(LogicalBlock(7), 1).ok());
    for (uint64_t block = 0; block < 64; ++block) {
      if (host.owner(block) == FakeHost::Owner::kFree) { host.set_owner(block, FakeHost::Owner::kData); }
    }
    const auto run_at = [&](uint32_t block) { return *mapper.tree().lookup(LogicalBlock(block))->run; };
    EXPECT_EQ(mapper.tree().isolate(LogicalBlock(c.at), 1).error(), Errc::kNoSpc);
    EXPECT_EQ(run_at(7).len, 1u);
    EXPECT_EQ(run_at(8).len, 8u);
    // Writeback's way: the extent is zeroed and becomes written.
    const auto map = mapper.map({.lblk = LogicalBlock(c.at), .len = 1, .flags = unwritten | MapRequest::kPreIo});
    ASSERT_TRUE(map.ok()) << errc_name(map.error());
    EXPECT_EQ(map->state, BlockState::kWritten);
    EXPECT_EQ(run_at(0).len, 7u);
    EXPECT_TRUE(run_at(7).unwritten);
    EXPECT_EQ(run_at(7).len, 1u);
    EXPECT_FALSE(run_at(8).unwritten);
    EXPECT_EQ(run_at(8).len, 8u);
  }
}

TEST(ExtentTree, RealNodesReachDepthTwoWhenAppendedToAndFillTheirLeaves) {
  FakeHost host(kExtentRootEntries, kExtentNodeEntries, 40000);
  BlockMapper mapper(host);
  // Every other block: nothing merges. More than 4 full leaves make depth 2.
  const uint32_t count = 340 * 5;
  for (uint32_t i = 0; i < count; ++i) {
    ASSERT_TRUE(mapper.map({.lblk = LogicalBlock(2 * i), .len = 1, .flags = MapRequest::kCreate}).ok());
  }
  Judge judge(host);
  ASSERT_EQ(judge.judge(), "");
  EXPECT_EQ(judge.depth, 2u);
  EXPECT_EQ(judge.nodes, 6u);  // 5 full leaves, 1 index node
  ASSERT_TRUE(mapper.tree().remove_range(LogicalBlock(0), LogicalBlock(2 * count)).ok());
  ASSERT_EQ(judge.judge(), "");
  EXPECT_EQ(host.used(), 0u);
}

TEST(ExtentTree, FourExtentsStayInTheInodeTheFifthNeedsALeaf) {
  FakeHost host(kExtentRootEntries, kExtentNodeEntries, 1000);
  BlockMapper mapper(host);
  Judge judge(host);
  for (uint32_t i = 0; i < 5; ++i) {
    ASSERT_EQ(judge.judge(), "");
    EXPECT_EQ(judge.nodes, 0u);
    ASSERT_TRUE(mapper.map({.lblk = LogicalBlock(2 * i), .len = 1, .flags = MapRequest::kCreate}).ok());
  }
  ASSERT_EQ(judge.judge(), "");
  EXPECT_EQ(judge.nodes, 1u);
}

TEST(ExtentTree, LongestExtentsAre32768WrittenAnd32767Unwritten) {
  for (const bool unwritten : {false, true}) {
    FakeHost host(kExtentRootEntries, kExtentNodeEntries, 100000);
    BlockMapper mapper(host);
    const uint32_t flags = MapRequest::kCreate | (unwritten ? MapRequest::kUnwritten : 0u);
    const uint32_t longest = unwritten ? 32767 : 32768;
    const Result<MapResult> got = mapper.map({.lblk = LogicalBlock(0), .len = 70000, .flags = flags});
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(got->len, longest);
    EXPECT_TRUE(host.last_aligned);
    ASSERT_TRUE(mapper.map({.lblk = LogicalBlock(longest), .len = 1, .flags = flags}).ok());
    Judge judge(host);
    ASSERT_EQ(judge.judge(), "");
    ASSERT_EQ(judge.extents.size(), 2u);
    EXPECT_EQ(judge.extents[0].unwritten, unwritten);
    EXPECT_EQ(judge.extents[0].len, longest);
  }
}

TEST(ExtentTree, WrittenExtentOf32768BecomesUnwrittenInTwoPieces) {
  FakeHost host(kExtentRootEntries, kExtentNodeEntries, 100000);
  BlockMapper mapper(host);
  ASSERT_TRUE(mapper.map({.lblk = LogicalBlock(0), .len = 32768, .flags = MapRequest::kCreate}).ok());
  const MapRequest first{.lblk = LogicalBlock(0), .len = 32768, .flags = MapRequest::kConvertUnwritten};
  const Result<MapResult> got = mapper.map(first);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->len, 32767u);
  ASSERT_TRUE(mapper.map({.lblk = LogicalBlock(32767), .len = 1, .flags = MapRequest::kConvertUnwritten}).ok());
  Judge judge(host);
  ASSERT_EQ(judge.judge(), "");
  EXPECT_EQ(judge.extents.size(), 2u);
}

TEST(ExtentTree, LastLogicalBlockCanBeUsedAndLimitsShiftingRight) {
  FakeHost host(kExtentRootEntries, kExtentNodeEntries, 1000);
  BlockMapper mapper(host);
  const LogicalBlock last(static_cast<uint32_t>(kLogicalEnd - 1));
  const Result<MapResult> got = mapper.map({.lblk = last, .len = 1, .flags = MapRequest::kCreate});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(mapper.tree().shift_right(LogicalBlock(0), 1).error(), Errc::kInval);
  EXPECT_TRUE(mapper.tree().shift_left(last, 5).ok());
  EXPECT_TRUE(mapper.tree().shift_right(LogicalBlock(0), 5).ok());
  Judge judge(host);
  ASSERT_EQ(judge.judge(), "");
  EXPECT_EQ(judge.blocks.begin()->first, last.value());
}

TEST(ExtentTree, RepeatedMergesPullALeafBackIntoTheInode) {
  FakeHost host(kExtentRootEntries, kExtentNodeEntries, 1000);
  BlockMapper mapper(host);
  for (uint32_t i = 0; i < 10; i += 2) {
    ASSERT_TRUE(mapper.map({.lblk = LogicalBlock(i), .len = 1, .flags = MapRequest::kCreate}).ok());
  }
  EXPECT_EQ(host.root().depth(), 1u);
  // The goal continues each neighbour, so the gaps fill in physical order and all merge.
  for (uint32_t i = 1; i < 9; i += 2) {
    ASSERT_TRUE(mapper.map({.lblk = LogicalBlock(i), .len = 1, .flags = MapRequest::kCreate}).ok());
  }
  Judge judge(host);
  ASSERT_EQ(judge.judge(), "");
  EXPECT_EQ(host.root().depth(), 0u);
  EXPECT_EQ(judge.nodes, 0u);
}

}  // namespace
}  // namespace daxfs::ext4
