// fs/ext4/super_test.cc - mount and unmount: what is accepted, what is refused and why, what is written. SB1, SB2.
#include "fs/ext4/super.h"

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/crc32c.h"
#include "fs/ext4/volume_test.h"

namespace daxfs::ext4 {
namespace {

using testing::MountedVolume;

SuperBlock read_super(const pmem::Device& device) {
  SuperBlock super;
  std::memcpy(static_cast<void*>(&super), device.data() + kSuperOffset, sizeof(super));
  return super;
}

// Changes the superblock on the medium and makes its checksum right again.
void change_super(pmem::Device& device, const std::function<void(SuperBlock&)>& change, bool fix_csum = true) {
  SuperBlock super = read_super(device);
  change(super);
  if (fix_csum) { super.s_checksum = crc32c(~0u, &super, offsetof(SuperBlock, s_checksum)); }
  EXPECT_TRUE(device.store_value(kSuperOffset, super).ok());
}

class Features : public ::testing::TestWithParam<const char*> {};

TEST_P(Features, MountAndUnmountLeaveACleanImageAndTouchOnlyTheSuperblock) {
  const auto& image = testing::make_image(3000, GetParam());
  MountedVolume fs(3000, GetParam());
  ASSERT_NE(fs.volume, nullptr);
  EXPECT_EQ(read_super(*fs.device).s_state & kStateValid, 0);
  EXPECT_EQ(fs.volume->statfs().blocks_free, read_super(*fs.device).free_blocks_count());
  fs.unmount_and_check();
  EXPECT_EQ(read_super(*fs.device).s_state, kStateValid);
  EXPECT_EQ(read_super(*fs.device).s_mnt_count, 1u);
  EXPECT_EQ(std::memcmp(image.data() + kBlockSize, fs.device->data() + kBlockSize, image.size() - kBlockSize), 0);
}

INSTANTIATE_TEST_SUITE_P(OfMke2fs, Features,
                         ::testing::Values("", "-O ^has_journal", "-O ^metadata_csum", "-O ^metadata_csum,^64bit",
                                           "-O ^metadata_csum,uninit_bg,^flex_bg", "-O metadata_csum_seed", "-I 128",
                                           "-O ^resize_inode", "-O ^flex_bg -g 512", "-O ^64bit", "-O ^extra_isize",
                                           "-O sparse_super2 -g 512", "-O ^sparse_super,^resize_inode -g 512",
                                           "-O ^dir_index,^large_file,^huge_file,^dir_nlink"));

TEST(Mount, AReadOnlyMountWritesNothing) {
  const auto& image = testing::make_image(3000);
  MountOptions options;
  options.read_only = true;
  MountedVolume fs(3000, "", options);
  EXPECT_EQ(jbd2::start(fs.volume->journal(), 1).error(), Errc::kRoFs);
  EXPECT_TRUE(fs.volume->sync_fs().ok());
  fs.unmount_and_check();
  EXPECT_EQ(std::memcmp(image.data(), fs.device->data(), image.size()), 0);
}

TEST(Mount, SyncMakesTheCountersOnTheMediumExact) {
  MountedVolume fs(3000);
  const BlockRun run = fs.allocate(7).value();
  const Ino ino = fs.create().value();
  EXPECT_TRUE(fs.volume->sync_fs().ok());
  EXPECT_EQ(read_super(*fs.device).free_blocks_count(), fs.volume->blocks_free());
  EXPECT_EQ(read_super(*fs.device).s_free_inodes_count, fs.volume->statfs().files_free);
  EXPECT_EQ(fs.volume->groups().totals().blocks_free, fs.volume->blocks_free());
  EXPECT_TRUE(fs.remove(ino).ok());
  EXPECT_TRUE(fs.free(run.first, run.count).ok());
}

TEST(Mount, StatFsCountsLikeTheKernel) {
  MountedVolume fs(3000, "-m 10");
  const StatFs stat = fs.volume->statfs();
  EXPECT_EQ(stat.magic, 0xEF53u);
  EXPECT_EQ(stat.block_size, 4096u);
  // Superblock, descriptors, reserved descriptors, two bitmaps, inode table, journal (1024 blocks).
  const Geometry& geometry = fs.volume->geometry();
  EXPECT_EQ(stat.blocks, 3000u - geometry.first_group_blocks - 2 - geometry.inode_table_blocks - 1024);
  EXPECT_EQ(stat.blocks_free - stat.blocks_available, 300u + 3000 / 50);
  EXPECT_EQ(stat.files, geometry.inode_count);
  EXPECT_EQ(stat.files_free, geometry.inode_count - 11);
  EXPECT_EQ(stat.name_length_max, 255u);
}

TEST(Mount, AVolumeThatWasNotCleanStaysMarkedSo) {
  auto device = testing::load_device(testing::make_image(512));
  change_super(*device, [](SuperBlock& super) { super.s_state = 0; });
  auto volume = Volume::mount_with(*device, nullptr, {}, nullptr, nullptr).value();
  EXPECT_TRUE(volume->unmount().ok());
  EXPECT_EQ(read_super(*device).s_state, 0);
}

struct Refusal {
  const char* name;
  std::function<void(SuperBlock&)> change;
  Errc errc;
  const char* message;  // part of it
  bool read_only_too = true;
  bool fix_csum = true;
};

const Refusal kRefusals[] = {
    {"magic", [](SuperBlock& s) { s.s_magic = 0; }, Errc::kInval, "not an ext4 image: the magic number is 0x0000"},
    {"revision", [](SuperBlock& s) { s.s_rev_level = 0; }, Errc::kInval, "revision 0"},
    {"incompat", [](SuperBlock& s) { s.s_feature_incompat |= 0x80008010; }, Errc::kInval,
     "unsupported incompatible features: meta_bg inline_data 0x80000000"},
    {"missing", [](SuperBlock& s) { s.s_feature_incompat &= ~kIncompatFiletype; }, Errc::kInval,
     "required features are missing: filetype"},
    {"recovery", [](SuperBlock& s) { s.s_feature_incompat |= kIncompatRecover; }, Errc::kRoFs,
     "journal needs recovery"},
    {"quota", [](SuperBlock& s) { s.s_feature_ro_compat |= 0x100; }, Errc::kInval,
     "unsupported features for a read-write mount: quota", false},
    {"bigalloc", [](SuperBlock& s) { s.s_feature_ro_compat |= 0x200; }, Errc::kInval, "unsupported features: bigalloc"},
    {"checksum", [](SuperBlock& s) { s.s_wtime ^= 1; }, Errc::kCorrupted, "checksum of the superblock", true, false},
    {"checksum type", [](SuperBlock& s) { s.s_checksum_type = 7; }, Errc::kInval, "checksum type 7"},
    {"block size", [](SuperBlock& s) { s.s_log_block_size = 0; }, Errc::kInval, "block size 1024 is not supported"},
    {"block size shift", [](SuperBlock& s) { s.s_log_block_size = 0xffffffff; }, Errc::kInval, "block size"},
    {"cluster size", [](SuperBlock& s) { s.s_log_cluster_size = 5; }, Errc::kInval, "cluster size"},
    {"inode size", [](SuperBlock& s) { s.s_inode_size = 96; }, Errc::kInval, "inode size 96"},
    {"inode size 0", [](SuperBlock& s) { s.s_inode_size = 0; }, Errc::kInval, "inode size 0"},
    {"descriptor size", [](SuperBlock& s) { s.s_desc_size = 48; }, Errc::kInval, "group descriptor size 48"},
    {"blocks a group", [](SuperBlock& s) { s.s_blocks_per_group = 0; }, Errc::kInval, "0 blocks a group"},
    {"inodes a group", [](SuperBlock& s) { s.s_inodes_per_group = 0; }, Errc::kInval, "0 inodes a group"},
    {"first inode", [](SuperBlock& s) { s.s_first_ino = 5; }, Errc::kInval, "first inode 5"},
    {"truncated", [](SuperBlock& s) { s.s_blocks_count_lo = 513; }, Errc::kInval, "truncated image"},
    {"huge", [](SuperBlock& s) { s.s_blocks_count_hi = 0xffffffff; }, Errc::kInval, "truncated image"},
    {"no blocks", [](SuperBlock& s) { s.s_blocks_count_lo = 0; }, Errc::kInval, "make no sense"},
    {"reserved blocks", [](SuperBlock& s) { s.s_r_blocks_count_lo = 600; }, Errc::kInval, "600 reserved"},
    {"inode count", [](SuperBlock& s) { s.s_inodes_count += 1; }, Errc::kInval, "inodes do not fit"},
    {"descriptors", [](SuperBlock& s) { s.s_reserved_gdt_blocks = 1000; }, Errc::kInval,
     "the group descriptors do not fit"},
    {"descriptors overlap", [](SuperBlock& s) { s.s_reserved_gdt_blocks += 2; }, Errc::kCorrupted, "overlaps"},
    {"uuid", [](SuperBlock& s) { s.s_uuid[3] ^= 1; }, Errc::kCorrupted, "checksum of group descriptor 0"},
    {"flex", [](SuperBlock& s) { s.s_log_groups_per_flex = 99; }, Errc::kInval, "s_log_groups_per_flex is 99"},
    {"orphan", [](SuperBlock& s) { s.s_last_orphan = 5; }, Errc::kCorrupted, "orphan list is damaged"},
};

TEST(Mount, RefusesWhatItCannotHandleWithAReason) {
  for (const Refusal& refusal : kRefusals) {
    for (const bool read_only : {false, true}) {
      auto device = testing::load_device(testing::make_image(512));
      change_super(*device, refusal.change, refusal.fix_csum);
      const std::vector<std::byte> before(device->data(), device->data() + device->size());
      MountOptions options;
      options.read_only = read_only;
      std::string message;
      auto volume = Volume::mount_with(*device, nullptr, options, nullptr, &message);
      if (read_only && !refusal.read_only_too) {
        ASSERT_TRUE(volume.ok()) << refusal.name << ": " << message;
        EXPECT_TRUE((*volume)->unmount().ok());
        continue;
      }
      ASSERT_FALSE(volume.ok()) << refusal.name;
      EXPECT_EQ(volume.error(), refusal.errc) << refusal.name << ": " << message;
      EXPECT_NE(message.find(refusal.message), std::string::npos) << refusal.name << ": " << message;
      EXPECT_EQ(std::memcmp(before.data(), device->data(), before.size()), 0) << refusal.name;
    }
  }
  take_corruption_messages();
}

TEST(Mount, RefusesABadGroupDescriptor) {
  struct Case {
    std::function<void(GroupDescriptor&)> change;
    const char* message;
  };
  const Case cases[] = {
      {[](GroupDescriptor& d) { d.bg_block_bitmap_lo = 600; }, "block bitmap of group 0 lies outside at block 600"},
      {[](GroupDescriptor& d) { d.bg_inode_bitmap_lo = ~0u; }, "inode bitmap of group 0 lies outside"},
      {[](GroupDescriptor& d) { d.bg_inode_table_lo = 511; }, "inode table of group 0 lies outside at block 511"},
      {[](GroupDescriptor& d) { d.bg_inode_bitmap_lo = d.bg_block_bitmap_lo; }, "overlaps at block"},
      {[](GroupDescriptor& d) { d.bg_block_bitmap_lo = 1; }, "overlaps at block 1"},
      {[](GroupDescriptor& d) { d.bg_free_blocks_count_lo = 600; }, "counters of group descriptor 0"},
  };
  for (const Case& each : cases) {
    auto device = testing::load_device(testing::make_image(512, "-O ^metadata_csum"));
    auto raw = device->read_value<GroupDescriptor>(kBlockSize).value();
    each.change(raw);
    ASSERT_TRUE(device->store_value(kBlockSize, raw).ok());
    std::string message;
    EXPECT_EQ(Volume::mount_with(*device, nullptr, {}, nullptr, &message).error(), Errc::kCorrupted);
    EXPECT_NE(message.find(each.message), std::string::npos) << message;
  }
}

TEST(Mount, RefusesPoisonInTheSuperblockOrTheDescriptors) {
  for (const uint64_t block : {0u, 1u}) {
    auto device = testing::load_device(testing::make_image(512));
    device->set_poison(block * kBlockSize + 2048, 1);
    std::string message;
    EXPECT_EQ(Volume::mount_with(*device, nullptr, {}, nullptr, &message).error(), Errc::kIo);
    EXPECT_NE(message.find("cannot be read"), std::string::npos);
  }
}

// SB1.
TEST(MountDeath, AMountedVolumeMayNotBeDestroyed) {
  auto device = testing::load_device(testing::make_image(512));
  EXPECT_DEATH(Volume::mount_with(*device, nullptr, {}, nullptr, nullptr).value().reset(), "SB1");
  auto volume = Volume::mount_with(*device, nullptr, {}, nullptr, nullptr).value();
  EXPECT_TRUE(volume->unmount().ok());
}

}  // namespace
}  // namespace daxfs::ext4
