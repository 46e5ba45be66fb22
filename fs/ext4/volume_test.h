// fs/ext4/volume_test.h - for tests: a mounted volume without inodes on top; every test ends with unmount and e2fsck.
#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "fs/base/report.h"
#include "fs/ext4/balloc.h"
#include "fs/ext4/ialloc.h"
#include "fs/ext4/inode_io.h"
#include "fs/ext4/orphan.h"
#include "fs/ext4/super.h"
#include "fs/ext4/test_image.h"

namespace daxfs::ext4::testing {

class MountedVolume {
 public:
  explicit MountedVolume(uint64_t blocks, const std::string& arguments = "", const MountOptions& options = {})
      : device(load_device(make_image(blocks, arguments))), options_(options) {
    mount();
  }
  ~MountedVolume() { unmount_and_check(); }

  void mount() {
    std::string message;
    auto mounted = Volume::mount_with(*device, nullptr, options_, nullptr, &message);
    EXPECT_TRUE(mounted.ok()) << message;
    if (mounted.ok()) { volume = std::move(mounted).value(); }
  }
  void unmount_and_check() {
    if (volume == nullptr) { return; }
    EXPECT_TRUE(volume->unmount().ok());
    volume.reset();
    EXPECT_EQ(e2fsck(device->bytes()), "");
    for (const std::string& message : take_corruption_messages()) { ADD_FAILURE() << message; }
  }
  void remount() {
    unmount_and_check();
    mount();
  }

  // Runs `body(Handle&)` in a handle of its own and returns what it returned.
  template <typename Body>
  auto in_handle(Body body) {
    jbd2::Handle handle = jbd2::start(volume->journal(), 10).value();
    auto result = body(handle);
    EXPECT_TRUE(handle.stop().ok());
    return result;
  }
  Result<BlockRun> allocate(uint32_t count, FsBlock goal = FsBlock(0), unsigned flags = 0) {
    return in_handle([&](jbd2::Handle& handle) { return allocate_blocks(*volume, handle, {goal, count, flags}); });
  }
  Status free(FsBlock first, uint64_t count) {
    return in_handle([&](jbd2::Handle& handle) { return free_blocks(*volume, handle, first, count); });
  }
  Result<Ino> create(bool directory = false, Ino parent = Ino(kRootIno)) {
    return in_handle([&](jbd2::Handle& handle) { return allocate_inode(*volume, handle, parent, directory); });
  }
  Status remove(Ino ino, bool directory = false) {
    return in_handle([&](jbd2::Handle& handle) { return free_inode(*volume, handle, ino, directory); });
  }

  std::unique_ptr<pmem::Device> device;
  std::unique_ptr<Volume> volume;

 private:
  MountOptions options_;
};

}  // namespace daxfs::ext4::testing
