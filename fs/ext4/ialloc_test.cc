// fs/ext4/ialloc_test.cc - inode numbers: order, spread, exhaustion, exact counters. IA1, GR1.
#include "fs/ext4/ialloc.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "fs/ext4/volume_test.h"

namespace daxfs::ext4 {
namespace {

using testing::MountedVolume;

// Gives an allocated number a valid, unconnected-but-consistent life: none. Tests free what they allocate.
TEST(InodeAllocator, HandsOutTheFirstFreeNumberOfTheParentsGroupAndReusesIt) {
  MountedVolume fs(2048);
  const uint64_t free_before = fs.volume->statfs().files_free;
  const Ino first = fs.create().value();
  const Ino second = fs.create().value();
  EXPECT_EQ(first, Ino(12));  // 11 is lost+found
  EXPECT_EQ(second, Ino(13));
  EXPECT_EQ(fs.volume->statfs().files_free, free_before - 2);
  EXPECT_TRUE(inode_in_use(*fs.volume, first).value());
  EXPECT_TRUE(fs.remove(first).ok());
  EXPECT_FALSE(inode_in_use(*fs.volume, first).value());
  EXPECT_EQ(fs.create().value(), first);
  EXPECT_TRUE(fs.remove(first).ok());
  EXPECT_TRUE(fs.remove(second).ok());
  EXPECT_EQ(fs.volume->statfs().files_free, free_before);
}

TEST(InodeAllocator, SpreadsTopLevelDirectoriesAndKeepsFilesWithTheirParent) {
  MountedVolume fs(4000, "-g 512 -G 1 -O ^has_journal -N 512");
  std::set<uint32_t> groups;
  std::vector<Ino> dirs;
  for (int i = 0; i < 4; ++i) {
    dirs.push_back(fs.create(true).value());
    groups.insert(fs.volume->geometry().group_of(dirs.back()));
  }
  // Groups with a copy of the superblock have less than average room.
  EXPECT_EQ(groups, (std::set<uint32_t>{2, 4, 6}));
  const Ino file = fs.create(false, dirs[2]).value();
  EXPECT_EQ(fs.volume->geometry().group_of(file), fs.volume->geometry().group_of(dirs[2]));
  EXPECT_TRUE(fs.remove(file).ok());
  for (Ino dir : dirs) { EXPECT_TRUE(fs.remove(dir, true).ok()); }
}

TEST(InodeAllocator, UsesEveryInodeOnceAndThenReportsNoSpace) {
  for (const char* arguments : {"-N 128", "-g 512 -G 4 -N 256 -O ^has_journal", "-N 64 -O ^metadata_csum,uninit_bg"}) {
    MountedVolume fs(2000, arguments);
    const uint64_t free = fs.volume->statfs().files_free;
    std::set<uint32_t> numbers;
    for (;;) {
      const Result<Ino> ino = fs.create();
      if (!ino.ok()) {
        EXPECT_EQ(ino.error(), Errc::kNoSpc);
        break;
      }
      EXPECT_GE(ino->value(), 11u);
      EXPECT_TRUE(numbers.insert(ino->value()).second);
    }
    EXPECT_EQ(numbers.size(), free);
    EXPECT_EQ(fs.volume->statfs().files_free, 0u);
    for (uint32_t number : numbers) { EXPECT_TRUE(fs.remove(Ino(number)).ok()); }
  }
}

TEST(InodeAllocator, RefusesToFreeWhatIsFreeOrReserved) {
  MountedVolume fs(2048);
  EXPECT_EQ(fs.remove(Ino(12)).error(), Errc::kCorrupted);
  EXPECT_EQ(fs.remove(Ino(2)).error(), Errc::kCorrupted);
  EXPECT_EQ(fs.remove(Ino(0)).error(), Errc::kCorrupted);
  EXPECT_EQ(fs.remove(Ino(~0u)).error(), Errc::kCorrupted);
  EXPECT_EQ(take_corruption_messages().size(), 4u);
}

TEST(InodeAllocator, GenerationsDifferAndRepeatFromRunToRun) {
  std::vector<uint32_t> first;
  for (int run = 0; run < 2; ++run) {
    MountedVolume fs(512);
    std::vector<uint32_t> generations{fs.volume->next_generation(), fs.volume->next_generation()};
    fs.remount();
    generations.push_back(fs.volume->next_generation());
    EXPECT_EQ(std::set<uint32_t>(generations.begin(), generations.end()).size(), 3u);
    if (run == 0) { first = generations; }
    EXPECT_EQ(generations, first);
  }
}

}  // namespace
}  // namespace daxfs::ext4
