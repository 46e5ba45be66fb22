// fs/ext4/balloc_test.cc - block allocation: contiguous, aligned, bounded, exact counters. GR1, GR2, BA1, BA2.
#include "fs/ext4/balloc.h"

#include <cstring>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "fs/ext4/bitmap.h"
#include "fs/ext4/volume_test.h"
#include "fs/rt/testing.h"

namespace daxfs::ext4 {
namespace {

using testing::MountedVolume;

TEST(Bitmap, FindsSetAndClearBitsLikeASlowLoop) {
  std::vector<std::byte> bytes(kBlockSize);
  std::mt19937 random(7);
  for (std::byte& b : bytes) { b = random() % 3 == 0 ? static_cast<std::byte>(random()) : std::byte{0}; }
  const auto block = jbd2::ConstBlockBytes(bytes.data(), kBlockSize);
  const Bitmap bitmap(block);
  const auto slow = [&](uint32_t bit) { return (static_cast<unsigned>(bytes[bit / 8]) >> (bit % 8) & 1) != 0; };
  for (int i = 0; i < 2000; ++i) {
    uint32_t begin = random() % Bitmap::kBits;
    const uint32_t end = begin + random() % (Bitmap::kBits - begin + 1);
    uint32_t set = begin;
    while (set < end && !slow(set)) { ++set; }
    EXPECT_EQ(bitmap.find_set(begin, end), set);
    uint32_t clear = begin;
    while (clear < end && slow(clear)) { ++clear; }
    EXPECT_EQ(bitmap.find_clear(begin, end), clear);
  }
  uint32_t clear = 0;
  for (uint32_t bit = 0; bit < 1001; ++bit) { clear += slow(bit) ? 0 : 1; }
  EXPECT_EQ(bitmap.count_clear(1001), clear);
}

TEST(Bitmap, SetsAndClearsRanges) {
  std::vector<std::byte> bytes(kBlockSize);
  MutableBitmap bitmap(jbd2::BlockBytes(bytes.data(), kBlockSize));
  bitmap.set(3, 45);
  EXPECT_EQ(bitmap.view().find_set(0, 100), 3u);
  EXPECT_EQ(bitmap.view().find_clear(3, 100), 45u);
  bitmap.clear(10, 11);
  EXPECT_EQ(bitmap.view().find_clear(3, 100), 10u);
  EXPECT_EQ(bitmap.view().count_clear(100), 100u - 41u);
  bitmap.set(0, Bitmap::kBits);
  EXPECT_FALSE(bitmap.view().any_clear(0, Bitmap::kBits));
}

TEST(BlockAllocator, ReturnsAContiguousRunAtTheGoalAndTakesItBack) {
  MountedVolume fs(2048, "-O ^has_journal");
  const uint64_t free_before = fs.volume->blocks_free();
  const BlockRun run = fs.allocate(100, FsBlock(1000)).value();
  EXPECT_EQ(run.first, FsBlock(1000));
  EXPECT_EQ(run.count, 100u);
  EXPECT_EQ(fs.volume->blocks_free(), free_before - 100);
  EXPECT_EQ(fs.volume->statfs().blocks_free, free_before - 100);
  EXPECT_TRUE(fs.free(run.first, run.count).ok());
  EXPECT_EQ(fs.volume->blocks_free(), free_before);
}

TEST(BlockAllocator, PrefersAWholeRunElsewhereToAPartAtTheGoal) {
  MountedVolume fs(2048, "-O ^has_journal");
  const BlockRun wall = fs.allocate(10, FsBlock(1010)).value();
  ASSERT_EQ(wall.first, FsBlock(1010));
  const BlockRun run = fs.allocate(20, FsBlock(1000)).value();
  EXPECT_EQ(run.first, FsBlock(1020));
  EXPECT_EQ(run.count, 20u);
  EXPECT_TRUE(fs.free(run.first, run.count).ok());
  EXPECT_TRUE(fs.free(wall.first, wall.count).ok());
}

TEST(BlockAllocator, AlignsLargeRequestsToAPmdWhereItCan) {
  MountedVolume fs(4096, "-O ^has_journal");
  const BlockRun first = fs.allocate(512, FsBlock(700), kAllocAlignPmd).value();
  EXPECT_EQ(first.first.value() % 512, 0u);
  EXPECT_EQ(first.count, 512u);
  const BlockRun second = fs.allocate(1024, first.end(), kAllocAlignPmd).value();
  EXPECT_EQ(second.first.value() % 512, 0u);
  EXPECT_EQ(second.count, 1024u);
  // Small requests are not moved.
  const BlockRun small = fs.allocate(4, FsBlock(3001), kAllocAlignPmd).value();
  EXPECT_EQ(small.first, FsBlock(3001));
  for (const BlockRun& run : {first, second, small}) { EXPECT_TRUE(fs.free(run.first, run.count).ok()); }
}

TEST(BlockAllocator, FallsBackToUnalignedWhenNoUnitIsFree) {
  MountedVolume fs(1100);
  // A block in each 2 MiB unit.
  const BlockRun a = fs.allocate(1, FsBlock(600)).value();
  const BlockRun b = fs.allocate(1, FsBlock(1030)).value();
  const BlockRun run = fs.allocate(512, FsBlock(0), kAllocAlignPmd).value();
  EXPECT_GT(run.count, 0u);
  EXPECT_LT(run.count, 512u);
  for (const BlockRun& each : {a, b, run}) { EXPECT_TRUE(fs.free(each.first, each.count).ok()); }
}

TEST(BlockAllocator, ExactRequestsGetAllOrNothing) {
  MountedVolume fs(512);
  const uint64_t free = fs.volume->blocks_free();
  EXPECT_EQ(fs.allocate(static_cast<uint32_t>(free) + 1, FsBlock(0), kAllocExact).error(), Errc::kNoSpc);
  EXPECT_EQ(fs.volume->blocks_free(), free);
}

// Until nothing is left; the blocks kept back go only to who may take them. Metadata is never handed out.
TEST(BlockAllocator, FillsTheVolumeToTheLastBlockWithoutOverlap) {
  for (const char* arguments : {"", "-O ^has_journal", "-g 256 -O ^has_journal,^resize_inode",
                                "-O ^metadata_csum,^64bit", "-O ^metadata_csum,uninit_bg", "-g 512 -G 4"}) {
    MountedVolume fs(2000, arguments);
    const uint64_t free = fs.volume->blocks_free();
    std::set<uint64_t> taken;
    uint64_t total = 0;
    std::vector<BlockRun> runs;
    for (unsigned flags : {0u, kAllocUseReserved}) {
      for (uint32_t want = 1;; want = want * 3 % 97 + 1) {
        const Result<BlockRun> run = fs.allocate(want, FsBlock(want * 31), flags);
        if (!run.ok()) {
          EXPECT_EQ(run.error(), Errc::kNoSpc);
          break;
        }
        EXPECT_FALSE(fs.volume->groups().overlaps_system_zone(run->first, run->count));
        for (uint32_t i = 0; i < run->count; ++i) { EXPECT_TRUE(taken.insert(run->first.value() + i).second); }
        runs.push_back(*run);
        total += run->count;
      }
      if (flags == 0) { EXPECT_EQ(total, free - 2000 / 50); }
    }
    EXPECT_EQ(total, free) << arguments;
    EXPECT_EQ(fs.volume->statfs().blocks_free, 0u);
    EXPECT_EQ(fs.volume->statfs().blocks_available, 0u);
    for (const BlockRun& run : runs) { EXPECT_TRUE(fs.free(run.first, run.count).ok()); }
    EXPECT_EQ(fs.volume->blocks_free(), free);
  }
}

TEST(BlockAllocator, FreesARunThatSpansGroups) {
  MountedVolume fs(2000, "-g 256 -G 16 -O ^has_journal");
  std::vector<BlockRun> runs;
  for (;;) {
    const Result<BlockRun> run = fs.allocate(256);
    if (!run.ok()) { break; }
    runs.push_back(*run);
  }
  // With flex_bg whole groups hold no metadata: join what lies side by side.
  std::sort(runs.begin(), runs.end(), [](const BlockRun& a, const BlockRun& b) { return a.first < b.first; });
  bool spanned = false;
  for (size_t i = 0; i < runs.size();) {
    BlockRun run = runs[i++];
    while (i < runs.size() && runs[i].first == run.end()) { run.count += runs[i++].count; }
    spanned = spanned || run.first.value() / 256 != (run.end().value() - 1) / 256;
    EXPECT_TRUE(fs.free(run.first, run.count).ok());
  }
  EXPECT_TRUE(spanned);
}

TEST(BlockAllocator, RefusesToFreeWhatIsFreeOrMetadataOrOutside) {
  MountedVolume fs(2048);
  const uint64_t free = fs.volume->blocks_free();
  EXPECT_EQ(fs.free(FsBlock(1500), 1).error(), Errc::kCorrupted);
  EXPECT_EQ(fs.free(FsBlock(0), 1).error(), Errc::kCorrupted);
  EXPECT_EQ(fs.free(fs.volume->groups()[0].block_bitmap, 1).error(), Errc::kCorrupted);
  EXPECT_EQ(fs.free(FsBlock(2047), 2).error(), Errc::kCorrupted);
  EXPECT_EQ(fs.free(FsBlock(~0ull), 1).error(), Errc::kCorrupted);
  const BlockRun run = fs.allocate(2, FsBlock(1500)).value();
  EXPECT_EQ(fs.free(run.first, 3).error(), Errc::kCorrupted);
  EXPECT_TRUE(fs.free(run.first, 2).ok());
  EXPECT_EQ(fs.volume->blocks_free(), free);
  EXPECT_EQ(take_corruption_messages().size(), 6u);
}

// O15: whoever still uses a freed block by its number meets a mark.
TEST(BlockAllocator, TellsTheDeviceWhichBlocksAreFree) {
  MountedVolume fs(2048, "-O ^has_journal");
  fs.device->watch_freed(true);
  const BlockRun run = fs.allocate(4, FsBlock(1000)).value();
  const auto freed = [&](FsBlock block) { return fs.device->freed(block.value() * kBlockSize, kBlockSize); };
  EXPECT_FALSE(freed(run.first));
  EXPECT_TRUE(fs.free(run.first, 3).ok());
  EXPECT_TRUE(freed(run.first));
  EXPECT_TRUE(freed(run.first + 2));
  EXPECT_FALSE(freed(run.first + 3));
  EXPECT_EQ(fs.allocate(1, run.first).value().first, run.first);
  EXPECT_FALSE(freed(run.first));
  EXPECT_TRUE(fs.free(run.first, 1).ok());
  EXPECT_TRUE(fs.free(run.first + 3, 1).ok());
}

TEST(BlockAllocator, PoisonsFreedBlocksIfAsked) {
  MountOptions options;
  options.poison_freed = true;
  MountedVolume fs(512, "", options);
  const BlockRun run = fs.allocate(2).value();
  ASSERT_TRUE(fs.device->store_value(run.first.value() * kBlockSize, uint64_t{42}).ok());
  EXPECT_TRUE(fs.free(run.first, 2).ok());
  EXPECT_EQ(fs.device->data()[run.first.value() * kBlockSize], std::byte{kStaleByte});
  EXPECT_EQ(fs.device->data()[run.end().value() * kBlockSize - 1], std::byte{kStaleByte});
}

// Switches tasks at random points.
class RandomPolicy final : public rt::Policy {
 public:
  explicit RandomPolicy(uint32_t seed) : random_(seed) {}
  uint64_t budget(const rt::SchedView&) override { return 1 + random_() % 40; }
  rt::TaskId preempt(const rt::SchedView& view) override { return view.runnable[random_() % view.runnable.size()]; }
  rt::TaskId choose(const rt::SchedView& view) override { return preempt(view); }

