// fs/ext4/indirect_test.cc - block maps of real inodes on real images, judged by a model and by
// e2fsck.
#include "fs/ext4/indirect.h"

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/report.h"
#include "fs/ext4/extent_fake.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/inode_extent_host.h"
#include "fs/ext4/inode_io.h"
#include "fs/ext4/test_mounted_image.h"
#include "fs/rt/testing.h"

namespace daxfs::ext4 {
namespace {

using testing::Dice;

constexpr const char* kNoExtents = "-O ^extent,^64bit";
constexpr uint32_t kDouble = kDirectBlocks + kMapNodeSlots;            // first block of the double tree
constexpr uint32_t kTriple = kDouble + kMapNodeSlots * kMapNodeSlots;  // of the triple one

// An image whose new files have block maps.
class MapVolume : public testing::MountedImage {
 public:
  explicit MapVolume(uint64_t blocks = 512) : MountedImage(blocks, kNoExtents) {}

  // A file that is as large as a map can make it.
  InodeRef open(const std::string& name) {
    return MountedImage::open(name, block_map_max_bytes(volume().geometry().huge_file()));
  }
  Result<MapResult> map(Inode& inode, uint32_t lblk, uint32_t len, uint32_t flags) {
    return MountedImage::map(inode, {.lblk = LogicalBlock(lblk), .len = len, .flags = flags});
  }
  Status remove(Inode& inode, uint64_t first, uint64_t end) {
    return with_handle([&](jbd2::Handle& handle) {
      const rt::WriteLock lock(inode.i_data_sem);
      return remove_range_locked(handle, inode, LogicalBlock(static_cast<uint32_t>(first)),
                                 LogicalBlock(static_cast<uint32_t>(end)));
    });
  }
};

// Where something changes: ends of the trees and of nodes in them, and places in the middle.
constexpr uint32_t kPlaces[] = {0,
                                kDirectBlocks - 4,
                                kDirectBlocks + 100,
                                kDouble - 6,
                                kDouble + kMapNodeSlots - 3,
                                kDouble + 7 * kMapNodeSlots,
                                kTriple - 5,
                                kTriple + kMapNodeSlots* kMapNodeSlots - 5,
                                kTriple + 5 * kMapNodeSlots* kMapNodeSlots + 3 * kMapNodeSlots};

uint32_t draw_place(Dice& dice) { return kPlaces[dice.below(std::size(kPlaces))] + dice.below(12); }

void expect_model(Inode& inode, const std::map<uint32_t, uint64_t>& model) {
  std::map<uint32_t, uint64_t> found;
  for (uint64_t at = 0;;) {
    const auto run = next_extent(inode, LogicalBlock(static_cast<uint32_t>(at)));
    ASSERT_TRUE(run.ok());
    if (!run->has_value()) { break; }
    EXPECT_FALSE((*run)->unwritten);
    for (uint32_t i = 0; i < (*run)->len; ++i) { found[(*run)->lblk.value() + i] = (*run)->pblk.value() + i; }
    at = (*run)->end();
  }
  EXPECT_EQ(found, model);
  const auto nodes = extent_node_count(inode);
  ASSERT_TRUE(nodes.ok());
  EXPECT_EQ(inode.sectors(), (*nodes + model.size()) * (kBlockSize / kSectorSize));
}

TEST(Indirect, RandomChangesFollowAModelAndLeaveNothingBehind) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    rt::run_for_test([seed] {
      MapVolume volume;
      Dice dice(seed);
      std::map<uint32_t, uint64_t> model;
      InodeRef file = volume.open("f");
      ASSERT_EQ(file->block_format(), BlockFormat::kIndirect);
      for (int step = 0; step < 120; ++step) {
        const uint32_t first = draw_place(dice);
        const uint32_t len = 1 + dice.below(10);
        if (dice.below(5) < 3) {
          const auto mapped = volume.map(*file, first, len, MapRequest::kCreate | MapRequest::kZero);
          ASSERT_TRUE(mapped.ok());
          ASSERT_EQ(mapped->state, BlockState::kWritten);
          for (uint32_t i = 0; i < mapped->len; ++i) {
            const uint64_t block = mapped->pblk.value() + i;
            if (mapped->is_new) {
              ASSERT_FALSE(model.contains(first + i));
              model[first + i] = block;
            }
            ASSERT_EQ(model.at(first + i), block);
          }
        } else {
          const uint64_t end = dice.below(8) == 0 ? kLogicalEnd : uint64_t{first} + len * (1 + 700 * dice.below(2));
          ASSERT_TRUE(volume.remove(*file, first, end).ok());
          model.erase(model.lower_bound(first),
                      end == kLogicalEnd ? model.end() : model.lower_bound(static_cast<uint32_t>(end)));
        }
        const uint32_t look = draw_place(dice);
        const auto found = volume.map(*file, look, 5, 0);
        ASSERT_TRUE(found.ok());
        const auto there = model.find(look);
        ASSERT_EQ(found->state != BlockState::kHole, there != model.end());
        if (there != model.end()) { EXPECT_EQ(found->pblk.value(), there->second); }
        for (uint32_t i = 0; i < found->len && there == model.end(); ++i) { EXPECT_FALSE(model.contains(look + i)); }
        if (step % 20 == 19) { expect_model(*file, model); }
        if (step % 40 == 39) {
          file.put();
          volume.remount();
          file = volume.open("f");
          expect_model(*file, model);
        }
      }
      ASSERT_TRUE(volume.remove(*file, 0, kLogicalEnd).ok());
      EXPECT_EQ(file->sectors(), 0u);
      file.put();
    });
  }
}

