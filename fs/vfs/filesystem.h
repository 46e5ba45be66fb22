// fs/vfs/filesystem.h - a mounted filesystem: the library's front door.
//
//   auto device = pmem::Device::open("disk.img", {});
//   auto fs = vfs::Filesystem::mount(**device, "dax=always", &message);
//   vfs::Process process(**fs);
//   process.open("/f0", O_RDWR | O_CREAT, 0644); ...
//   process.exit();
//   (*fs)->unmount();
//
// Kernel: the mount of one superblock.
// Locking: any number of tasks may use it; mount and unmount by one task while no other does.
// Tested by: fs/vfs/syscalls_test.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "fs/base/result.h"
#include "fs/cache/reclaim.h"
#include "fs/ext4/super.h"
#include "fs/mm/memory.h"
#include "fs/pmem/device.h"

namespace daxfs::vfs {

// Parses "dax=always,ro": dax=always|inode|never, dax (always), huge=never|1..9 (order of huge mappings; 9 is 2 MiB),
// dioread_lock (default), dioread_nolock, es_test, trim_eof, ro, rw, poison_freed, defaults; reclaim=N: memory is short
// all the time (MountOptions::reclaim_pages); flush=N: so is the flusher awake (MountOptions::flush_pages); fail_bio=N,
// fail_alloc=N, fail_memory=N: the Nth bio (kIo), allocation of blocks (kNoSpc), page of private memory (kNoMem) fails.
// Empty is the default.
// Errors: kInval with a message that names the option.
Result<ext4::MountOptions> parse_mount_options(std::string_view text, std::string* message);

class Filesystem {
 public:
  // Uses the caller's frames: fuzzing keeps one Memory for millions of mounts. YIELDS. PERSISTS: the mount state.
  // Errors: as ext4::Volume::mount; `message` (may be null) gets one sentence.
  static Result<std::unique_ptr<Filesystem>> mount(pmem::Device& device, mm::Memory& memory,
                                                   const ext4::MountOptions& options, std::string* message);
  // The same with frames of its own, at most `dram_frames_max` private pages.
  static Result<std::unique_ptr<Filesystem>> mount(pmem::Device& device, std::string_view options, std::string* message,
                                                   uint32_t dram_frames_max = 4096);
  Filesystem(const Filesystem&) = delete;
  Filesystem& operator=(const Filesystem&) = delete;
  ~Filesystem();

  // REQUIRES: every Process has exited. YIELDS. PERSISTS everything. Errors: kIo.
  [[nodiscard]] Status unmount();

  ext4::Volume& volume() { return *volume_; }
  mm::Memory& memory() { return memory_; }
  pmem::Device& device() { return volume_->device(); }

  // sync(2). YIELDS. PERSISTS.
  Status sync();
  // echo 3 > /proc/sys/vm/drop_caches: unused inodes leave memory. DAX entries of inodes in use stay (as in 6.1).
  // YIELDS.
  void drop_caches();
  // Memory is short: kswapd looks at up to `pages` pages of the page cache, oldest first. YIELDS. RETURNS: how many it
  // freed.
  unsigned reclaim(unsigned pages);
  // Wakes those that are there: with the mount option reclaim=N kswapd, which looks at N pages when the schedule lets
  // it; with flush=N the flusher. For callers that want memory to be short, and time to have passed, with each call.
  // YIELDS.
  void wake_daemons();

 private:
  static Result<std::unique_ptr<Filesystem>> mount(pmem::Device& device, std::unique_ptr<mm::Memory> owned,
                                                   mm::Memory& memory, const ext4::MountOptions& options,
                                                   std::string* message);
  Filesystem(std::unique_ptr<mm::Memory> owned, mm::Memory& memory)
      : owned_memory_(std::move(owned)), memory_(memory) {}

  std::unique_ptr<mm::Memory> owned_memory_;
  mm::Memory& memory_;
  std::unique_ptr<ext4::Volume> volume_;
  std::unique_ptr<cache::Kswapd> kswapd_;  // null without reclaim=N
};

}  // namespace daxfs::vfs