 private:
  std::mt19937 random_;
};

// Tasks allocate and free blocks and inodes side by side: nobody gets what another holds, the image stays clean.
TEST(BlockAllocator, ConcurrentTasksNeverShareABlockAndLeaveExactCounters) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    auto device = testing::load_device(testing::make_image(700, "-g 256 -G 2 -O ^has_journal"));
    RandomPolicy policy(seed);
    const rt::RunOutcome outcome = rt::run_lambda(
        [&] {
          auto volume = Volume::mount_with(*device, nullptr, {}, nullptr, nullptr).value();
          const uint64_t free = volume->blocks_free();
          std::vector<int> owner(700, -1);
          for (int task = 0; task < 4; ++task) {
            rt::spawn("allocator", [&, task] {
              std::mt19937 random(seed * 4 + static_cast<uint32_t>(task));
              for (int round = 0; round < 12; ++round) {
                jbd2::Handle handle = jbd2::start(volume->journal(), 8).value();
                const auto want = static_cast<uint32_t>(1 + random() % 200);
                const Result<BlockRun> run = allocate_blocks(*volume, handle, {FsBlock(random() % 700), want, 0});
                const Result<Ino> ino = allocate_inode(*volume, handle, Ino(kRootIno), false);
                for (uint32_t i = 0; run.ok() && i < run->count; ++i) {
                  int& holder = owner[run->first.value() + i];
                  EXPECT_EQ(holder, -1);
                  holder = task;
                }
                rt::yield();
                for (uint32_t i = 0; run.ok() && i < run->count; ++i) { owner[run->first.value() + i] = -1; }
                if (run.ok()) { EXPECT_TRUE(free_blocks(*volume, handle, run->first, run->count).ok()); }
                if (ino.ok()) { EXPECT_TRUE(free_inode(*volume, handle, *ino, false).ok()); }
                EXPECT_TRUE(handle.stop().ok());
              }
            });
          }
          rt::join_all_spawned();
          EXPECT_EQ(volume->blocks_free(), free);
          EXPECT_TRUE(volume->unmount().ok());
        },
        policy);
    ASSERT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
    EXPECT_EQ(testing::e2fsck(device->bytes()), "");
  }
}

// The bitmap says a group is freer than its descriptor does: nobody allocates from it.
TEST(BlockAllocator, RefusesABitmapThatDoesNotFitItsDescriptor) {
  auto device = testing::load_device(testing::make_image(512, "-O ^metadata_csum,^has_journal"));
  auto volume = Volume::mount_with(*device, nullptr, {}, nullptr, nullptr).value();
  const uint64_t bitmap = volume->groups()[0].block_bitmap.value() * kBlockSize;
  ASSERT_TRUE(device->store_value(bitmap, uint8_t{0}).ok());
  jbd2::Handle handle = jbd2::start(volume->journal(), 1).value();
  EXPECT_EQ(allocate_blocks(*volume, handle, {FsBlock(0), 1, 0}).error(), Errc::kCorrupted);
  EXPECT_TRUE(handle.stop().ok());
  EXPECT_EQ(take_corruption_messages().size(), 1u);
  EXPECT_TRUE(volume->unmount().ok());
}

}  // namespace
}  // namespace daxfs::ext4