TEST(Indirect, AFileWithoutExtentsKeepsNoUnwrittenBlocks) {
  rt::run_for_test([] {
    MapVolume volume;
    InodeRef file = volume.open("f");
    // Writeback asks for unwritten blocks and gets zeros.
    const auto mapped = volume.map(*file, 3, 2, MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kZeroElse);
    ASSERT_TRUE(mapped.ok());
    EXPECT_EQ(mapped->state, BlockState::kWritten);
    file.put();
  });
}

// MB3: who asks for them in earnest takes the file for another one.
TEST(IndirectDeathTest, UnwrittenBlocksAreAskedForInFilesOfExtentsOnly) {
  const auto ask = [] {
    rt::run_for_test([] {
      MapVolume volume;
      InodeRef file = volume.open("f");
      (void)volume.map(*file, 3, 2, MapRequest::kCreate | MapRequest::kUnwritten);
    });
  };
  EXPECT_DEATH(ask(), "MB3");
}

// BF1.
TEST(IndirectDeathTest, CodeForExtentsDoesNotTouchABlockMap) {
  const auto shift = [] {
    rt::run_for_test([] {
      MapVolume volume;
      InodeRef file = volume.open("f");
      (void)volume.with_handle([&](jbd2::Handle& handle) {
        const rt::WriteLock data(file->i_data_sem);
        return shift_left_locked(handle, *file, LogicalBlock(4), 2);
      });
    });
  };
  EXPECT_DEATH(shift(), "BF1");
}

// IM1.
TEST(IndirectDeathTest, ABlockIsInsertedWhereThereIsNone) {
  const auto insert = [] {
    rt::run_for_test([] {
      MapVolume volume;
      InodeRef file = volume.open("f");
      ASSERT_TRUE(volume.map(*file, 0, 1, MapRequest::kCreate).ok());
      (void)volume.with_handle([&](jbd2::Handle& handle) {
        const rt::WriteLock data(file->i_data_sem);
        InodeExtentHost host(*file, &handle);
        return IndirectMap(host).insert({.lblk = LogicalBlock(0), .len = 1, .pblk = FsBlock(400)});
      });
    });
  };
  EXPECT_DEATH(insert(), "IM1");
}

