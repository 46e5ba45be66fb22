// fs/ext4/extent_node_test.cc - one node: records, limits, defects; and trees of arbitrary bytes.
#include "fs/ext4/extent_node.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "fs/base/report.h"
#include "fs/ext4/extent_fake.h"
#include "fs/ext4/map_blocks.h"

namespace daxfs::ext4 {
namespace {

using testing::Dice;
using testing::FakeHost;

struct NodeBytes {
  alignas(4) std::array<std::byte, kBlockSize> bytes{};
  ExtentNode node{bytes.data()};
};

ExtentRun run(uint32_t lblk, uint32_t len, uint64_t pblk, bool unwritten = false) {
  return {.lblk = LogicalBlock(lblk), .len = len, .pblk = FsBlock(pblk), .unwritten = unwritten};
}

TEST(ExtentNode, RecordsKeep48BitsAndTheUnwrittenMark) {
  NodeBytes leaf;
  leaf.node.format(0, 340);
  const ExtentRun runs[] = {run(0, 32768, 1), run(40000, 32767, 0xFFFF12345678, true), run(4000000000, 1, 5, true)};
  for (unsigned i = 0; i < 3; ++i) {
    leaf.node.insert_gap(i);
    leaf.node.set_extent(i, runs[i]);
  }
  for (unsigned i = 0; i < 3; ++i) { EXPECT_EQ(leaf.node.extent(i), runs[i]); }
  EXPECT_EQ(leaf.node.find(LogicalBlock(39999)), 0);
  EXPECT_EQ(leaf.node.find(LogicalBlock(40000)), 1);
  EXPECT_EQ(leaf.node.find(LogicalBlock(4294967294)), 2);
}

TEST(ExtentNode, MergeableNeedsBothKindsOfNeighbourhoodOneStateAndRoom) {
  EXPECT_TRUE(extents_mergeable(run(0, 5, 100), run(5, 5, 105)));
  EXPECT_FALSE(extents_mergeable(run(0, 5, 100), run(6, 5, 105)));
  EXPECT_FALSE(extents_mergeable(run(0, 5, 100), run(5, 5, 106)));
  EXPECT_FALSE(extents_mergeable(run(0, 5, 100), run(5, 5, 105, true)));
  EXPECT_TRUE(extents_mergeable(run(0, 32767, 100), run(32767, 1, 32867)));
  EXPECT_FALSE(extents_mergeable(run(0, 32768, 100), run(32768, 1, 32868)));
  EXPECT_FALSE(extents_mergeable(run(0, 32767, 100, true), run(32767, 1, 32867, true)));
}

TEST(ExtentNode, EveryDefectHasItsName) {
  const ExtentNodeBounds bounds{
      .depth = 0, .entries_max = 340, .lblk_begin = 10, .lblk_end = 100, .block_end = FsBlock(1000)};
  const auto defect = [&](auto&& damage) {
    NodeBytes leaf;
    leaf.node.format(0, 340);
    leaf.node.insert_gap(0);
    leaf.node.set_extent(0, run(10, 5, 50));
    leaf.node.insert_gap(1);
    leaf.node.set_extent(1, run(20, 5, 60));
    damage(leaf);
    const char* what = leaf.node.defect(bounds);
    return std::string(what == nullptr ? "" : what);
  };
  EXPECT_EQ(defect([](NodeBytes&) {}), "");
  EXPECT_EQ(defect([](NodeBytes& n) { n.bytes[0] = std::byte{0}; }), "bad magic");
  EXPECT_EQ(defect([](NodeBytes& n) { n.node.set_depth(1); }), "unexpected depth");
  EXPECT_EQ(defect([](NodeBytes& n) { n.bytes[5] = std::byte{2}; }), "too large a maximum of entries");
  EXPECT_EQ(defect([](NodeBytes& n) { n.bytes[4] = n.bytes[5] = std::byte{0}; }), "too small a maximum of entries");
  EXPECT_EQ(defect([](NodeBytes& n) { n.node.set_entries(341); }), "more entries than the maximum");
  EXPECT_EQ(defect([](NodeBytes& n) { n.node.set_entries(0); }), "no entries");
  EXPECT_EQ(defect([](NodeBytes& n) { n.node.set_key(0, LogicalBlock(9)); }),
            "first entry differs from the index above");
  EXPECT_EQ(defect([](NodeBytes& n) { n.node.set_key(1, LogicalBlock(14)); }), "extents out of order or overlapping");
  EXPECT_EQ(defect([](NodeBytes& n) { n.node.set_extent(1, run(97, 5, 60)); }),
            "an extent reaches past its node's range");
  EXPECT_EQ(defect([](NodeBytes& n) { n.node.set_extent(1, run(20, 0, 60)); }), "an extent of length 0");
  EXPECT_EQ(defect([](NodeBytes& n) { n.node.set_extent(1, run(20, 5, 0)); }), "an extent at block 0");
  EXPECT_EQ(defect([](NodeBytes& n) { n.node.set_extent(1, run(20, 5, 996)); }),
            "an extent past the end of the device");
}

TEST(ExtentNode, IndexDefectsHaveTheirNamesToo) {
  const ExtentNodeBounds bounds{
      .depth = 1, .entries_max = 340, .lblk_begin = 10, .lblk_end = 100, .block_end = FsBlock(1000)};
  const auto defect = [&](ChildNode second) {
    NodeBytes index;
    index.node.format(1, 340);
    index.node.insert_gap(0);
    index.node.set_child(0, {LogicalBlock(10), FsBlock(50)});
    index.node.insert_gap(1);
    index.node.set_child(1, second);
    const char* what = index.node.defect(bounds);
    return std::string(what == nullptr ? "" : what);
  };
  EXPECT_EQ(defect({LogicalBlock(11), FsBlock(51)}), "");
  EXPECT_EQ(defect({LogicalBlock(10), FsBlock(51)}), "index entries out of order");
  EXPECT_EQ(defect({LogicalBlock(100), FsBlock(51)}), "an index entry past its node's range");
  EXPECT_EQ(defect({LogicalBlock(11), FsBlock(0)}), "an index entry outside the device");
  EXPECT_EQ(defect({LogicalBlock(11), FsBlock(1000)}), "an index entry outside the device");
}

TEST(ExtentNode, ChecksumCoversEverythingBeforeItsTail) {
  NodeBytes leaf;
  leaf.node.format(0, 340);
  leaf.node.set_csum(7);
  EXPECT_TRUE(leaf.node.csum_ok(7));
  EXPECT_FALSE(leaf.node.csum_ok(8));
  leaf.bytes[4091] ^= std::byte{1};
  EXPECT_FALSE(leaf.node.csum_ok(7));
  leaf.bytes[4] = leaf.bytes[5] = std::byte{0xFF};  // a maximum that puts the tail outside the block
  EXPECT_FALSE(leaf.node.csum_ok(7));
}

// Damages a tree and uses it: any answer will do, a crash or a hang will not. Bitmaps are damaged,
// too, so that the allocator hands out blocks that the tree uses as nodes.
class ExtentDamage : public ::testing::TestWithParam<int> {
 protected:
  static void build(BlockMapper& mapper, Dice& dice) {
    for (int i = 0; i < 60; ++i) {
      const uint32_t flags = MapRequest::kCreate | (dice.below(2) == 0 ? MapRequest::kUnwritten : 0u);
      mapper.map({.lblk = LogicalBlock(dice.below(400)), .len = 1 + dice.below(6), .flags = flags})
          .ignore_error("only fills the tree");
    }
  }

