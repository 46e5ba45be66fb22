// fs/ext4/inode_io_test.cc - the inode table: checksums, sizes, times, inode sizes 128 and 256.
#include "fs/ext4/inode_io.h"

#include <cstring>

#include <gtest/gtest.h>

#include "fs/ext4/inode.h"
#include "fs/ext4/volume_test.h"

namespace daxfs::ext4 {
namespace {

using testing::MountedVolume;

// A regular file without blocks, linked nowhere: e2fsck would object, so tests delete it again.
Ino make_file(MountedVolume& fs) {
  const Ino ino = fs.create().value();
  EXPECT_TRUE(fs.in_handle([&](jbd2::Handle& handle) {
                  return init_inode(*fs.volume, handle, ino, [](RawInode& raw) {
                    raw.i_mode = 0100644;
                    raw.i_links_count = 1;
                    raw.i_generation = 77;
                    raw.set_size(5);
                  });
                }).ok());
  return ino;
}

void delete_file(MountedVolume& fs, Ino ino) {
  EXPECT_TRUE(fs.in_handle([&](jbd2::Handle& handle) {
                  return update_inode(*fs.volume, handle, ino, [](RawInode& raw) {
                    raw.i_links_count = 0;
                    raw.i_dtime = 1767225600;
                  });
                }).ok());
  EXPECT_TRUE(fs.remove(ino).ok());
}

class InodeTable : public ::testing::TestWithParam<const char*> {};

TEST_P(InodeTable, ReadsWhatMke2fsWroteAndWhatWeWrote) {
  MountedVolume fs(2048, GetParam());
  const RawInode root = read_inode(*fs.volume, Ino(kRootIno)).value();
  EXPECT_EQ(root.i_mode & 0170000, 0040000);
  EXPECT_EQ(root.size(), kBlockSize);
  EXPECT_EQ(raw_sectors(*fs.volume, root), 8u);
  const Ino ino = make_file(fs);
  EXPECT_EQ(read_inode(*fs.volume, ino).value().size(), 5u);
  EXPECT_TRUE(fs.in_handle([&](jbd2::Handle& handle) {
                  return update_inode(*fs.volume, handle, ino, [](RawInode& raw) { raw.set_size(1ull << 40); });
                }).ok());
  EXPECT_EQ(read_inode(*fs.volume, ino).value().size(), 1ull << 40);
  EXPECT_EQ(read_inode(*fs.volume, ino).value().i_generation, 77u);
  delete_file(fs, ino);
}

INSTANTIATE_TEST_SUITE_P(Sizes, InodeTable,
                         ::testing::Values("", "-I 128", "-I 256 -O ^metadata_csum", "-I 1024",
                                           "-I 128 -O ^metadata_csum", "-O metadata_csum_seed",
                                           "-O ^64bit,^huge_file"));

TEST(InodeTableErrors, ABadChecksumOrNumberIsCorruption) {
  MountedVolume fs(2048);
  const uint64_t root = fs.volume->groups()[0].inode_table.value() * kBlockSize + 256;
  EXPECT_EQ(read_inode(*fs.volume, Ino(0)).error(), Errc::kCorrupted);
  EXPECT_EQ(read_inode(*fs.volume, Ino(fs.volume->geometry().inode_count + 1)).error(), Errc::kCorrupted);
  const auto mode = fs.device->read_value<uint16_t>(root).value();
  ASSERT_TRUE(fs.device->store_value(root, static_cast<uint16_t>(mode ^ 1)).ok());
  EXPECT_EQ(read_inode(*fs.volume, Ino(kRootIno)).error(), Errc::kCorrupted);
  ASSERT_TRUE(fs.device->store_value(root, mode).ok());
  EXPECT_EQ(take_corruption_messages().size(), 3u);
}

// II1.
TEST(InodeTableErrors, ExtraIsizeMayNotChange) {
  EXPECT_DEATH(
      {
        MountedVolume fs(2048);
        fs.in_handle([&](jbd2::Handle& handle) {
            return update_inode(*fs.volume, handle, Ino(kRootIno), [](RawInode& raw) { raw.i_extra_isize = 28; });
          }).ignore_error("dies before");
      },
      "II1");
}

TEST(InodeFields, SectorsBeyond48BitsAreCountedInBlocks) {
  MountedVolume fs(512);
  RawInode raw{};
  for (uint64_t sectors : {0ull, 8ull, 0xffffffffull, 0x100000000ull, 0xffffffffffffull, 0x1000000000000ull}) {
    ASSERT_TRUE(set_raw_sectors(*fs.volume, &raw, sectors));
    EXPECT_EQ(raw_sectors(*fs.volume, raw), sectors);
  }
  EXPECT_NE(raw.i_flags & kFlagHugeFile, 0u);
  EXPECT_FALSE(set_raw_sectors(*fs.volume, &raw, 0x8000000000000ull));
}

TEST(InodeFields, TimesKeepNanosecondsAndEpoch) {
  for (int64_t seconds : {int64_t{-2147483648}, int64_t{-1}, int64_t{0}, int64_t{2147483647}, int64_t{2147483648},
                          int64_t{4294967296}, int64_t{15032385535}}) {
    uint32_t stored = 0;
    uint32_t extra = 0;
    encode_time({seconds, 999999999}, true, &stored, &extra);
    const RawTime time = decode_time(stored, extra, true);
    EXPECT_EQ(time.seconds, seconds);
    EXPECT_EQ(time.nanoseconds, 999999999u);
  }
  EXPECT_EQ(decode_time(0xffffffff, 3, false).seconds, -1);
}

}  // namespace
}  // namespace daxfs::ext4