// The last free blocks become data; nodes find none. What is mapped then is what was mapped before.
TEST(Indirect, WithoutRoomForItsNodesABlockIsNotMapped) {
  rt::run_for_test([] {
    MapVolume volume(256);
    InodeRef file = volume.open("f");
    std::map<uint32_t, uint64_t> model;
    const auto take = [&](uint32_t lblk) {
      const auto mapped = volume.map(*file, lblk, 1, MapRequest::kCreate | MapRequest::kReserved);
      if (mapped.ok()) { model[lblk] = mapped->pblk.value(); }
      return mapped.status();
    };
    uint32_t next = kDirectBlocks;
    while (take(next).ok()) { ++next; }
    for (uint32_t free = 0; free < 5; ++free) {
      // With fewer than the block and three nodes, nothing.
      const Status status = take(kTriple + free * kMapNodeSlots * kMapNodeSlots);
      EXPECT_EQ(status.ok(), free >= 4) << free;
      expect_model(*file, model);
      if (free == 4) { break; }
      ASSERT_TRUE(volume.remove(*file, next - 1, next).ok());
      model.erase(--next);
    }
    file.put();
  });
}

TEST(Indirect, ThereIsAnEndToWhatAMapCanName) {
  rt::run_for_test([] {
    MapVolume volume;
    InodeRef file = volume.open("f");
    const auto last = static_cast<uint32_t>(max_file_bytes(*file) / kBlockSize - 1);
    EXPECT_TRUE(volume.map(*file, last, 8, MapRequest::kCreate).ok());
    EXPECT_EQ(volume.map(*file, last + 1, 1, MapRequest::kCreate).error(), Errc::kFBig);
    EXPECT_EQ(volume.map(*file, last + 1, 1, 0)->state, BlockState::kHole);
    file.put();
  });
  // As Linux 6.1 has them for blocks of 4 KiB.
  EXPECT_EQ(block_map_max_bytes(/*huge_file=*/true), 4402345721856u);
  EXPECT_EQ(block_map_max_bytes(/*huge_file=*/false), 2196873666560u);
}

// Numbers that lead nowhere, back, or round in circles: an error, and soon.
TEST(Indirect, DamagedMapsAreRefused) {
  enum class Damage { kBeyondDevice, kMetadata, kLoop, kBelowDirect };
  for (const Damage damage : {Damage::kBeyondDevice, Damage::kMetadata, Damage::kLoop, Damage::kBelowDirect}) {
    rt::run_for_test([damage] {
      MapVolume volume;
      InodeRef file = volume.open("f");
      const Ino ino = file->ino();
      const auto mapped = volume.map(*file, kTriple, 1, MapRequest::kCreate);
      ASSERT_TRUE(mapped.ok());
      const auto number_of_node = [&](unsigned slot) {
        const rt::ReadLock lock(file->i_data_sem);
        uint32_t number;
        std::memcpy(&number, std::as_const(*file).i_block().data() + slot * sizeof(number), sizeof(number));
        return number;
      };
      const uint32_t top = number_of_node(kDirectBlocks + 2);
      if (damage == Damage::kBelowDirect) {
        ASSERT_TRUE(volume
                        .with_handle([&](jbd2::Handle& handle) {
                          const rt::WriteLock data(file->i_data_sem);
                          const uint32_t wrong = 0xFFFFFF00;
                          std::memcpy(file->i_block().data(), &wrong, sizeof(wrong));
                          return file->mark_data_dirty(handle);
                        })
                        .ok());
      }
      file.put();
      volume.unmount(/*sound=*/false);
      std::vector<std::byte> image(volume.device().bytes().begin(), volume.device().bytes().end());
      std::vector<uint32_t> numbers(kMapNodeSlots, damage == Damage::kLoop ? top : 0);
      if (damage == Damage::kBeyondDevice) { numbers[5] = 512; }
      if (damage == Damage::kMetadata) { numbers[5] = 1; }
      if (damage != Damage::kBelowDirect) { std::memcpy(image.data() + top * kBlockSize, numbers.data(), kBlockSize); }
      volume.device().load_image(image);
      volume.mount();
      EXPECT_EQ(volume.volume().inodes().iget(ino).error(), Errc::kCorrupted);
      EXPECT_FALSE(take_corruption_messages().empty());
      volume.unmount(/*sound=*/false);
    });
  }
}

}  // namespace
}  // namespace daxfs::ext4
