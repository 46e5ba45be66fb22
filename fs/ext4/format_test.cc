// fs/ext4/format_test.cc - our structures against bytes that mke2fs wrote.
#include "fs/ext4/format.h"

#include <cstring>

#include <gtest/gtest.h>

#include "fs/base/crc32c.h"
#include "fs/ext4/format_assertions.h"
#include "fs/ext4/test_image.h"

namespace daxfs::ext4 {
namespace {

template <typename T>
T at(const std::vector<std::byte>& image, uint64_t offset) {
  T value;
  std::memcpy(&value, image.data() + offset, sizeof(T));
  return value;
}

TEST(Format, SuperblockFieldsAreWhereMke2fsPutsThem) {
  const auto& image = testing::make_image(8192, "-N 1024 -m 5 -L label -I 256");
  const auto super = at<SuperBlock>(image, kSuperOffset);
  EXPECT_EQ(super.s_magic, kSuperMagic);
  EXPECT_EQ(super.blocks_count(), 8192u);
  EXPECT_EQ(super.reserved_blocks_count(), 409u);
  EXPECT_EQ(super.s_inodes_count, 1024u);
  EXPECT_EQ(super.s_inode_size, 256u);
  EXPECT_EQ(super.s_desc_size, 64u);
  EXPECT_EQ(super.s_want_extra_isize, kWantExtraIsize);
  EXPECT_STREQ(super.s_volume_name, "label");
  EXPECT_EQ(super.s_uuid[0], 0x12);
  EXPECT_EQ(super.s_uuid[15], 0xbc);
  EXPECT_EQ(super.s_hash_seed[0], 0x11111111u);
  EXPECT_EQ(super.s_journal_inum, kJournalIno);
  EXPECT_EQ(super.s_log_groups_per_flex, 4u);
  EXPECT_EQ(super.s_checksum_type, kCsumTypeCrc32c);
  EXPECT_EQ(super.s_checksum, crc32c(~0u, &super, offsetof(SuperBlock, s_checksum)));
}

TEST(Format, InodeAndExtentFieldsAreWhereMke2fsPutsThem) {
  const auto& image = testing::make_image(8192, "-N 1024 -I 256");
  const auto desc = at<GroupDescriptor>(image, kBlockSize);
  const auto root = at<RawInode>(image, desc.bg_inode_table_lo * kBlockSize + (kRootIno - 1) * 256);
  EXPECT_EQ(root.i_mode & 0170000, 0040000);
  EXPECT_EQ(root.i_links_count, 3u);  // ".", "..", lost+found
  EXPECT_EQ(root.i_extra_isize, kWantExtraIsize);
  ExtentHeader header;
  std::memcpy(&header, root.i_block, sizeof(header));
  EXPECT_EQ(header.eh_magic, kExtentMagic);
  EXPECT_EQ(header.eh_entries, 1u);
  EXPECT_EQ(header.eh_max, 4u);
  ExtentEntry extent;
  std::memcpy(&extent, root.i_block + sizeof(header), sizeof(extent));
  EXPECT_EQ(extent.length(), 1u);
  EXPECT_FALSE(extent.unwritten());
  // The root directory's block starts with "." = inode 2.
  EXPECT_EQ(at<uint32_t>(image, extent.start() * kBlockSize), kRootIno);
}

TEST(Format, ExtentLengthsAndBlocksSurviveTheirEncoding) {
  ExtentEntry extent{};
  extent.ee_len = kExtentInitMax;
  EXPECT_FALSE(extent.unwritten());
  EXPECT_EQ(extent.length(), 32768u);
  extent.ee_len = kExtentInitMax + 1;
  EXPECT_TRUE(extent.unwritten());
  EXPECT_EQ(extent.length(), 1u);
  extent.set_start(0xabcd12345678);
  EXPECT_EQ(extent.start(), 0xabcd12345678u);
  ExtentIndex index{};
  index.set_leaf(0xabcd12345678);
  EXPECT_EQ(index.leaf(), 0xabcd12345678u);
}

}  // namespace
}  // namespace daxfs::ext4