  static void damage(FakeHost& host, Dice& dice) {
    const uint32_t count = 1 + dice.below(4);
    for (uint32_t i = 0; i < count; ++i) {
      const size_t nodes = host.all_nodes().size();
      std::byte* bytes = host.root_bytes.data();
      size_t size = host.root_bytes.size();
      if (nodes > 0 && dice.below(4) != 0) {
        auto node = host.all_nodes().begin();
        std::advance(node, dice.below(nodes));
        bytes = node->second->data();
        size = 12 * 8;
      }
      const size_t at = dice.below(size);
      switch (dice.below(4)) {
        case 0: bytes[at] = std::byte(static_cast<uint8_t>(dice.next())); break;
        case 1: bytes[at] ^= std::byte(1u << dice.below(8)); break;
        case 2: std::memcpy(bytes + dice.below(size / 12) * 12, bytes + dice.below(size / 12) * 12, 12); break;
        default: host.set_owner(dice.below(600), static_cast<FakeHost::Owner>(dice.below(3))); break;
      }
    }
  }

  static void use(FakeHost& host, BlockMapper& mapper, Dice& dice) {
    constexpr uint32_t kFlags[] = {0,
                                   MapRequest::kCreate | MapRequest::kZero,
                                   MapRequest::kCreate | MapRequest::kUnwritten,
                                   MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kPreIo,
                                   MapRequest::kConvert,
                                   MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kConvertUnwritten};
    for (int i = 0; i < 30; ++i) {
      const LogicalBlock lblk(dice.below(10) == 0 ? static_cast<uint32_t>(kLogicalEnd - 1 - dice.below(50))
                                                  : dice.below(450));
      const uint32_t len = 1 + dice.below(std::min<uint64_t>(50, kLogicalEnd - lblk.value()));
      Status status;
      switch (dice.below(6)) {
        case 0: status = mapper.tree().remove_range(lblk, lblk + len); break;
        case 1: status = mapper.tree().shift_left(lblk, len); break;
        case 2: status = mapper.tree().shift_right(lblk, len); break;
        case 3: status = mapper.tree().check().status(); break;
        default: {
          const Result<MapResult> got = mapper.map({lblk, len, kFlags[dice.below(std::size(kFlags))]});
          status = got.status();
          if (got.ok()) {
            EXPECT_GE(got->len, 1u);
            EXPECT_LE(got->len, len);
            if (got->state != BlockState::kHole) { EXPECT_TRUE(host.block_valid(got->pblk, got->len)); }
          }
        }
      }
      const Errc error = status.error();
      EXPECT_TRUE(error == Errc::kOk || error == Errc::kCorrupted || error == Errc::kNoSpc || error == Errc::kInval)
          << errc_name(error);
    }
  }
};

TEST_P(ExtentDamage, GivesAnErrorOrAnAnswerButNeverACrash) {
  const bool real_nodes = GetParam() == 1;
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    SCOPED_TRACE(seed);
    Dice dice(seed);
    FakeHost host(4, real_nodes ? kExtentNodeEntries : 5, 600);
    host.check_csum = false;
    host.scatter = &dice;
    host.eof = 200;
    host.run_max = 2;
    BlockMapper mapper(host);
    build(mapper, dice);
    damage(host, dice);
    use(host, mapper, dice);
    if (HasFailure()) { break; }
  }
  take_corruption_messages();
}

TEST_P(ExtentDamage, IsSeenByTheChecksumWhereverItIs) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Dice dice(seed);
    FakeHost host(4, GetParam() == 1 ? kExtentNodeEntries : 5, 600);
    host.scatter = &dice;
    host.run_max = 1;
    BlockMapper mapper(host);
    build(mapper, dice);
    ASSERT_GT(host.root().depth(), 0);
    ASSERT_TRUE(mapper.tree().check().ok());
    auto node = host.all_nodes().begin();
    std::advance(node, dice.below(host.all_nodes().size()));
    if (host.owner(node->first) != FakeHost::Owner::kNode) { continue; }
    const size_t covered = 12 + 12 * size_t{host.limits().node_entries} + 4;
    (*node->second)[dice.below(covered)] ^= std::byte(1u << dice.below(8));
    EXPECT_EQ(mapper.tree().check().error(), Errc::kCorrupted) << seed;
  }
  take_corruption_messages();
}

