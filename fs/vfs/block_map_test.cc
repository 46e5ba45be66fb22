// fs/vfs/block_map_test.cc - files without extents: what calls answer, and what the medium holds afterwards.
//
// Images of `mke2fs -O ^extent`; each test ends with e2fsck and the image checker.
#include <gtest/gtest.h>

#include <string>

#include "fs/ext4/indirect.h"
#include "fs/vfs/test_world.h"

namespace daxfs::vfs {
namespace {

using namespace testing;

WorldOptions without_extents(const char* mount) {
  return {.mke2fs = "-O ^has_journal,^extent,^64bit", .mount = mount};
}

constexpr int64_t kInDouble = int64_t{ext4::kDirectBlocks + ext4::kMapNodeSlots + 5} * 4096;
constexpr int64_t kInTriple = kInDouble + int64_t{ext4::kMapNodeSlots} * ext4::kMapNodeSlots * 4096;

TEST(BlockMap, BytesComeBackFromEveryPartOfTheMap) {
  for (const char* mount : {"dax=always", "dax=never", "dax=never,dioread_nolock"}) {
    in_world(without_extents(mount), [](World& w) {
      const int fd = w.open("f");
      const int64_t places[] = {0, 11 * 4096, 12 * 4096 + 7, kInDouble, kInTriple};
      int value = 1;
      for (const int64_t at : places) { EXPECT_EQ(w.pwrite(fd, 5000, at, value++), 5000); }
      value = 1;
      for (const int64_t at : places) {
        EXPECT_EQ(w.at(fd, at), value) << at;
        EXPECT_EQ(w.at(fd, at + 4999), at == places[1] ? value + 1 : value) << at;
        ++value;
      }
      EXPECT_EQ(w.at(fd, kInTriple - 1), 0);
      EXPECT_EQ(*w.seek(fd, 5 * 4096, kSeekData), 11 * 4096);
      EXPECT_EQ(*w.seek(fd, kInDouble, kSeekHole), kInDouble + 2 * 4096);
      EXPECT_EQ(*w.seek(fd, kInDouble + 2 * 4096, kSeekData), kInTriple);
      w.remount();
      const int again = w.open("f");
      EXPECT_EQ(w.at(again, kInTriple + 4999), 5);
      EXPECT_TRUE(w.p->ftruncate(again, 4096).ok());
      EXPECT_EQ(w.sectors(again), 8u);
      w.p->close(again).ignore_error("open");
      EXPECT_TRUE(w.p->unlink("f").ok());
    });
  }
}

TEST(BlockMap, NothingIsAllocatedAheadButHolesArePunched) {
  for (const char* mount : {"dax=always", "dax=never"}) {
    in_world(without_extents(mount), [](World& w) {
      const int fd = w.open("f");
      EXPECT_EQ(w.pwrite(fd, 16 * k4K, 0, 7), static_cast<int64_t>(16 * k4K));
      for (const uint32_t mode : {0U, ext4::kFallocKeepSize, ext4::kFallocZeroRange, ext4::kFallocCollapseRange,
                                  ext4::kFallocInsertRange}) {
        EXPECT_EQ(w.fallocate(fd, mode, 4096, 4096), Errc::kOpNotSupp) << mode;
      }
      // Before anything else is asked of these two.
      EXPECT_EQ(w.fallocate(fd, ext4::kFallocCollapseRange, 1, 1), Errc::kOpNotSupp);
      EXPECT_EQ(w.fallocate(fd, ext4::kFallocInsertRange, 1, 1), Errc::kOpNotSupp);
      EXPECT_EQ(w.fallocate(fd, kPunch, 5000, 12 * 4096), Errc::kOk);
      EXPECT_EQ(w.layout(fd, 16), "ww...........www");
      EXPECT_EQ(w.at(fd, 4999), 7);
      EXPECT_EQ(w.at(fd, 5000), 0);
      EXPECT_EQ(w.sectors(fd), (5 + 1) * 8u);
      // The indirect block goes with the last block that it names.
      EXPECT_EQ(w.fallocate(fd, kPunch, 12 * 4096, 4 * 4096), Errc::kOk);
      EXPECT_EQ(w.sectors(fd), 2 * 8u);
    });
  }
}

TEST(BlockMap, AFileEndsWhereItsMapEnds) {
  in_world(without_extents("dax=always"), [](World& w) {
    const int fd = w.open("f");
    const auto end = static_cast<int64_t>(ext4::block_map_max_bytes(/*huge_file=*/true));
    EXPECT_EQ(w.p->ftruncate(fd, end + 1).error(), Errc::kFBig);
    EXPECT_EQ(w.pwrite(fd, 10, end, 1), -static_cast<int64_t>(Errc::kFBig));
    EXPECT_EQ(w.seek(fd, end + 1, kSeekSet).error(), Errc::kInval);
    EXPECT_EQ(*w.seek(fd, end, kSeekSet), end);
    EXPECT_EQ(w.p->fiemap(fd, static_cast<uint64_t>(end) + 1, 4096).error(), Errc::kFBig);
    EXPECT_TRUE(w.p->fiemap(fd, static_cast<uint64_t>(end), 4096)->empty());
    EXPECT_EQ(w.pwrite(fd, 10, end - 4, 1), 4);
    EXPECT_EQ(w.size(fd), static_cast<uint64_t>(end));
    EXPECT_EQ(w.at(fd, end - 1), 1);
    EXPECT_TRUE(w.p->ftruncate(fd, end).ok());
  });
}

// A direct write may not fill a hole inside the file: there is no unwritten block that hides what was there before.
TEST(BlockMap, ADirectWriteIntoAHoleGoesThroughTheCache) {
  for (const char* mount : {"dax=never", "dax=never,dioread_nolock"}) {
    in_world(without_extents(mount), [](World& w) {
      const int fd = w.open("f", kRwCreate | kOpenDirect);
      const int reader = w.open("f");
      EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 1), static_cast<int64_t>(2 * k4K));  // behind the end: directly
      EXPECT_TRUE(w.p->ftruncate(fd, 8 * 4096).ok());
      EXPECT_EQ(w.pwrite(fd, 4 * k4K, 4096, 2), static_cast<int64_t>(4 * k4K));  // one block directly, three not
      EXPECT_EQ(w.layout(fd, 8), "wwwww...");
      EXPECT_EQ(w.at(reader, 4095), 1);
      EXPECT_EQ(w.at(reader, 4096), 2);
      EXPECT_EQ(w.at(reader, 5 * 4096 - 1), 2);
      EXPECT_EQ(w.at(reader, 5 * 4096), 0);
      EXPECT_EQ(w.pwrite(fd, 4 * k4K, 6 * 4096, 3), static_cast<int64_t>(4 * k4K));  // a hole, and behind the end
      EXPECT_EQ(w.size(fd), 10 * k4K);
      EXPECT_EQ(w.at(reader, 10 * 4096 - 1), 3);
    });
  }
}

