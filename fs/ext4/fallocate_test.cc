// fs/ext4/fallocate_test.cc - each mode, its checks, and what mappings see.
#include "fs/ext4/fallocate.h"

#include "fs/ext4/file_test_world.h"

namespace daxfs::ext4 {
namespace {

using testing::FileWorld;
using testing::in_file_world;
using testing::TestFile;

TEST(Fallocate, ChecksArgumentsInTheKernelsOrder) {
  EXPECT_EQ(fallocate_check_arguments(0x80, -1, 5), Status(Errc::kInval));
  EXPECT_EQ(fallocate_check_arguments(0, 0, 0), Status(Errc::kInval));
  EXPECT_EQ(fallocate_check_arguments(0x80, 0, 5), Status(Errc::kOpNotSupp));
  EXPECT_EQ(fallocate_check_arguments(testing::kPunch | kFallocZeroRange, 0, 5), Status(Errc::kOpNotSupp));
  EXPECT_EQ(fallocate_check_arguments(kFallocPunchHole, 0, 5), Status(Errc::kOpNotSupp));
  EXPECT_EQ(fallocate_check_arguments(kFallocCollapseRange | kFallocKeepSize, 0, 5), Status(Errc::kInval));
  EXPECT_EQ(fallocate_check_arguments(kFallocInsertRange | kFallocKeepSize, 0, 5), Status(Errc::kInval));
  EXPECT_TRUE(fallocate_check_arguments(kFallocZeroRange | kFallocKeepSize, 0, 5).ok());
}

TEST(Fallocate, ChecksTheInode) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 2 * kPageSize, 1).ok());
    EXPECT_EQ(fallocate(*f, 0, kMaxFileBytes, 1), Status(Errc::kFBig));
    EXPECT_EQ(fallocate(*f, kFallocCollapseRange, 1, kPageSize), Status(Errc::kInval));
    EXPECT_EQ(fallocate(*f, kFallocCollapseRange, kPageSize, kPageSize),
              Status(Errc::kInval));  // reaches EOF
    EXPECT_EQ(fallocate(*f, kFallocInsertRange, 2 * kPageSize, kPageSize), Status(Errc::kInval));
    EXPECT_EQ(fallocate(*f, kFallocInsertRange, 0, kMaxFileBytes - kPageSize), Status(Errc::kFBig));
    f->set_flags(f->flags() | kFlagAppend);
    EXPECT_EQ(fallocate(*f, testing::kPunch, 0, 1), Status(Errc::kPerm));
    EXPECT_TRUE(fallocate(*f, kFallocKeepSize, 0, 1).ok());
    f->set_flags((f->flags() & ~kFlagAppend) | kFlagImmutable);
    EXPECT_EQ(fallocate(*f, 0, 0, 1), Status(Errc::kPerm));
    f->set_flags(f->flags() & ~kFlagImmutable);
  });
}

TEST(Fallocate, AllocatesUnwrittenBlocksAndMovesTheSize) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(fallocate(*f, kFallocKeepSize, 100, 5000).ok());
    EXPECT_EQ(f->i_size(), 0u);
    EXPECT_EQ(w.blocks(f, 3), "uu.");
    EXPECT_TRUE(fallocate(*f, 0, kPageSize, 5000).ok());
    EXPECT_EQ(f->i_size(), kPageSize + 5000);
    EXPECT_EQ(w.blocks(f, 4), "uuu.");
    EXPECT_EQ(w.at(f, 9000), 0);
  });
}

TEST(Fallocate, WithoutSpaceKeepsWhatItGot) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_EQ(fallocate(*f, 0, 0, 1000 * kPageSize), Status(Errc::kNoSpc));
    EXPECT_GT(f->i_size(), 0u);
    EXPECT_EQ(f->i_size() % kPageSize, 0u);
    EXPECT_EQ(w.blocks(f, 1), "u");
    EXPECT_TRUE(w.truncate(f, 0).ok());
  });
}

TEST(PunchHole, FreesWholeBlocksAndZeroesParts) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 5 * kPageSize, 0x31).ok());
    EXPECT_TRUE(fallocate(*f, testing::kPunch, 100, 2 * kPageSize).ok());
    EXPECT_EQ(w.blocks(f, 5), "w.www");
    EXPECT_EQ(w.at(f, 99), 0x31);
    EXPECT_EQ(w.at(f, 100), 0);
    EXPECT_EQ(w.at(f, 2 * kPageSize + 99), 0);
    EXPECT_EQ(w.at(f, 2 * kPageSize + 100), 0x31);
    EXPECT_TRUE(fallocate(*f, testing::kPunch, 3 * kPageSize + 5, 10).ok());
    EXPECT_EQ(w.at(f, 3 * kPageSize + 14), 0);
    EXPECT_EQ(w.at(f, 3 * kPageSize + 15), 0x31);
    EXPECT_EQ(f->i_size(), 5 * kPageSize);
  });
}