INSTANTIATE_TEST_SUITE_P(SmallAndRealNodes, ExtentDamage, ::testing::Values(0, 1));

// The bitmap calls the full leaf free, so the split that wants to relieve it gets the leaf itself
// as its new node.
TEST(ExtentDamageBytes, SplitRefusesANodeThatIsOnItsOwnPath) {
  FakeHost host(4, 5, 600);
  ExtentTree tree(host);
  for (uint32_t i = 0; i < 5; ++i) { ASSERT_TRUE(tree.insert(run(10 * i, 1, 100 + 10 * i)).ok()); }
  const FsBlock leaf = host.root().child(0).node;
  for (uint64_t block = 0; block < 600; ++block) { host.set_owner(block, FakeHost::Owner::kData); }
  host.set_owner(leaf.value(), FakeHost::Owner::kFree);
  EXPECT_EQ(tree.insert(run(15, 1, 300)).error(), Errc::kCorrupted);
  take_corruption_messages();
}

TEST(ExtentDamageBytes, RandomRootsAreRefusedOrUsable) {
  for (uint64_t seed = 1; seed <= 20000; ++seed) {
    Dice dice(seed);
    FakeHost host(4, kExtentNodeEntries, 600);
    for (std::byte& byte : host.root_bytes) { byte = std::byte(static_cast<uint8_t>(dice.next())); }
    // Otherwise the magic alone would refuse nearly all.
    host.root().format(dice.below(8) == 0 ? dice.below(8) : 0, static_cast<uint16_t>(dice.below(6)));
    host.root().set_entries(dice.below(6));
    ExtentTree tree(host);
    tree.check().ignore_error("any answer will do");
    tree.remove_range(LogicalBlock(0), LogicalBlock(static_cast<uint32_t>(kLogicalEnd))).ignore_error("as before");
  }
  take_corruption_messages();
}

}  // namespace
}  // namespace daxfs::ext4