TEST(BlockMap, MappingsFillHoles) {
  for (const char* mount : {"dax=always", "dax=never"}) {
    in_world(without_extents(mount), [](World& w) {
      const int fd = w.open("f");
      EXPECT_TRUE(w.p->ftruncate(fd, 64 * 4096).ok());
      const VirtAddr address = w.map(fd, 64 * k4K);
      EXPECT_EQ(w.peek(address + 13 * k4K), 0);
      EXPECT_EQ(w.poke(address + 13 * k4K, 9), mm::Signal::kNone);
      EXPECT_EQ(w.poke(address + 3 * k4K, 8), mm::Signal::kNone);
      EXPECT_TRUE(w.p->fsync(fd).ok());
      EXPECT_EQ(w.layout(fd, 16), "...w.........w..");
      EXPECT_EQ(w.at(fd, 13 * 4096), 9);
      EXPECT_EQ(w.at(fd, 13 * 4096 + 1), 0);
      EXPECT_EQ(w.fallocate(fd, kPunch, 0, 64 * 4096), Errc::kOk);
      EXPECT_EQ(w.peek(address + 13 * k4K), 0);
    });
  }
}

TEST(BlockMap, DirectoriesAndLinksHaveMaps) {
  in_world(without_extents("dax=always"), [](World& w) {
    EXPECT_TRUE(w.p->mkdir("d").ok());
    const std::string stem(200, 'n');
    for (int i = 0; i < 40; ++i) { w.p->close(w.open("d/" + stem + std::to_string(i))).ignore_error("just opened"); }
    const std::string target(100, 't');
    EXPECT_TRUE(w.p->symlink(target, "slow").ok());
    EXPECT_TRUE(w.p->symlink("short", "fast").ok());
    w.remount();
    EXPECT_EQ(*w.p->readlink("slow"), target);
    EXPECT_EQ(*w.p->readlink("fast"), "short");
    for (int i = 0; i < 40; ++i) { EXPECT_TRUE(w.p->unlink("d/" + stem + std::to_string(i)).ok()); }
    EXPECT_TRUE(w.p->rmdir("d").ok());
    EXPECT_TRUE(w.p->unlink("slow").ok());
    EXPECT_TRUE(w.p->unlink("fast").ok());
  });
}

}  // namespace
}  // namespace daxfs::vfs
