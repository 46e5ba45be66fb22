// fs/ext4/inode.h - an inode in memory: attributes, sizes, locks, its page mapping.
//
// Kernel: struct inode and struct ext4_inode_info (include/linux/fs.h, fs/ext4/ext4.h).
// Locking:
//   i_rwsem      rank kInode (kInodeDir for a directory). Exclusive: writes, truncate, fallocate, directory entries.
//   mapping().invalidate_lock   excludes page faults while blocks leave the file.
//   i_data_sem   rank kDataSem. The extent tree or block map: i_block(), the nodes; with i_rwsem, which of them it is.
//   i_lock       spinlock, leaf. Times, link count, i_blocks, i_disksize: short copies only.
//   i_size       atomic; written under i_rwsem exclusive, read anywhere (kernel: i_size_read).
// Invariants:
//   IN3  i_blocks never falls below zero.
//   IN4  an evicted inode has no room reserved.
// Kept by callers, and seen by the image checker only: an inode with links == 0 is on the orphan list or is being
// created or evicted; i_disksize <= i_size whenever i_rwsem is free.
// Lifetime: InodeRef (inode_cache.h) counts users; the memory is freed under RCU.
// Tested by: fs/ext4/inode_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "fs/base/compiler.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/extent_status.h"
#include "fs/ext4/format.h"
#include "fs/ext4/inode_dio.h"
#include "fs/ext4/writeback_state.h"
#include "fs/io/iomap.h"
#include "fs/jbd2/handle.h"
#include "fs/mm/address_space.h"
#include "fs/rt/atomic.h"
#include "fs/rt/rcu.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/shared.h"
#include "fs/rt/spinlock.h"

namespace daxfs::ext4 {

class Flusher;
class Volume;
struct RawInode;

// A point in time as ext4 stores it.
struct TimeSpec {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  auto operator<=>(const TimeSpec&) const = default;
};

// S_IFMT values of i_mode, as in stat(2).
inline constexpr uint16_t kModeTypeMask = 0170000;
inline constexpr uint16_t kModeFifo = 0010000;
inline constexpr uint16_t kModeCharDevice = 0020000;
inline constexpr uint16_t kModeDirectory = 0040000;
inline constexpr uint16_t kModeBlockDevice = 0060000;
inline constexpr uint16_t kModeRegular = 0100000;
inline constexpr uint16_t kModeSymlink = 0120000;
inline constexpr uint16_t kModeSocket = 0140000;

// i_flags (EXT4_*_FL of the disk format).
inline constexpr uint32_t kFlagImmutable = 0x10;
inline constexpr uint32_t kFlagAppend = 0x20;
inline constexpr uint32_t kFlagIndex = 0x1000;      // htree directory
inline constexpr uint32_t kFlagHugeFile = 0x40000;  // i_blocks counts filesystem blocks
inline constexpr uint32_t kFlagExtents = 0x80000;
inline constexpr uint32_t kFlagDax = 0x2000000;
inline constexpr uint32_t kFlagInlineData = 0x10000000;

// A copy of the attributes that stat(2) reports, taken under i_lock.
struct InodeAttributes {
  Ino ino;
  uint32_t generation = 0;
  uint16_t mode = 0;
  uint32_t links = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t size = 0;     // bytes
  uint64_t sectors = 0;  // 512-byte units, extent nodes included
  TimeSpec atime, mtime, ctime, crtime;
  uint32_t flags = 0;
};

class Inode final : public io::IomapHost {
 public:
  using RootBytes = std::array<std::byte, 60>;  // i_block: extent root, or the target of a fast symlink

  Inode(Volume& volume, Ino ino, uint16_t mode);
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;
  ~Inode() override;

  // --- identity: constant after the inode became visible.
  Ino ino() const override { return ino_; }
  uint32_t generation() const { return generation_; }
  uint16_t type() const { return mode_ & kModeTypeMask; }
  bool is_directory() const { return type() == kModeDirectory; }
  bool is_regular() const { return type() == kModeRegular; }
  bool is_symlink() const { return type() == kModeSymlink; }
  bool is_dax() const override { return dax_; }
  // How its blocks are found. REQUIRES: i_rwsem or i_data_sem, any mode.
  BlockFormat block_format() const { return format_; }
  // Also the flag. REQUIRES: both exclusive, or nobody else sees the inode.
  void set_block_format(BlockFormat format);
  void note_dirty_page() override;
  Volume& volume() { return volume_; }
  const Volume& volume() const { return volume_; }
  mm::AddressSpace& mapping() override { return mapping_; }
  pmem::Device& device() override;
  Flusher* flusher() const;  // who writes its pages in time; null without flush=N, and of what has no page cache
  // Seed of every checksum inside this inode's blocks: crc32c(crc32c(fs seed, ino), generation).
  uint32_t csum_seed() const { return csum_seed_; }

