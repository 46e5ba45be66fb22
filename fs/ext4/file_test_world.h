// fs/ext4/file_test_world.h - for tests of the file part: a small mounted volume, two processes,
// files by name, mappings.
//
// Every sequential test ends with unmount and e2fsck; searches through interleavings
// (fs/dax/test_world.h) use the same world without e2fsck.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/report.h"
#include "fs/dax/test_world.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/fallocate.h"
#include "fs/ext4/fault.h"
#include "fs/ext4/file_map.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/fsync.h"
#include "fs/ext4/inode_cache.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/ext4/layout.h"
#include "fs/ext4/namei.h"
#include "fs/ext4/super.h"
#include "fs/ext4/test_image.h"
#include "fs/ext4/truncate.h"

namespace daxfs::ext4::testing {

inline constexpr unsigned kPunch = kFallocPunchHole | kFallocKeepSize;

// What vfs::File is to mm: holds the inode while something is mapped. The world keeps the object
// itself.
class MappedFile final : public mm::VmFile {
 public:
  explicit MappedFile(const InodeRef& inode) : inode_(*inode) {}
  mm::AddressSpace& mapping() override { return inode_.mapping(); }
  mm::FaultResult fault(mm::VmFault& vmf) override {
    ++faults;
    return dax_fault(vmf, inode_);
  }
  mm::FaultResult pfn_mkwrite(mm::VmFault& vmf) override { return fault(vmf); }
  void get() override {
    if (uses_++ == 0) { ref_ = opened->dup(); }
  }
  void put() override {
    if (--uses_ == 0) { ref_.put(); }
  }
  Status mmap_check(unsigned, bool, bool sync) override { return ext4::mmap_check(inode_, sync); }

  const InodeRef* opened = nullptr;  // who maps the file has it open
  int faults = 0;

 private:
  Inode& inode_;
  InodeRef ref_;
  int uses_ = 0;
};

struct TestFile {
  InodeRef inode;
  MappedFile* mapped;

  Inode& operator*() const { return *inode; }
  Inode* operator->() const { return inode.get(); }
};

struct FileWorld {
  static constexpr uint64_t kBlocks = 256;

  explicit FileWorld(DaxMode dax = DaxMode::kAlways, uint64_t blocks = kBlocks)
      : device(fresh_device(blocks)), memory(*device, 64), p0(memory, 1), p1(memory, 2), dax_(dax) {
    mount();
  }
  void mount() {
    std::string message;
    MountOptions options;
    options.dax = dax_;
    auto mounted = Volume::mount(*device, memory, options, &message);
    EXPECT_TRUE(mounted.ok()) << message;
    if (mounted.ok()) { volume = std::move(mounted).value(); }
  }
  // Processes end, inodes are evicted, everything must be idle and e2fsck content.
  void finish(bool fsck = true) {
    p0.exit_mmap();
    p1.exit_mmap();
    EXPECT_TRUE(volume->unmount().ok());
    volume.reset();
    std::vector<std::string> report;
    EXPECT_TRUE(memory.audit_idle(&report)) << (report.empty() ? "" : report.front());
    if (fsck) { EXPECT_EQ(e2fsck(device->bytes()), ""); }
    for (const std::string& message : take_corruption_messages()) { ADD_FAILURE() << message; }
  }

