// fs/ext4/dir_test.cc - entries of a directory on real images; each test ends with e2fsck.
#include "fs/ext4/dir.h"

#include <set>

#include "fs/ext4/file_test_world.h"

namespace daxfs::ext4 {
namespace {

using testing::FileWorld;

InodeRef root_of(FileWorld& w) { return w.volume->inodes().iget(Ino(2)).value(); }

std::set<std::string> names_of(Inode& dir) {
  const rt::ReadLock lock(dir.i_rwsem);
  std::set<std::string> names;
  for (uint64_t position = 0;;) {
    const auto entry = dir_next(dir, position).value();
    if (!entry.has_value()) { return names; }
    EXPECT_TRUE(names.insert(entry->name).second) << entry->name << " twice";
    position = entry->next_position;
  }
}

std::string long_name(int i) {
  std::string name = std::to_string(i) + "_";
  return name + std::string(255 - name.size(), 'n');
}

// DI1: a name of 255 bytes always fits into a block that was added for it.
TEST(Directory, GrowsByABlockForTheLongestNames) {
  testing::in_file_world([](FileWorld& w) {
    const InodeRef root = root_of(w);
    std::set<std::string> expected = names_of(*root);
    const uint64_t size_before = root->i_size();
    for (int i = 0; i < 40; ++i) {
      ASSERT_TRUE(lookup_or_create(*root, long_name(i), 0644, true).ok()) << i;
      expected.insert(long_name(i));
    }
    EXPECT_GE(root->i_size(), size_before + 2 * kBlockSize);
    EXPECT_EQ(names_of(*root), expected);
  });
}

TEST(Directory, RemovedNamesLeaveRoomThatIsUsedAgain) {
  testing::in_file_world([](FileWorld& w) {
    const InodeRef root = root_of(w);
    for (int i = 0; i < 30; ++i) { ASSERT_TRUE(lookup_or_create(*root, long_name(i), 0644, true).ok()); }
    const uint64_t size = root->i_size();
    for (int i = 0; i < 30; i += 2) { ASSERT_TRUE(unlink(*root, long_name(i)).ok()); }
    rt::run_pending_system_tasks();
    for (int i = 0; i < 30; i += 2) { ASSERT_TRUE(lookup_or_create(*root, long_name(100 + i), 0644, true).ok()); }
    EXPECT_EQ(root->i_size(), size);
    for (int i = 0; i < 30; ++i) {
      EXPECT_EQ(lookup(*root, long_name(i)).error(), i % 2 == 0 ? Errc::kNoEnt : Errc::kOk) << i;
    }
  });
}

TEST(Directory, NameOf256BytesIsTooLong) {
  testing::in_file_world([](FileWorld& w) {
    const InodeRef root = root_of(w);
    const rt::ReadLock lock(root->i_rwsem);
    EXPECT_EQ(dir_find(*root, std::string(256, 'x')).error(), Errc::kNameTooLong);
    EXPECT_FALSE(dir_find(*root, std::string(255, 'x')).value().has_value());
  });
}

}  // namespace
}  // namespace daxfs::ext4