  // --- sizes, bytes.
  uint64_t i_size() const override { return i_size_.load(); }
  // REQUIRES: i_rwsem exclusive.
  void set_i_size(uint64_t size);
  uint64_t i_disksize() const;
  void set_i_disksize(uint64_t size);
  // i_blocks in 512-byte sectors.
  uint64_t sectors() const;
  void add_sectors(int64_t delta);

  // For harnesses that look between two points: no lock, no point.
  uint64_t peek_size() const { return i_size_.load_unpointed(); }
  uint32_t peek_delayed_blocks() const { return delayed_blocks_.load_unpointed(); }

  // --- attributes.
  InodeAttributes attributes() const;
  uint32_t links() const;
  void set_links(uint32_t links);
  uint32_t flags() const;
  void set_flags(uint32_t flags);
  // Sets the times named to `now`. RETURNS whether any of them changed.
  bool update_times(TimeSpec now, bool mtime, bool ctime, bool atime = false);

  // --- root of the extent tree or block map. REQUIRES: i_data_sem (any mode to read, exclusive to write).
  // To change: the announcement of shared.h is here, so ask again after a point.
  RootBytes& i_block() { return i_block_.write(); }
  const RootBytes& i_block() const { return i_block_.get(); }

  // Writes links, times, flags, sizes into the inode table through `handle`. Does not touch i_block.
  [[nodiscard]] Status mark_dirty(jbd2::Handle& handle);
  // Writes i_block, i_blocks and i_disksize as well. REQUIRES: i_data_sem exclusive, or nobody else sees the inode.
  [[nodiscard]] Status mark_data_dirty(jbd2::Handle& handle);

  // --- room for pages that have no block yet (kernel: ext4_da_reserve_space, ext4_da_release_space).
  Status reserve_delayed(LogicalBlock lblk);  // Errors: kNoSpc
  void release_delayed(LogicalBlock lblk);    // whether it was allocated or is not wanted any more
  uint32_t delayed_blocks() const { return delayed_blocks_.load(); }
  void check_no_delayed() const;

  rt::RwSem i_rwsem;
  rt::RwSem i_data_sem;
  InodeDio dio;                // direct I/O in flight
  ExtentStatus extent_status;  // what lookups in the extent tree found
  WritebackState writeback;    // of the flusher

 private:
  friend class InodeCache;
  friend class InodeRef;

  void set_identity(uint32_t generation, uint32_t flags, uint64_t size);
  void load(const RawInode& raw);
  void init_new(uint32_t generation, uint32_t flags);
  void fill_attributes(RawInode& raw) const;
  Status write_new(jbd2::Handle& handle);

  Volume& volume_;
  const Ino ino_;
  uint16_t mode_;
  uint32_t generation_ = 0;
  uint32_t csum_seed_ = 0;
  uint32_t uid_ = 0;
  uint32_t gid_ = 0;
  uint64_t file_acl_ = 0;  // block of extended attributes, 0 for none
  bool dax_ = false;

  rt::Atomic<uint64_t> i_size_{0};
  mutable rt::SpinLock i_lock_;
  rt::Shared<uint64_t, "i_disksize"> i_disksize_ FS_GUARDED_BY(i_lock_) = 0;
  rt::Shared<uint64_t, "i_blocks"> sectors_ FS_GUARDED_BY(i_lock_) = 0;
  rt::Shared<uint32_t, "i_nlink"> links_ FS_GUARDED_BY(i_lock_) = 0;
  rt::Shared<uint32_t, "i_flags"> flags_ FS_GUARDED_BY(i_lock_) = 0;
  rt::Shared<uint16_t, "i_mode"> permissions_ FS_GUARDED_BY(i_lock_) = 0;
  rt::Shared<TimeSpec, "i_atime"> atime_ FS_GUARDED_BY(i_lock_);
  rt::Shared<TimeSpec, "i_mtime"> mtime_ FS_GUARDED_BY(i_lock_);
  rt::Shared<TimeSpec, "i_ctime"> ctime_ FS_GUARDED_BY(i_lock_);
  rt::Shared<TimeSpec, "i_crtime"> crtime_ FS_GUARDED_BY(i_lock_);

  rt::Shared<RootBytes, "i_block"> i_block_;                         // guarded by i_data_sem
  rt::Shared<BlockFormat, "i_format"> format_ = BlockFormat::kNone;  // says the same as i_flags; for whoever has a lock
  mm::AddressSpace mapping_;
  rt::Atomic<uint32_t> delayed_blocks_{0};

  // Guarded by the cache's lock.
  rt::Shared<uint32_t, "i_count"> references_ = 0;
  rt::Shared<bool, "i_state"> busy_ = false;  // on its way in or out
  struct RcuLink : rt::RcuHead {
    Inode* inode = nullptr;
  } rcu_;
  Inode* next_in_cache_ = nullptr;
};

// The clock of the filesystem: virtual and deterministic in the fiber flavour.
TimeSpec current_time();

}  // namespace daxfs::ext4
