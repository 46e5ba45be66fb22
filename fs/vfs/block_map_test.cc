// fs/vfs/block_map_test.cc - files without extents: what calls answer, and what the medium holds afterwards.
//
// Images of `mke2fs -O ^extent`; each test ends with e2fsck and the image checker.
#include <string>

#include <gtest/gtest.h>

#include "fs/ext4/indirect.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/test_world.h"

namespace daxfs::vfs {
namespace {

using namespace testing;

WorldOptions without_extents(const char* mount) { return {.mke2fs = "-O ^has_journal,^extent,^64bit", .mount = mount}; }

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
      for (const uint32_t mode :
           {0U, ext4::kFallocKeepSize, ext4::kFallocZeroRange, ext4::kFallocCollapseRange, ext4::kFallocInsertRange}) {
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

TEST(ChangeOfFormat, AFileKeepsItsBytes) {
  for (const char* mount : {"dax=always", "dax=never"}) {
    in_world({.mount = mount}, [](World& w) {
      const int fd = w.open("f");
      EXPECT_EQ(w.pwrite(fd, 3 * k4K, 4096, 7), static_cast<int64_t>(3 * k4K));
      EXPECT_TRUE(w.p->setflags(fd, 0).ok());
      EXPECT_EQ(w.stat(fd).flags & kFsExtents, 0u);
      EXPECT_EQ(w.layout(fd, 6), ".www..");
      EXPECT_EQ(w.sectors(fd), 3 * 8u);
      EXPECT_EQ(w.fallocate(fd, 0, 0, 4096), Errc::kOpNotSupp);
      EXPECT_EQ(w.pwrite(fd, 2 * k4K, 11 * 4096, 8), static_cast<int64_t>(2 * k4K));
      EXPECT_TRUE(w.p->fsync(fd).ok());
      EXPECT_EQ(w.sectors(fd), 6 * 8u);
      EXPECT_TRUE(w.p->setflags(fd, kFsExtents).ok());
      EXPECT_EQ(w.sectors(fd), 5 * 8u);
      EXPECT_EQ(w.layout(fd, 14), ".www.......ww.");
      EXPECT_EQ(w.at(fd, 4096), 7);
      EXPECT_EQ(w.at(fd, 13 * 4096 - 1), 8);
      EXPECT_EQ(w.fallocate(fd, 0, 0, 4096), Errc::kOk);
      EXPECT_TRUE(w.p->setflags(fd, kFsExtents).ok());  // as it is
      w.remount();
      EXPECT_EQ(w.at(w.open("f"), 13 * 4096 - 1), 8);
    });
  }
}

TEST(ChangeOfFormat, OnlyWhatFitsTheInodeLosesItsExtents) {
  in_world([](World& w) {
    const int empty = w.open("empty");
    EXPECT_TRUE(w.p->setflags(empty, 0).ok());
    const int unwritten = w.open("unwritten");
    EXPECT_EQ(w.fallocate(unwritten, 0, 0, 4096), Errc::kOk);
    EXPECT_EQ(w.p->setflags(unwritten, 0).error(), Errc::kOpNotSupp);
    const int two = w.open("two");
    EXPECT_EQ(w.pwrite(two, 1, 0, 1) + w.pwrite(two, 1, 8192, 1), 2);
    EXPECT_EQ(w.p->setflags(two, kFsDax).error(), Errc::kOpNotSupp);
    EXPECT_NE(w.stat(two).flags & kFsDax, 0u);  // the other flags had been set by then
    const int far = w.open("far");
    EXPECT_EQ(w.pwrite(far, 1, 12 * 4096, 1), 1);
    EXPECT_EQ(w.p->setflags(far, 0).error(), Errc::kOpNotSupp);
    EXPECT_EQ(w.p->setflags(far, kFsExtents | 0x80000000).error(), Errc::kOpNotSupp);
    const int vast = w.open("vast");
    EXPECT_TRUE(w.p->ftruncate(vast, int64_t{1} << 43).ok());
    EXPECT_EQ(w.p->setflags(vast, 0).error(), Errc::kOpNotSupp);
    const int directory = w.open(".", kReadOnly | kOpenDirectory);
    EXPECT_TRUE(w.p->setflags(directory, 0).ok());
    EXPECT_EQ(w.at(w.open("far", kRw), 12 * 4096), 1);
    EXPECT_TRUE(w.p->setflags(directory, kFsExtents).ok());
  });
  in_world(without_extents("dax=always"), [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.p->setflags(fd, kFsExtents).error(), Errc::kInval);
    EXPECT_TRUE(w.p->setflags(fd, kFsAppend).ok());
    EXPECT_TRUE(w.p->setflags(fd, 0).ok());
  });
}

// A delayed block is allocated and written first; a dirty page over an unwritten block is not, as Linux 6.1 answered.
TEST(ChangeOfFormat, WaitsForDelayedBlocksOnly) {
  in_world({.mount = "dax=never"}, [](World& w) {
    const int delayed = w.open("delayed");
    EXPECT_EQ(w.pwrite(delayed, 8192, 0, 1), 8192);
    EXPECT_TRUE(w.p->setflags(delayed, 0).ok());
    const int unwritten = w.open("unwritten");
    EXPECT_EQ(w.fallocate(unwritten, 0, 0, 4096), Errc::kOk);
    EXPECT_EQ(w.pwrite(unwritten, 4096, 0, 1), 4096);
    EXPECT_EQ(w.p->setflags(unwritten, 0).error(), Errc::kOpNotSupp);
    EXPECT_TRUE(w.p->fsync(unwritten).ok());
    EXPECT_TRUE(w.p->setflags(unwritten, 0).ok());
  });
}

// More runs than a root has room for, and a mapping that stays.
TEST(ChangeOfFormat, ManyRunsBecomeATree) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_TRUE(w.p->setflags(fd, 0).ok());
    for (int64_t block = 0; block < 800; block += 2) { EXPECT_EQ(w.pwrite(fd, 10, block * 4096, 1 + block % 200), 10); }
    EXPECT_EQ(w.pwrite(fd, 10, kInTriple, 5), 10);
    const VirtAddr address = w.map(fd, 800 * k4K);
    EXPECT_EQ(w.peek(address + 40 * k4K), 41);
    EXPECT_EQ(w.sectors(fd), (401 + 1 + 3) * 8u);
    EXPECT_TRUE(w.p->setflags(fd, kFsExtents).ok());
    EXPECT_EQ(w.sectors(fd), (401 + 2) * 8u);
    for (int64_t block = 0; block < 800; block += 2) { EXPECT_EQ(w.at(fd, block * 4096), 1 + block % 200); }
    EXPECT_EQ(w.at(fd, kInTriple + 9), 5);
    EXPECT_EQ(w.peek(address + 42 * k4K), 43);
  });
}

// Whichever allocation fails, the file has one format or the other, and all its bytes.
TEST(ChangeOfFormat, WithoutRoomForTheTreeTheFileStaysAsItIs) {
  int refused = 0;
  for (int failing = 1; failing <= 12; ++failing) {
    const std::string mount = "dax=always,fail_alloc=" + std::to_string(failing);
    in_world({.mount = mount}, [&](World& w) {
      const int fd = w.open("f");
      EXPECT_TRUE(w.p->setflags(fd, 0).ok());
      for (int64_t block = 0; block < 12; block += 2) { (void)w.pwrite(fd, 10, block * 4096, 9); }
      const std::string before = w.layout(fd, 12);
      const uint64_t sectors = w.sectors(fd);
      const Status changed = w.p->setflags(fd, kFsExtents);
      refused += changed.error() == Errc::kNoSpc ? 1 : 0;
      EXPECT_EQ((w.stat(fd).flags & kFsExtents) != 0, changed.ok());
      EXPECT_EQ(w.layout(fd, 12), before);
      if (!changed.ok()) { EXPECT_EQ(w.sectors(fd), sectors); }
    });
  }
  EXPECT_EQ(refused, 1);
}

}  // namespace
}  // namespace daxfs::vfs
