// fs/ext4/orphan_test.cc - the orphan chain on the medium, across a crash. OR1.
#include "fs/ext4/orphan.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "fs/ext4/volume_test.h"

namespace daxfs::ext4 {
namespace {

using testing::MountedVolume;

Ino make_orphan(MountedVolume& fs) {
  const Ino ino = fs.create().value();
  EXPECT_TRUE(fs.in_handle([&](jbd2::Handle& handle) -> Status {
                  FS_RETURN_IF_ERROR(init_inode(*fs.volume, handle, ino, [](RawInode& raw) { raw.i_mode = 0100644; }));
                  return orphan_add(*fs.volume, handle, ino);
                }).ok());
  return ino;
}

void finish(MountedVolume& fs, Ino ino) {
  EXPECT_TRUE(fs.in_handle([&](jbd2::Handle& handle) -> Status {
                  FS_RETURN_IF_ERROR(orphan_del(*fs.volume, handle, ino));
                  FS_RETURN_IF_ERROR(
                      update_inode(*fs.volume, handle, ino, [](RawInode& raw) { raw.i_dtime = 1767225600; }));
                  return free_inode(*fs.volume, handle, ino, false);
                }).ok());
}

std::vector<Ino> chain_on_medium(MountedVolume& fs) {
  std::vector<Ino> chain;
  for (Ino ino(fs.volume->super().s_last_orphan); ino.value() != 0;) {
    chain.push_back(ino);
    ino = Ino(read_inode(*fs.volume, ino).value().i_dtime);
  }
  return chain;
}

TEST(OrphanList, TheChainOnTheMediumFollowsTheListInEveryOrderOfRemoval) {
  std::vector<int> order{0, 1, 2};
  do {
    MountedVolume fs(512);
    const Ino inodes[] = {make_orphan(fs), make_orphan(fs), make_orphan(fs)};
    EXPECT_EQ(chain_on_medium(fs), (std::vector<Ino>{inodes[2], inodes[1], inodes[0]}));
    std::vector<Ino> left = chain_on_medium(fs);
    for (int index : order) {
      EXPECT_TRUE(orphan_listed(*fs.volume, inodes[index]));
      finish(fs, inodes[index]);
      left.erase(std::find(left.begin(), left.end(), inodes[index]));
      EXPECT_EQ(chain_on_medium(fs), left);
      EXPECT_FALSE(orphan_listed(*fs.volume, inodes[index]));
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(OrphanList, AddingTwiceAndRemovingAStrangerChangeNothing) {
  MountedVolume fs(512);
  const Ino ino = make_orphan(fs);
  fs.in_handle([&](jbd2::Handle& handle) -> Status {
      EXPECT_TRUE(orphan_add(*fs.volume, handle, ino).ok());
      EXPECT_TRUE(orphan_del(*fs.volume, handle, Ino(kRootIno)).ok());
      return ok_status();
    }).ignore_error("checked inside");
  EXPECT_EQ(chain_on_medium(fs), std::vector<Ino>{ino});
  finish(fs, ino);
}

// A crash leaves the chain; the next mount processes it, newest first.
TEST(OrphanList, SurvivesACrashAndIsProcessedAtTheNextMount) {
  MountedVolume fs(512);
  const Ino first = make_orphan(fs);
  const Ino second = make_orphan(fs);
  const std::vector<std::byte> crashed(fs.device->data(), fs.device->data() + fs.device->size());
  finish(fs, first);
  finish(fs, second);
  fs.unmount_and_check();

  fs.device->load_image(crashed);
  fs.mount();
  ASSERT_NE(fs.volume, nullptr);
  static std::vector<Ino> processed;
  processed.clear();
  ASSERT_TRUE(orphan_cleanup(*fs.volume, [](Volume& volume, Ino ino) -> Status {
                processed.push_back(ino);
                jbd2::Handle handle = jbd2::start(volume.journal(), 4).value();
                const Status status = [&]() -> Status {
                  FS_RETURN_IF_ERROR(orphan_del(volume, handle, ino));
                  FS_RETURN_IF_ERROR(
                      update_inode(volume, handle, ino, [](RawInode& raw) { raw.i_dtime = 1767225600; }));
                  return free_inode(volume, handle, ino, false);
                }();
                return handle.stop(status);
              }).ok());
  EXPECT_EQ(processed, (std::vector<Ino>{second, first}));
  // The crash also left the volume marked as not cleanly unmounted: it stays so, as e2fsck has not seen it.
  ASSERT_TRUE(fs.volume->unmount().ok());
  fs.volume.reset();
  EXPECT_EQ(testing::e2fsck(fs.device->bytes()), "");
}

TEST(OrphanList, LoopsAndWildNumbersAreRefused) {
  MountedVolume fs(512);
  const Ino first = make_orphan(fs);
  const Ino second = make_orphan(fs);
  const std::vector<std::byte> crashed(fs.device->data(), fs.device->data() + fs.device->size());
  finish(fs, first);
  finish(fs, second);
  fs.unmount_and_check();

  for (const uint32_t next : {first.value(), second.value(), 3u, 100000u, 14u}) {
    auto device = testing::load_device(crashed);
    auto volume = Volume::mount_with(*device, nullptr, {}, nullptr, nullptr).value();
    jbd2::Handle handle = jbd2::start(volume->journal(), 4).value();
    EXPECT_TRUE(update_inode(*volume, handle, first, [next](RawInode& raw) { raw.i_dtime = next; }).ok());
    EXPECT_TRUE(handle.stop().ok());
    EXPECT_TRUE(volume->unmount().ok());
    volume.reset();
    std::string message;
    EXPECT_EQ(Volume::mount_with(*device, nullptr, {}, nullptr, &message).error(), Errc::kCorrupted);
    EXPECT_EQ(message, "the orphan list is damaged: run e2fsck");
  }
  EXPECT_EQ(take_corruption_messages().size(), 5u);
}

}  // namespace
}  // namespace daxfs::ext4
