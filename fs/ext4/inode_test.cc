// fs/ext4/inode_test.cc - inodes in memory: one object a number, counted users, eviction.
#include "fs/ext4/inode.h"

#include "fs/ext4/file_test_world.h"

namespace daxfs::ext4 {
namespace {

using testing::FileWorld;
using testing::TestFile;

TEST(InodeCache, UnlinkedInodeStaysUntilItsLastUser) {
  testing::in_file_world([](FileWorld& w) {
    const uint64_t free_before = w.volume->statfs().blocks_free;
    TestFile file = w.open("f");
    EXPECT_TRUE(w.fill(file, 0, 4 * kPageSize, 0x41).ok());
    w.remove("f");
    EXPECT_EQ(w.at(file, 0), 0x41);
    EXPECT_LT(w.volume->statfs().blocks_free, free_before);
    file.inode.put();
    rt::run_pending_system_tasks();
    EXPECT_EQ(w.volume->statfs().blocks_free, free_before);
  });
}

TEST(InodeCache, ReusedNumberIsAnotherGeneration) {
  testing::in_file_world([](FileWorld& w) {
    TestFile first = w.open("f");
    const Ino ino = first->ino();
    const uint32_t generation = first->generation();
    w.remove("f");
    first.inode.put();
    rt::run_pending_system_tasks();
    const TestFile second = w.open("f");
    ASSERT_EQ(second->ino(), ino);
    EXPECT_NE(second->generation(), generation);
  });
}

TEST(InodeCache, DroppedInodeIsLoadedAgainAsItWas) {
  testing::in_file_world([](FileWorld& w) {
    TestFile file = w.open("f");
    EXPECT_TRUE(w.fill(file, 100, 5000, 0x42).ok());
    const InodeAttributes before = file->attributes();
    file.inode.put();
    w.volume->inodes().shrink();
    rt::run_pending_system_tasks();
    const TestFile again = w.open("f");
    EXPECT_EQ(again->attributes().size, before.size);
    EXPECT_EQ(again->attributes().sectors, before.sectors);
    EXPECT_EQ(w.at(again, 5099), 0x42);
  });
}

TEST(InodeCache, DeletedInodeGivesItsAttributeBlockBack) {
  rt::run_for_test([] {
    const std::string value(300, 'v');  // too large for the inode
    auto device =
        testing::load_device(testing::make_image(256, "", "write /dev/null f\\nea_set f user.large " + value + "\\n"));
    mm::Memory memory(*device, 16);
    std::string message;
    auto volume = Volume::mount(*device, memory, {}, &message);
    ASSERT_TRUE(volume.ok()) << message;
    {
      const InodeRef root = (*volume)->inodes().iget(Ino(2)).value();
      const uint64_t before = (*volume)->statfs().blocks_free;
      EXPECT_EQ(lookup(*root, "f").value()->attributes().sectors, kBlockSize / 512);
      EXPECT_TRUE(unlink(*root, "f").ok());
      rt::run_pending_system_tasks();
      EXPECT_EQ((*volume)->statfs().blocks_free, before + 1);
    }
    EXPECT_TRUE((*volume)->unmount().ok());
    EXPECT_EQ(testing::e2fsck(device->bytes()), "");
  });
}

#if defined(DAXFS_RT_FIBER)

// IC1: both tasks find nothing in the cache and read the table; the second to come back must notice the first. Without
// the second look under the lock, insert_locked objects.
TEST(InodeCache, TwoLoadersOfOneNumberGetOneObject) {
  const auto result = dax::search<FileWorld>(
      [](FileWorld& w) {
        const Ino ino = w.open("f")->ino();
        w.volume->inodes().shrink();
        rt::run_pending_system_tasks();
        InodeRef a, b;
        rt::spawn("a", [&] { a = w.volume->inodes().iget(ino).value(); });
        rt::spawn("b", [&] { b = w.volume->inodes().iget(ino).value(); });
        rt::join_all_spawned();
        const bool same = a.get() == b.get();
        a.put();
        b.put();
        w.finish(/*fsck=*/false);
        return same;
      },
      {.stride = 2});
  EXPECT_GT(result.runs, 10u);
  EXPECT_TRUE(result.clean()) << result.text();
}

// Runs `body` and returns the tag of the finding that it must end with.
template <typename Body>
std::string tag_of(Body body) {
  const rt::RunOutcome outcome = dax::run_in_world<FileWorld>(body);
  return outcome.finding.has_value() ? outcome.finding->tag : "none";
}

TEST(InodeCache, UserAtUnmountIsALeak) {  // IC2
  EXPECT_EQ(tag_of([](FileWorld& w) {
              const TestFile file = w.open("f");
              w.volume->unmount().ignore_error("the finding comes first");
            }),
            "IC2");
}

TEST(InodeCache, SecondPutOfOneReferenceIsABug) {  // IC3
  EXPECT_EQ(tag_of([](FileWorld& w) {
              TestFile file = w.open("f");
              Inode* inode = file.inode.get();
              file.inode.put();
              InodeRef::adopt(inode).put();
            }),
            "IC3");
}

TEST(Inode, BlockCountBelowZeroIsABug) {  // IN3
  EXPECT_EQ(tag_of([](FileWorld& w) {
              const TestFile file = w.open("f");
              file->add_sectors(-1);
            }),
            "IN3");
}

#endif

}  // namespace
}  // namespace daxfs::ext4