  TestFile open(const std::string& name) {
    InodeRef root = volume->inodes().iget(Ino(2)).value();
    TestFile file{.inode = lookup_or_create(*root, name, 0644, false).value().inode, .mapped = nullptr};
    mapped_files.push_back(std::make_unique<MappedFile>(file.inode));
    file.mapped = mapped_files.back().get();
    return file;
  }
  void remove(const std::string& name) {
    InodeRef root = volume->inodes().iget(Ino(2)).value();
    EXPECT_TRUE(unlink(*root, name).ok());
  }
  VirtAddr map(mm::Mm& mm, const TestFile& file, uint64_t pages, unsigned flags = mm::kMapShared) {
    file.mapped->opened = &file.inode;
    const auto address = mm.mmap({.length = pages * kPageSize, .flags = flags, .file = file.mapped});
    EXPECT_TRUE(address.ok());
    return address.value_or(VirtAddr(0));
  }
  static Result<uint64_t> write(const TestFile& file, uint64_t pos, const std::vector<std::byte>& bytes,
                                unsigned flags = 0) {
    io::IovBuffer buffer = io::IovBuffer::kernel_source(bytes);
    return file_write(*file, buffer, &pos, flags);
  }
  static Result<uint64_t> fill(const TestFile& file, uint64_t pos, uint64_t size, int value) {
    return write(file, pos, std::vector<std::byte>(size, std::byte{static_cast<unsigned char>(value)}));
  }
  static std::vector<std::byte> read(const TestFile& file, uint64_t pos, uint64_t size) {
    std::vector<std::byte> bytes(size, std::byte{0xEE});
    io::IovBuffer buffer = io::IovBuffer::kernel_sink(bytes);
    const auto done = file_read(*file, buffer, &pos, 0);
    bytes.resize(done.ok() ? *done : 0);
    return bytes;
  }
  // The byte at `pos`, -1 if there is none.
  static int at(const TestFile& file, uint64_t pos) {
    const auto bytes = read(file, pos, 1);
    return bytes.empty() ? -1 : static_cast<int>(bytes.front());
  }
  static Status truncate(const TestFile& file, uint64_t size) {
    const rt::WriteLock lock(file->i_rwsem);
    return setattr_size(*file, size);
  }
  // One letter a block of the first `blocks`: '.', 'w' or 'u'.
  static std::string blocks(const TestFile& file, uint32_t count) {
    std::string out;
    for (uint32_t n = 0; n < count; ++n) {
      const auto map = map_blocks(nullptr, *file, {.lblk = LogicalBlock(n), .len = 1});
      if (!map.ok()) { return "error"; }
      out += map->state == BlockState::kHole ? '.' : map->state == BlockState::kWritten ? 'w' : 'u';
    }
    return out;
  }
  static int peek(mm::Mm& mm, VirtAddr address) {
    std::byte byte{0xEE};
    const mm::AccessResult result = mm.load(address, std::span(&byte, 1));
    return result.ok() ? static_cast<int>(byte) : -1;
  }
  static mm::Signal poke(mm::Mm& mm, VirtAddr address, int value) {
    const std::byte byte{static_cast<unsigned char>(value)};
    return mm.store(address, std::span(&byte, 1)).signal;
  }

  // Worlds of one size have one device, one after the other: to make one takes longer than a run in it.
  static pmem::Device* fresh_device(uint64_t blocks) {
    static std::map<uint64_t, std::unique_ptr<pmem::Device>> devices;
    const std::vector<std::byte>& image = make_image(blocks);
    std::unique_ptr<pmem::Device>& device = devices[blocks];
    if (device == nullptr) {
      device = load_device(image);
    } else {
      device->load_image(image);
      device->set_recorder(nullptr);
    }
    return device.get();
  }

  pmem::Device* device;
  mm::Memory memory;
  std::unique_ptr<Volume> volume;
  mm::Mm p0;
  mm::Mm p1;
  std::vector<std::unique_ptr<MappedFile>> mapped_files;

 private:
  const DaxMode dax_;
};

// A sequential test in a run of its own, clean to the end.
template <typename Body>
void in_file_world(Body body, DaxMode dax = DaxMode::kAlways, uint64_t blocks = FileWorld::kBlocks) {
  std::unique_ptr<FileWorld> world;
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    world = std::make_unique<FileWorld>(dax, blocks);
    body(*world);
    world->finish();
    world.reset();
  });
  if (world != nullptr) { world.release(); }  // NOLINT(bugprone-unused-return-value): abandoned by a finding
  if (outcome.finding.has_value()) { ADD_FAILURE() << outcome.finding->tag << ": " << outcome.finding->title; }
}

}  // namespace daxfs::ext4::testing
