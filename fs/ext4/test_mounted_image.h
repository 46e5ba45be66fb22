// fs/ext4/test_mounted_image.h - for tests of the block layer: an image that mke2fs made, mounted, and
// e2fsck's word on it.
//
// Locking: none; inside a run (rt::run_for_test).
// Tested by: its users.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "fs/base/report.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/inode_cache.h"
#include "fs/ext4/map_blocks.h"
#include "fs/ext4/namei.h"
#include "fs/ext4/super.h"
#include "fs/ext4/test_image.h"
#include "fs/jbd2/handle.h"
#include "fs/mm/memory.h"

namespace daxfs::ext4::testing {

class MountedImage {
 public:
  // `arguments`: of mke2fs.
  explicit MountedImage(uint64_t blocks, const std::string& arguments = "")
      : device_(load_device(make_image(blocks, arguments))), memory_(*device_, 64) {
    mount();
  }
  ~MountedImage() { unmount(); }

  void mount() {
    std::string message;
    MountOptions options;
    options.dax = DaxMode::kAlways;
    auto mounted = Volume::mount(*device_, memory_, options, &message);
    ASSERT_TRUE(mounted.ok()) << message;
    volume_ = std::move(mounted).value();
  }
  // `sound`: e2fsck finds nothing, and nothing was called corrupt.
  void unmount(bool sound = true) {
    if (volume_ == nullptr) { return; }
    ASSERT_TRUE(volume_->unmount().ok());
    volume_.reset();
    if (!sound) { return; }
    ASSERT_EQ(e2fsck(device_->bytes()), "");
    for (const std::string& message : take_corruption_messages()) { ADD_FAILURE() << message; }
  }
  void remount() {
    unmount();
    mount();
  }
  // Without unmounting it.
  void give_up() { volume_.reset(); }

  // A file of `bytes`, all holes if new.
  InodeRef open(const std::string& name, uint64_t bytes) {
    InodeRef root = volume_->inodes().iget(Ino(kRootIno)).value();
    InodeRef file = lookup_or_create(*root, name, 0644, false).value().inode;
    const rt::WriteLock lock(file->i_rwsem);
    file->set_i_size(bytes);
    file->set_i_disksize(bytes);
    EXPECT_TRUE(with_handle([&](jbd2::Handle& handle) { return file->mark_dirty(handle); }).ok());
    return file;
  }

  template <typename F>
  Status with_handle(F&& body) {
    jbd2::Handle handle = jbd2::start(volume_->journal(), 50).value();
    return handle.stop(body(handle));
  }

  Result<MapResult> map(Inode& inode, const MapRequest& request) {
    Result<MapResult> mapped = Errc::kIo;
    const Status status = with_handle([&](jbd2::Handle& handle) {
      mapped = map_blocks(&handle, inode, request);
      return mapped.status();
    });
    return status.ok() ? std::move(mapped) : Result<MapResult>(status.error());
  }

  pmem::Device& device() { return *device_; }
  Volume& volume() { return *volume_; }

 private:
  std::unique_ptr<pmem::Device> device_;
  mm::Memory memory_;
  std::unique_ptr<Volume> volume_;
};

}  // namespace daxfs::ext4::testing
