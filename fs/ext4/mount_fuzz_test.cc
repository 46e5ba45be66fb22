// fs/ext4/mount_fuzz_test.cc - any bytes as an image: an error and a sentence, or a mount that works; never a crash.
#include <cstddef>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/crc32c.h"
#include "fs/ext4/bitmap.h"
#include "fs/ext4/volume_test.h"

namespace daxfs::ext4 {
namespace {

using Random = std::mt19937;

void flip(pmem::Device& device, Random& random, uint64_t begin, uint64_t size) {
  const uint64_t at = begin + random() % size;
  static constexpr uint8_t kInteresting[] = {0, 1, 0x7f, 0x80, 0xff};
  const auto old = static_cast<uint8_t>(device.data()[at]);
  const uint8_t value = random() % 2 == 0 ? static_cast<uint8_t>(old ^ (1u << random() % 8))
                                          : kInteresting[random() % std::size(kInteresting)];
  ASSERT_TRUE(device.store_value(at, value).ok());
}

// Makes the superblock's checksum right again, so that what lies behind it is reached.
void fix_super(pmem::Device& device) {
  const uint32_t crc = crc32c(~0u, device.data() + kSuperOffset, offsetof(SuperBlock, s_checksum));
  ASSERT_TRUE(device.store_value(kSuperOffset + offsetof(SuperBlock, s_checksum), crc).ok());
}

void mutate(pmem::Device& device, Random& random, bool has_csum) {
  const auto table = device.read_value<GroupDescriptor>(kBlockSize).value();
  const uint32_t changes = 1 + random() % 4;
  for (uint32_t i = 0; i < changes; ++i) {
    switch (random() % 6) {
      case 0:
      case 1: flip(device, random, kSuperOffset, sizeof(SuperBlock)); break;
      case 2: flip(device, random, kBlockSize, 4 * kDescSize64); break;
      case 3: flip(device, random, (table.bg_block_bitmap_lo % device.block_count()) * kBlockSize, kBlockSize); break;
      case 4: flip(device, random, (table.bg_inode_bitmap_lo % device.block_count()) * kBlockSize, 64); break;
      default: flip(device, random, (table.bg_inode_table_lo % device.block_count()) * kBlockSize, kBlockSize); break;
    }
  }
  if (has_csum && random() % 4 != 0) { fix_super(device); }
}

// Uses what was mounted; errors are fine.
void exercise(Volume& volume, Random& random) {
  for (uint32_t ino = 0; ino < 16; ++ino) { read_inode(volume, Ino(ino)).ignore_error("any bytes"); }
  volume.statfs();
  auto started = jbd2::start(volume.journal(), 10);
  if (!started.ok()) { return; }
  jbd2::Handle& handle = *started;
  std::vector<BlockRun> runs;
  for (int i = 0; i < 8; ++i) {
    const AllocationRequest request{FsBlock(random()), static_cast<uint32_t>(1 + random() % 600),
                                    static_cast<unsigned>(random() % 16)};
    Result<BlockRun> run = allocate_blocks(volume, handle, request);
    if (run.ok()) { runs.push_back(*run); }
    Result<Ino> ino = allocate_inode(volume, handle, Ino(kRootIno), random() % 2 == 0);
    if (ino.ok() && random() % 2 == 0) { free_inode(volume, handle, *ino, false).ignore_error("any bytes"); }
    if (ino.ok()) { orphan_add(volume, handle, *ino).ignore_error("any bytes"); }
    if (ino.ok()) { orphan_del(volume, handle, *ino).ignore_error("any bytes"); }
  }
  for (const BlockRun& run : runs) { EXPECT_TRUE(free_blocks(volume, handle, run.first, run.count).ok()); }
  free_blocks(volume, handle, FsBlock(random()), random()).ignore_error("any bytes");
  handle.stop().ignore_error("any bytes");
}

class MountFuzz : public ::testing::TestWithParam<const char*> {};

TEST_P(MountFuzz, MutatedImagesAreMountedOrRefusedWithAReason) {
  const auto& image = testing::make_image(600, GetParam());
  auto device = testing::load_device(image);
  const bool has_csum = std::strstr(GetParam(), "^metadata_csum") == nullptr;
  uint32_t mounted = 0;
  uint32_t refused = 0;
  for (uint32_t seed = 0; seed < 2500; ++seed) {
    Random random(seed);
    mutate(*device, random, has_csum);
    MountOptions options;
    options.read_only = random() % 8 == 0;
    std::string message;
    auto volume = Volume::mount_with(*device, nullptr, options, nullptr, &message);
    if (volume.ok()) {
      ++mounted;
      exercise(**volume, random);
      (*volume)->unmount().ignore_error("any bytes");
    } else {
      ++refused;
      EXPECT_NE(message, "") << "seed " << seed;
    }
    take_corruption_messages();
    device->restore(image);
  }
  // Both sides are reached, else the test shows nothing.
  EXPECT_GT(mounted, 100u);
  EXPECT_GT(refused, 100u);
}

INSTANTIATE_TEST_SUITE_P(Templates, MountFuzz,
                         ::testing::Values("", "-O ^metadata_csum,^64bit", "-g 256 -G 2",
                                           "-O ^metadata_csum,uninit_bg,^flex_bg -I 128"));

TEST(MountFuzzShapes, RandomAndTruncatedImagesAreRefused) {
  Random random(1);
  std::vector<std::byte> noise(16 * kBlockSize);
  for (int round = 0; round < 50; ++round) {
    for (std::byte& b : noise) { b = static_cast<std::byte>(random()); }
    if (round % 2 == 0) { std::memcpy(noise.data() + kSuperOffset + 0x38, &kSuperMagic, sizeof(kSuperMagic)); }
    auto device = testing::load_device(noise);
    std::string message;
    EXPECT_FALSE(Volume::mount_with(*device, nullptr, {}, nullptr, &message).ok());
    EXPECT_NE(message, "");
  }
  const auto& image = testing::make_image(600);
  for (size_t blocks = 1; blocks < 600; blocks += 7) {
    auto device = testing::load_device(std::span(image).first(blocks * kBlockSize));
    std::string message;
    EXPECT_EQ(Volume::mount_with(*device, nullptr, {}, nullptr, &message).error(), Errc::kInval);
    EXPECT_NE(message.find("truncated image"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace daxfs::ext4
