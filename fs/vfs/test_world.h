// fs/vfs/test_world.h - for tests of system calls: a mounted image made by mke2fs, a process, short spellings.
//
// Every test ends with audit of live memory, unmount, our image checker and e2fsck.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/report.h"
#include "fs/check/audit.h"
#include "fs/check/media.h"
#include "fs/ext4/fallocate.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/test_image.h"
#include "fs/rt/clock.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/process.h"

namespace daxfs::vfs::testing {

inline constexpr uint32_t kReadOnly = 0;
inline constexpr uint32_t kRw = kOpenReadWrite;
inline constexpr uint32_t kRwCreate = kOpenReadWrite | kOpenCreate;
inline constexpr uint64_t k4K = 4096;
inline constexpr uint32_t kProtRw = mm::kProtRead | mm::kProtWrite;

inline constexpr uint32_t kPunch = ext4::kFallocPunchHole | ext4::kFallocKeepSize;

struct WorldOptions {
  uint64_t blocks = 1024;
  std::string mke2fs = "-O ^has_journal";
  std::string mount = "dax=always";
};

class World {
 public:
  explicit World(const WorldOptions& options)
      : options_(options),
        device(ext4::testing::load_device(ext4::testing::make_image(options.blocks, options.mke2fs))) {
    mount();
  }
  void mount() {
    std::string message;
    auto mounted = Filesystem::mount(*device, options_.mount, &message, 1024);
    ASSERT_TRUE(mounted.ok()) << message;
    fs = std::move(mounted).value();
    p = std::make_unique<Process>(*fs);
  }
  void unmount() {
    if (fs == nullptr) { return; }
    rt::run_pending_system_tasks();
    check::audit({*fs, {&p->mm()}});
    p->exit();
    EXPECT_TRUE(fs->unmount().ok());
    std::vector<std::string> held;
    EXPECT_TRUE(fs->memory().audit_idle(&held)) << (held.empty() ? "" : held.front());
    p.reset();
    rt::run_pending_system_tasks();
    fs.reset();
    EXPECT_EQ(ext4::testing::e2fsck(device->bytes()), "");
    EXPECT_EQ(check::check_media(device->bytes()).text(), "");
    for (const std::string& message : take_corruption_messages()) { ADD_FAILURE() << message; }
  }
  void remount(const std::string& mount_options = "") {
    unmount();
    if (!mount_options.empty()) { options_.mount = mount_options; }
    mount();
  }

  // --- short spellings; the ones that return a value fail the test when the call fails.
  int open(std::string_view path, uint32_t flags = kRwCreate, uint16_t mode = 0644) {
    const auto fd = p->open(path, flags, mode);
    EXPECT_TRUE(fd.ok()) << path << ": " << errc_name(fd.error());
    return fd.ok() ? *fd : -1;
  }
  Errc open_error(std::string_view path, uint32_t flags) {
    const auto fd = p->open(path, flags, 0644);
    if (fd.ok()) { p->close(*fd).ignore_error("just opened"); }
    return fd.error();
  }
  int64_t pwrite(int fd, uint64_t size, int64_t offset, int value) {
    const std::vector<std::byte> bytes(size, std::byte{static_cast<unsigned char>(value)});
    const auto done = p->pwrite_bytes(fd, bytes, offset);
    return done.ok() ? static_cast<int64_t>(*done) : -static_cast<int64_t>(done.error());
  }
  std::vector<std::byte> pread(int fd, uint64_t size, int64_t offset) {
    std::vector<std::byte> bytes(size);
    const auto done = p->pread_bytes(fd, bytes, offset);
    EXPECT_TRUE(done.ok()) << errc_name(done.error());
    bytes.resize(done.ok() ? *done : 0);
    return bytes;
  }
  // The byte at `offset`; -1 beyond EOF.
  int at(int fd, int64_t offset) {
    const auto bytes = pread(fd, 1, offset);
    return bytes.empty() ? -1 : static_cast<int>(bytes[0]);
  }
  Errc fallocate(int fd, uint32_t mode, int64_t offset, int64_t length) {
    return p->fallocate(fd, mode, offset, length).error();
  }
  ext4::InodeAttributes stat(int fd) { return p->fstat(fd).value(); }
  uint64_t size(int fd) { return stat(fd).size; }
  uint64_t sectors(int fd) { return stat(fd).sectors; }
  Result<int64_t> seek(int fd, int64_t offset, uint32_t whence) { return p->lseek(fd, offset, whence); }
  VirtAddr map(int fd, uint64_t length, uint64_t offset = 0, uint32_t flags = kMmapShared, uint32_t prot = kProtRw) {
    const auto address = p->mmap(VirtAddr(0), length, prot, flags, fd, offset);
    EXPECT_TRUE(address.ok()) << errc_name(address.error());
    return address.ok() ? *address : VirtAddr(0);
  }
  Errc map_error(uint64_t length, uint32_t prot, uint32_t flags, int fd, uint64_t offset = 0) {
    return p->mmap(VirtAddr(0), length, prot, flags, fd, offset).error();
  }
  mm::Signal poke(VirtAddr address, int value = 1) {
    const std::byte byte{static_cast<unsigned char>(value)};
    return p->store(address, std::span(&byte, 1)).signal;
  }
  // The byte, or -1 on a signal.
  int peek(VirtAddr address) {
    std::byte byte{};
    const auto result = p->load(address, std::span(&byte, 1));
    return result.ok() ? static_cast<int>(byte) : -1;
  }
  mm::Signal peek_signal(VirtAddr address) {
    std::byte byte{};
    return p->load(address, std::span(&byte, 1)).signal;
  }
  // "w4 .2 u8": written, hole, unwritten blocks below `blocks`.
  std::string layout(int fd, uint64_t blocks) {
    std::string text(blocks, '.');
    const auto extents = p->fiemap(fd, 0, blocks * k4K);
    EXPECT_TRUE(extents.ok());
    for (const auto& extent : *extents) {
      for (uint64_t i = 0; i < extent.length / k4K; ++i) {
        const uint64_t block = extent.logical / k4K + i;
        if (block < blocks) { text[block] = extent.unwritten ? 'u' : 'w'; }
      }
    }
    return text;
  }

 private:
  WorldOptions options_;

 public:
  std::unique_ptr<pmem::Device> device;
  std::unique_ptr<Filesystem> fs;
  std::unique_ptr<Process> p;
};

// A test in a run of its own, clean to the end.
inline void in_world(const WorldOptions& options, const std::function<void(World&)>& body) {
  rt::run_for_test([&] {
    World world(options);
    if (world.fs == nullptr) { return; }
    body(world);
    world.unmount();
  });
}
inline void in_world(const std::function<void(World&)>& body) { in_world({}, body); }

}  // namespace daxfs::vfs::testing
