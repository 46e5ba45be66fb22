// fs/ext4/truncate_test.cc - changes of size; eviction.
#include "fs/ext4/truncate.h"

#include "fs/ext4/file_test_world.h"
#include "fs/rt/clock.h"

namespace daxfs::ext4 {
namespace {

using testing::FileWorld;
using testing::in_file_world;
using testing::TestFile;

TEST(Truncate, ShrinkingZeroesTheTailAndFreesBlocks) {
  in_file_world([](FileWorld& w) {
    const uint64_t free_before = w.volume->statfs().blocks_free;
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 8 * kPageSize, 0x31).ok());
    EXPECT_TRUE(w.truncate(f, kPageSize + 10).ok());
    EXPECT_EQ(w.blocks(f, 8), "ww......");
    EXPECT_EQ(f->i_disksize(), kPageSize + 10);
    EXPECT_TRUE(w.truncate(f, 3 * kPageSize).ok());
    EXPECT_EQ(w.at(f, kPageSize + 9), 0x31);
    EXPECT_EQ(w.at(f, kPageSize + 10), 0);
    EXPECT_TRUE(w.truncate(f, 0).ok());
    EXPECT_EQ(f->sectors(), 0u);
    EXPECT_EQ(w.volume->statfs().blocks_free, free_before);
  });
}

// kernel-semantics.md: bytes stored past EOF in the last page stay and become visible; shrinking
// zeroes them.
TEST(Truncate, GrowingShowsBytesStoredBehindEof) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 100, 1).ok());
    const VirtAddr a = w.map(w.p0, f, 2);
    EXPECT_EQ(w.poke(w.p0, a + 200, 0x77), mm::Signal::kNone);
    EXPECT_EQ(w.poke(w.p0, a + kPageSize, 0x77), mm::Signal::kBusAdrerr);
    EXPECT_TRUE(w.truncate(f, 300).ok());
    EXPECT_EQ(w.at(f, 200), 0x77);
    EXPECT_TRUE(w.truncate(f, 150).ok());
    EXPECT_TRUE(w.truncate(f, 300).ok());
    EXPECT_EQ(w.at(f, 200), 0);
  });
}

TEST(Truncate, ToTheSameSizeFreesBlocksBehindEofAndChangesTheTimes) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 100, 1).ok());
    EXPECT_TRUE(fallocate(*f, kFallocKeepSize, 0, 20000).ok());
    EXPECT_EQ(f->sectors(), 40u);
    EXPECT_EQ(f->i_size(), 100u);
    const TimeSpec before = f->attributes().mtime;
    rt::clock_advance(1000000);
    EXPECT_TRUE(w.truncate(f, 200).ok());  // up: keeps them
    EXPECT_EQ(f->sectors(), 40u);
    EXPECT_GT(f->attributes().mtime, before);
    EXPECT_TRUE(w.truncate(f, 200).ok());
    EXPECT_EQ(f->sectors(), 8u);
  });
}

TEST(Truncate, TakesTheTailOutOfEveryMapping) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 4 * kPageSize, 0x11).ok());
    const VirtAddr a = w.map(w.p0, f, 4);
    const VirtAddr b = w.map(w.p1, f, 4, mm::kMapPrivate);
    EXPECT_EQ(w.poke(w.p1, b + 2 * kPageSize, 0x22), mm::Signal::kNone);
    EXPECT_EQ(w.peek(w.p0, a + 3 * kPageSize), 0x11);
    EXPECT_TRUE(w.truncate(f, kPageSize).ok());
    EXPECT_EQ(w.peek(w.p0, a), 0x11);
    EXPECT_EQ(w.peek(w.p0, a + 3 * kPageSize), -1);
    EXPECT_EQ(w.peek(w.p1, b + 2 * kPageSize), -1);
  });
}

TEST(Evict, OfAnUnlinkedOpenFileFreesItsBlocksWithTheLastUser) {
  in_file_world([](FileWorld& w) {
    const uint64_t free_before = w.volume->statfs().blocks_free;
    {
      const TestFile f = w.open("f");
      EXPECT_TRUE(w.fill(f, 0, 5 * kPageSize, 0x11).ok());
      const VirtAddr a = w.map(w.p0, f, 2);
      w.poke(w.p0, a, 1);
      w.remove("f");
      EXPECT_EQ(w.at(f, 1), 0x11);
      EXPECT_LT(w.volume->statfs().blocks_free, free_before);
      w.p0.exit_mmap();
    }
    EXPECT_EQ(w.volume->statfs().blocks_free, free_before);
  });
}

}  // namespace
}  // namespace daxfs::ext4