TEST(PunchHole, BehindEofDoesNothingAndIsClippedThere) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, kPageSize + 100, 1).ok());
    EXPECT_TRUE(fallocate(*f, kFallocKeepSize, 0, 4 * kPageSize).ok());
    EXPECT_TRUE(fallocate(*f, testing::kPunch, 2 * kPageSize, kPageSize).ok());
    EXPECT_EQ(w.blocks(f, 4), "wwuu");
    EXPECT_TRUE(fallocate(*f, testing::kPunch, 0, 100 * kPageSize).ok());
    EXPECT_EQ(w.blocks(f, 4), "..uu");
  });
}

TEST(PunchHole, ShowsInMappingsAndAStoreAllocatesAgain) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 2 * kPageSize, 0x31).ok());
    const VirtAddr a = w.map(w.p0, f, 2);
    const VirtAddr b = w.map(w.p1, f, 2, mm::kMapPrivate);
    EXPECT_EQ(w.peek(w.p0, a), 0x31);
    EXPECT_EQ(w.poke(w.p1, b, 0x44), mm::Signal::kNone);
    EXPECT_TRUE(fallocate(*f, testing::kPunch, 0, kPageSize).ok());
    EXPECT_EQ(w.peek(w.p0, a), 0);
    EXPECT_EQ(w.peek(w.p1, b), 0x44);
    EXPECT_EQ(w.poke(w.p0, a, 0x55), mm::Signal::kNone);
    EXPECT_EQ(w.at(f, 0), 0x55);
    EXPECT_EQ(w.at(f, 1), 0);
  });
}

TEST(ZeroRange, MakesWholeBlocksUnwrittenAndZeroesParts) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 4 * kPageSize, 0x31).ok());
    const VirtAddr a = w.map(w.p0, f, 4);
    EXPECT_EQ(w.peek(w.p0, a + 2 * kPageSize), 0x31);
    EXPECT_TRUE(fallocate(*f, kFallocZeroRange, kPageSize + 100, 2 * kPageSize).ok());
    EXPECT_EQ(w.blocks(f, 4), "wwuw");
    EXPECT_EQ(w.at(f, kPageSize + 99), 0x31);
    EXPECT_EQ(w.at(f, kPageSize + 100), 0);
    EXPECT_EQ(w.at(f, 3 * kPageSize + 99), 0);
    EXPECT_EQ(w.at(f, 3 * kPageSize + 100), 0x31);
    EXPECT_EQ(w.peek(w.p0, a + 2 * kPageSize), 0);
    EXPECT_TRUE(fallocate(*f, kFallocZeroRange, 6 * kPageSize, kPageSize).ok());
    EXPECT_EQ(f->i_size(), 7 * kPageSize);
    EXPECT_TRUE(fallocate(*f, kFallocZeroRange | kFallocKeepSize, 9 * kPageSize, 10).ok());
    EXPECT_EQ(f->i_size(), 7 * kPageSize);
    EXPECT_EQ(w.blocks(f, 10), "wwuw..u..u");
  });
}

TEST(CollapseRange, MovesTheRestDownInFileAndMappings) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    for (int n = 0; n < 5; ++n) { EXPECT_TRUE(w.fill(f, static_cast<uint64_t>(n) * kPageSize, kPageSize, n + 1).ok()); }
    const VirtAddr a = w.map(w.p0, f, 5);
    for (uint64_t n = 0; n < 5; ++n) { w.poke(w.p0, a + n * kPageSize + 1, 0x70 + static_cast<int>(n)); }
    EXPECT_TRUE(fallocate(*f, kFallocCollapseRange, kPageSize, 2 * kPageSize).ok());
    EXPECT_EQ(f->i_size(), 3 * kPageSize);
    EXPECT_EQ(f->i_disksize(), 3 * kPageSize);
    EXPECT_EQ(w.at(f, 0), 1);
    EXPECT_EQ(w.at(f, kPageSize), 4);
    EXPECT_EQ(w.at(f, kPageSize + 1), 0x73);
    EXPECT_EQ(w.peek(w.p0, a + 2 * kPageSize), 5);
    EXPECT_EQ(w.peek(w.p0, a + 3 * kPageSize), -1);
  });
}

TEST(InsertRange, MovesTheRestUpInFileAndMappings) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    for (int n = 0; n < 3; ++n) { EXPECT_TRUE(w.fill(f, static_cast<uint64_t>(n) * kPageSize, kPageSize, n + 1).ok()); }
    EXPECT_TRUE(fallocate(*f, kFallocKeepSize, 3 * kPageSize, kPageSize).ok());  // shifts as well
    const VirtAddr a = w.map(w.p0, f, 5);
    w.poke(w.p0, a + kPageSize + 1, 0x71);
    EXPECT_TRUE(fallocate(*f, kFallocInsertRange, kPageSize, 2 * kPageSize).ok());
    EXPECT_EQ(f->i_size(), 5 * kPageSize);
    EXPECT_EQ(w.blocks(f, 7), "w..wwu.");
    EXPECT_EQ(w.peek(w.p0, a + kPageSize), 0);
    EXPECT_EQ(w.peek(w.p0, a + 3 * kPageSize), 2);
    EXPECT_EQ(w.at(f, 3 * kPageSize + 1), 0x71);
    EXPECT_EQ(w.at(f, 4 * kPageSize), 3);
  });
}

}  // namespace
}  // namespace daxfs::ext4
