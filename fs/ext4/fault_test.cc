// fs/ext4/fault_test.cc - faults on real files: times, space, MAP_SYNC, fsync.
#include "fs/ext4/fault.h"

#include "fs/ext4/file_test_world.h"
#include "fs/rt/clock.h"

namespace daxfs::ext4 {
namespace {

using testing::FileWorld;
using testing::in_file_world;
using testing::TestFile;

// kernel-semantics.md: mtime changes at the first store after mapping and after msync, not later,
// not on load.
TEST(DaxFault, FirstStoreAfterMappingAndAfterSyncStampsMtime) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, kPageSize, 1).ok());
    const VirtAddr a = w.map(w.p0, f, 1);
    const auto mtime = [&] {
      rt::clock_advance(1000000);
      return f->attributes().mtime;
    };
    const TimeSpec start = mtime();
    w.peek(w.p0, a);
    EXPECT_EQ(mtime(), start);
    w.poke(w.p0, a, 2);
    const TimeSpec first = mtime();
    EXPECT_GT(first, start);
    w.poke(w.p0, a, 3);
    EXPECT_EQ(mtime(), first);
    EXPECT_TRUE(sync_file(*f, 0, kPageSize - 1, true).ok());
    EXPECT_EQ(mtime(), first);
    w.poke(w.p0, a, 4);
    EXPECT_GT(mtime(), first);
  });
}

TEST(DaxFault, WithoutSpaceIsSigbus) {
  in_file_world([](FileWorld& w) {
    const TestFile hog = w.open("hog");
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.truncate(f, kPageSize).ok());
    EXPECT_EQ(fallocate(*hog, 0, 0, 1000 * kPageSize), Status(Errc::kNoSpc));
    const VirtAddr a = w.map(w.p0, f, 1);
    EXPECT_EQ(w.peek(w.p0, a), 0);
    EXPECT_EQ(w.poke(w.p0, a, 1), mm::Signal::kBusAdrerr);
    EXPECT_TRUE(w.truncate(hog, 0).ok());
    EXPECT_EQ(w.poke(w.p0, a, 1), mm::Signal::kNone);
  });
}

TEST(DaxFault, OfASyncMappingMakesItsBlockDurableFirst) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.truncate(f, 2 * kPageSize).ok());
    const VirtAddr a = w.map(w.p0, f, 2, mm::kMapSharedValidate | mm::kMapSync);
    EXPECT_EQ(w.peek(w.p0, a), 0);
    EXPECT_EQ(w.poke(w.p0, a, 0x31), mm::Signal::kNone);
    EXPECT_EQ(w.at(f, 0), 0x31);
    EXPECT_TRUE(f->mapping().i_pages.get_mark(0, dax::kMarkDirty));
  });
}

TEST(Fsync, CleansPagesAndTheNextStoreFaultsAgain) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 2 * kPageSize, 1).ok());
    const VirtAddr a = w.map(w.p0, f, 2);
    w.poke(w.p0, a, 2);
    w.poke(w.p0, a + kPageSize, 2);
    EXPECT_TRUE(sync_file(*f, 0, 10, false).ok());
    EXPECT_FALSE(f->mapping().i_pages.get_mark(0, dax::kMarkDirty));
    EXPECT_TRUE(f->mapping().i_pages.get_mark(1, dax::kMarkDirty));
    const int faults = f.mapped->faults;
    w.poke(w.p0, a, 3);
    EXPECT_EQ(f.mapped->faults, faults + 1);
  });
}

}  // namespace
}  // namespace daxfs::ext4
