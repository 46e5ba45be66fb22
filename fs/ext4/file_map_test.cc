// fs/ext4/file_map_test.cc - SEEK_DATA, SEEK_HOLE, fiemap.
#include "fs/ext4/file_map.h"

#include "fs/ext4/file_test_world.h"

namespace daxfs::ext4 {
namespace {

using testing::FileWorld;
using testing::in_file_world;
using testing::TestFile;

TEST(Seek, FindsHolesAndDataAndTheEnd) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 2 * kPageSize, kPageSize, 1).ok());
    EXPECT_TRUE(w.truncate(f, 4 * kPageSize + 10).ok());
    EXPECT_EQ(seek_data(*f, 0).value_or(99), 2 * kPageSize);
    EXPECT_EQ(seek_data(*f, 2 * kPageSize + 5).value_or(99), 2 * kPageSize + 5);
    EXPECT_EQ(seek_data(*f, 3 * kPageSize).error(), Errc::kNxio);
    EXPECT_EQ(seek_hole(*f, 5).value_or(99), 5u);
    EXPECT_EQ(seek_hole(*f, 2 * kPageSize).value_or(99), 3 * kPageSize);
    EXPECT_EQ(seek_hole(*f, 4 * kPageSize + 10).error(), Errc::kNxio);
    EXPECT_TRUE(w.fill(f, 4 * kPageSize, 10, 1).ok());
    EXPECT_EQ(seek_hole(*f, 4 * kPageSize + 1).value_or(99), 4 * kPageSize + 10);
  });
}

// kernel-semantics.md: an unwritten page that was loaded through a mapping counts as data; a real
// hole does not.
TEST(Seek, CountsTouchedUnwrittenPagesAsData) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(fallocate(*f, 0, 0, 4 * kPageSize).ok());
    EXPECT_TRUE(w.truncate(f, 8 * kPageSize).ok());
    EXPECT_EQ(seek_data(*f, 0).error(), Errc::kNxio);
    EXPECT_EQ(seek_hole(*f, 0).value_or(99), 0u);
    const VirtAddr a = w.map(w.p0, f, 8);
    EXPECT_EQ(w.peek(w.p0, a + 2 * kPageSize), 0);
    EXPECT_EQ(w.peek(w.p0, a + 6 * kPageSize), 0);
    EXPECT_EQ(seek_data(*f, 0).value_or(99), 2 * kPageSize);
    EXPECT_EQ(seek_hole(*f, 2 * kPageSize + 7).value_or(99), 3 * kPageSize);
    EXPECT_EQ(seek_data(*f, 3 * kPageSize).error(), Errc::kNxio);
    w.p0.exit_mmap();
    EXPECT_TRUE(sync_file(*f, 0, ~uint64_t{0}, false).ok());
    EXPECT_EQ(seek_data(*f, 0).value_or(99), 2 * kPageSize);
  });
}

class Collect final : public FiemapVisitor {
 public:
  bool visit(const FiemapExtent& extent) override {
    extents.push_back(extent);
    return extents.size() < max;
  }
  std::vector<FiemapExtent> extents;
  size_t max = 100;
};

TEST(Fiemap, ReportsExtentsTheirStateAndTheLast) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, kPageSize, 2 * kPageSize, 1).ok());
    EXPECT_TRUE(fallocate(*f, 0, 5 * kPageSize, kPageSize).ok());
    Collect all;
    EXPECT_TRUE(fiemap(*f, 0, ~uint64_t{0}, all).ok());
    ASSERT_EQ(all.extents.size(), 2u);
    EXPECT_EQ(all.extents[0].logical, kPageSize);
    EXPECT_EQ(all.extents[0].length, 2 * kPageSize);
    EXPECT_FALSE(all.extents[0].unwritten || all.extents[0].last);
    EXPECT_TRUE(all.extents[1].unwritten && all.extents[1].last);
    Collect part;
    EXPECT_TRUE(fiemap(*f, 2 * kPageSize + 5, kPageSize, part).ok());
    ASSERT_EQ(part.extents.size(), 1u);
    EXPECT_EQ(part.extents[0].logical, 2 * kPageSize);
    EXPECT_EQ(part.extents[0].physical, all.extents[0].physical + kPageSize);
    Collect one;
    one.max = 1;
    EXPECT_TRUE(fiemap(*f, 0, ~uint64_t{0}, one).ok());
    EXPECT_EQ(one.extents.size(), 1u);
  });
}

}  // namespace
}  // namespace daxfs::ext4
