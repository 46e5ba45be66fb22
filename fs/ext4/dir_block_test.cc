// fs/ext4/dir_block_test.cc - directory blocks as bytes: the chain, random insertions and removals, broken input.
#include "fs/ext4/dir_block.h"

#include <array>
#include <cstring>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "fs/base/report.h"

namespace daxfs::ext4 {
namespace {

struct Block {
  explicit Block(bool csum) : has_csum(csum) { dir_block_format(bytes(), csum); }
  DirBytes bytes() { return DirBytes(data); }
  DirBlockView view() const { return DirBlockView(ConstDirBytes(data), has_csum); }
  // Names and inodes in order; fails the test unless the records cover the block exactly.
  std::map<std::string, uint32_t> entries() const {
    std::map<std::string, uint32_t> found;
    uint32_t offset = 0;
    for (;;) {
      const auto record = view().record_at(offset);
      EXPECT_TRUE(record.ok());
      if (!record.ok() || !*record) { break; }
      if ((*record)->ino.value() != 0) { EXPECT_TRUE(found.emplace((*record)->name, (*record)->ino.value()).second); }
      offset += (*record)->rec_len;
    }
    EXPECT_EQ(offset, has_csum ? kBlockSize - kDirTailSize : kBlockSize);
    return found;
  }

  const bool has_csum;
  std::array<std::byte, kBlockSize> data{};
};

class DirBlock : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Checksums, DirBlock, ::testing::Bool());

TEST_P(DirBlock, RandomInsertionsAndRemovalsKeepTheChainWhole) {
  Block block(GetParam());
  std::map<std::string, uint32_t> model;
  uint32_t state = 12345;
  const auto random = [&](uint32_t bound) {
    state = state * 1664525 + 1013904223;
    return (state >> 16) % bound;
  };
  unsigned full = 0;
  for (uint32_t i = 1; i < 20000; ++i) {
    if (random(100) < 55) {
      const std::string name = std::to_string(i) + std::string(random(random(4) == 0 ? 250 : 12), 'x');
      const auto inserted = dir_block_insert(block.bytes(), block.has_csum, name, Ino(i), FileType::kRegular);
      ASSERT_TRUE(inserted.ok());
      if (*inserted) {
        model[name] = i;
      } else {
        ++full;
      }
    } else if (!model.empty()) {
      const auto victim = std::next(model.begin(), random(static_cast<uint32_t>(model.size())));
      const auto record = block.view().find(victim->first);
      ASSERT_TRUE(record.ok() && record->has_value());
      ASSERT_EQ((*record)->ino.value(), victim->second);
      if (random(3) == 0) {
        dir_block_set(block.bytes(), (*record)->offset, Ino(i), FileType::kDirectory);
        victim->second = i;
      } else {
        ASSERT_TRUE(dir_block_remove(block.bytes(), block.has_csum, (*record)->offset).ok());
        model.erase(victim);
      }
    }
    if (i % 50 == 0) { ASSERT_EQ(block.entries(), model); }
  }
  EXPECT_GT(full, 0u);
}

TEST_P(DirBlock, TheFirstBlockNamesTheDirectoryAndItsParent) {
  Block block(GetParam());
  dir_block_format_first(block.bytes(), Ino(12), Ino(2), block.has_csum);
  EXPECT_EQ(block.entries(), (std::map<std::string, uint32_t>{{".", 12}, {"..", 2}}));
  EXPECT_EQ(block.view().has_tail(), GetParam());
}

TEST_P(DirBlock, AnyBytesAreLegalInput) {
  uint32_t state = 99;
  for (int round = 0; round < 3000; ++round) {
    Block block(GetParam());
    dir_block_format_first(block.bytes(), Ino(12), Ino(2), block.has_csum);
    for (int k = 0; k < 8; ++k) {
      state = state * 1664525 + 1013904223;
      block.data[(state >> 8) % (round % 2 != 0 ? 64 : kBlockSize)] = static_cast<std::byte>(state >> 24);
    }
    if (round % 5 == 0) {
      for (auto& byte : block.data) { byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24); }
    }
    block.view().find("name").ignore_error("only must not crash");
    dir_block_remove(block.bytes(), block.has_csum, 12).ignore_error("as above");
    dir_block_insert(block.bytes(), block.has_csum, "name", Ino(5), FileType::kRegular).ignore_error("as above");
    (void)block.view().csum_ok(1, block.view().kind(round % 3 == 0, true));
  }
  (void)take_corruption_messages();
}

TEST(DirBlockRecord, BrokenLengthsAndNamesAreCorruption) {
  const auto with = [](uint32_t offset, uint8_t value) {
    Block block(true);
    dir_block_format_first(block.bytes(), Ino(12), Ino(2), true);
    block.data[offset] = std::byte{value};
    return block.view().find("x").error();
  };
  EXPECT_EQ(with(4, 12), Errc::kOk);
  EXPECT_EQ(with(4, 0), Errc::kCorrupted);     // rec_len 0
  EXPECT_EQ(with(4, 14), Errc::kCorrupted);    // not a multiple of 4
  EXPECT_EQ(with(5, 0x40), Errc::kCorrupted);  // beyond the block
  EXPECT_EQ(with(6, 9), Errc::kCorrupted);     // name longer than the record
  EXPECT_EQ(with(6, 0), Errc::kCorrupted);     // no name
  EXPECT_EQ(with(8, '/'), Errc::kCorrupted);
  EXPECT_EQ(with(8, 0), Errc::kCorrupted);
  (void)take_corruption_messages();
}

TEST(DirBlockChecksum, NoticesEveryFlippedBit) {
  Block block(true);
  dir_block_format_first(block.bytes(), Ino(12), Ino(2), true);
  dir_block_set_csum(block.bytes(), 0x1234);
  EXPECT_TRUE(block.view().csum_ok(0x1234, DirBlockKind::kLinear));
  EXPECT_FALSE(block.view().csum_ok(0x1235, DirBlockKind::kLinear));
  for (size_t at = 0; at < kBlockSize; at += 37) {
    block.data[at] ^= std::byte{1};
    EXPECT_FALSE(block.view().csum_ok(0x1234, DirBlockKind::kLinear)) << at;
    block.data[at] ^= std::byte{1};
  }
}

}  // namespace
}  // namespace daxfs::ext4
