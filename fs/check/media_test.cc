// fs/check/media_test.cc - clean images of many shapes, bad input, reuse of scratch, the baseline.
#include "fs/check/media.h"

#include <cctype>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>

#include "fs/check/media_test_image.h"

namespace daxfs::check {
namespace {

using test::Image;
using test::Shape;

class MediaShapes : public testing::TestWithParam<Shape> {};

TEST_P(MediaShapes, FreshImageIsClean) {
  const MediaReport report = check_media(test::fresh_image(GetParam()));
  EXPECT_TRUE(report.clean()) << report.text();
  EXPECT_EQ(report.inodes_used, 11u);
  EXPECT_GT(report.blocks_used, 4u);
}

TEST_P(MediaShapes, PopulatedImageIsCleanForBothJudges) {
  const Image& image = test::populated_image(GetParam());
  const test::Fsck fsck = test::run_e2fsck(image);
  ASSERT_TRUE(fsck.clean()) << fsck.output;
  const MediaReport report = check_media(image);
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_P(MediaShapes, IndexedDirectoryIsCleanForBothJudges) {
  const Image image = test::indexed_image(test::fresh_image(GetParam()), 250);
  const test::Fsck fsck = test::run_e2fsck(image);
  ASSERT_TRUE(fsck.clean()) << fsck.output;
  const MediaReport report = check_media(image);
  EXPECT_TRUE(report.clean()) << report.text();
}

INSTANTIATE_TEST_SUITE_P(All, MediaShapes, testing::ValuesIn(test::all_shapes().begin(), test::all_shapes().end()),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           for (char& c : name) { c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_'; }
                           return name;
                         });

TEST(Media, HtreeOfTwoLevelsIsClean) {
  if (std::getenv("MEDIA_SLOW_TESTS") == nullptr) { GTEST_SKIP() << "debugfs needs 40 s; set MEDIA_SLOW_TESTS=1"; }
  // The root holds about 500 index entries; more leaf blocks than that need a second level.
  const Shape shape{"wide", 4096, "-N 64 -O ^has_journal"};
  Image image = test::indexed_image(test::fresh_image(shape), 7000, 240);
  const std::byte* root = test::block(image, test::block_of(image, test::ino_of(image, "/indexed"), 0));
  ASSERT_EQ(root[30], std::byte{1}) << "levels of the index";
  const MediaReport report = check_media(image);
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST(Media, ShortOrEmptyInputIsAProblemAndNotACrash) {
  EXPECT_FALSE(check_media({}).clean());
  const Image& image = test::fresh_image(test::kSmall);
  for (size_t size :
       {size_t{1}, size_t{1023}, size_t{1024}, size_t{2047}, size_t{4096}, size_t{8192}, image.size() - 1}) {
    EXPECT_FALSE(check_media(std::span(image).first(size)).clean()) << size;
  }
}

TEST(Media, UnknownIncompatibleFeatureIsOneMessage) {
  Image image = test::fresh_image(test::kSmall);
  test::super(image).feature_incompat |= 0x80000000;
  const MediaReport report = check_media(image);
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_EQ(report.problems[0].where, "superblock 0");
  EXPECT_EQ(report.problems[0].what, "unsupported incompatible features 0x80000000");
}

TEST(Media, StateAfterACrashIsAllowedOnlyWhenAsked) {
  Image image = test::fresh_image(test::kSmall);
  test::super(image).state = 0;
  test::super(image).last_orphan = 12;
  test::Checksums(test::fresh_image(test::kSmall)).refresh(image);
  EXPECT_FALSE(check_media(image).clean());
  MediaOptions options;
  options.expect_clean_unmount = false;
  EXPECT_TRUE(check_media(image, options).clean()) << check_media(image, options).text();
}

TEST(Media, ProblemsAreBoundedByTheOption) {
  Image image = test::populated_image(test::kSmall);
  std::memset(test::block(image, test::group(image, 0).inode_table_lo), 0xff, 4096);
  MediaOptions options;
  options.problems_max = 3;
  EXPECT_EQ(check_media(image, options).problems.size(), 3u);
}

TEST(Media, ScratchOfOneImageDoesNotLeakIntoTheNext) {
  MediaScratch scratch;
  for (int round = 0; round < 2; ++round) {
    for (const Shape& shape : test::all_shapes()) {
      const MediaReport report = check_media(test::fresh_image(shape), {}, scratch);
      EXPECT_TRUE(report.clean()) << shape.name << "\n" << report.text();
    }
    EXPECT_FALSE(check_media(std::span<const std::byte>(), {}, scratch).clean());
  }
}

TEST(MediaBaseline, FindsABadChecksumInAChangedBlockAndSkipsUnchangedOnes) {
  const Image& good = test::populated_image(test::kSmall);
  MediaScratch scratch;
  ASSERT_TRUE(scratch.set_baseline(good));
  Image image = good;
  const uint32_t dir = test::ino_of(good, "/dir");
  const uint64_t block = test::block_of(good, dir, 0);
  test::block(image, block)[4095] ^= std::byte{1};
  std::vector<uint64_t> changed(good.size() / 4096 / 64 + 1, 0);
  MediaOptions options;
  options.changed_blocks = changed;
  EXPECT_TRUE(check_media(image, options, scratch).clean()) << "the block was declared unchanged";
  changed[block / 64] |= uint64_t{1} << (block % 64);
  EXPECT_FALSE(check_media(image, options, scratch).clean());
  EXPECT_FALSE(check_media(image, {}, scratch).clean());
}

TEST(MediaBaseline, ChecksumOfAnUnchangedBlockIsCheckedAgainForANewOwner) {
  // The directory's block stays as it is while the inode gets another generation, so its checksum is wrong now.
  const Image& good = test::populated_image(test::kSmall);
  MediaScratch scratch;
  ASSERT_TRUE(scratch.set_baseline(good));
  Image image = good;
  const uint32_t dir = test::ino_of(good, "/dir");
  const uint64_t block = test::block_of(good, dir, 0);
  Image only_block(test::block(image, block), test::block(image, block) + 4096);
  test::inode(image, dir).generation += 1;
  test::Checksums(good).refresh(image);
  std::memcpy(test::block(image, block), only_block.data(), 4096);
  std::vector<uint64_t> changed(good.size() / 4096 / 64 + 1, ~uint64_t{0});
  changed[block / 64] &= ~(uint64_t{1} << (block % 64));
  MediaOptions options;
  options.changed_blocks = changed;
  EXPECT_FALSE(check_media(image, options, scratch).clean());
}

TEST(MediaBaseline, BadImageMakesNoBaseline) {
  MediaScratch scratch;
  EXPECT_FALSE(scratch.set_baseline({}));
}

}  // namespace
}  // namespace daxfs::check
