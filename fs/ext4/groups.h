// fs/ext4/groups.h - block groups in memory: where their metadata lies, what is free in them.
//
// Kernel: struct ext4_group_info, ext4_get_group_desc, ext4_group_desc_csum (fs/ext4/super.c), ext4_read_block_bitmap,
//   ext4_init_block_bitmap (balloc.c), ext4_read_inode_bitmap (ialloc.c), system zone (block_validity.c).
// Locking: Group::lock (kernel: ext4_lock_group) guards the counters and the bits of both bitmaps of the group. It is a
//   spinlock: read the bitmaps in and ask for write access before taking it. Locations are constant after mount.
// Invariants:
//   GR1  a group's free counters equal the clear bits of its bitmaps whenever the lock is free and the bitmap was read.
//   GR2  blocks of the system zone (superblocks, descriptors, bitmaps, inode tables) are never allocated nor freed.
// Tested by: fs/ext4/balloc_test.cc, fs/ext4/ialloc_test.cc, fs/ext4/super_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/block_run.h"
#include "fs/ext4/format.h"
#include "fs/jbd2/handle.h"
#include "fs/rt/shared.h"
#include "fs/rt/spinlock.h"

namespace daxfs::ext4 {

class Volume;

struct Group {
  // Constant after mount.
  FsBlock block_bitmap;
  FsBlock inode_bitmap;
  FsBlock inode_table;
  uint32_t block_count = 0;  // the last group may be short

  rt::SpinLock lock{rt::Rank::kGroup, "group"};
  rt::Shared<uint32_t, "bg_blocks_free"> blocks_free FS_GUARDED_BY(lock) = 0;
  rt::Shared<uint32_t, "bg_inodes_free"> inodes_free FS_GUARDED_BY(lock) = 0;
  rt::Shared<uint32_t, "bg_dirs_used"> dirs_used FS_GUARDED_BY(lock) = 0;
  // Inodes at the table's end that were never used.
  rt::Shared<uint32_t, "bg_itable_unused"> itable_unused FS_GUARDED_BY(lock) = 0;
  rt::Shared<uint16_t, "bg_flags"> flags FS_GUARDED_BY(lock) = 0;  // bg_flags
};

// Constants derived from the superblock; set at mount.
struct Geometry {
  uint64_t block_count = 0;
  uint64_t blocks_reserved = 0;  // for root
  uint64_t overhead = 0;         // blocks that statfs does not count
  uint32_t group_count = 0;
  uint32_t blocks_per_group = 0;
  uint32_t inodes_per_group = 0;
  uint32_t inode_count = 0;
  uint32_t inode_size = 0;          // bytes
  uint32_t inode_table_blocks = 0;  // a group
  uint32_t first_ino = 0;           // first inode that is not reserved
  uint32_t desc_size = 0;           // bytes
  uint32_t gdt_blocks = 0;
  uint32_t gdt_reserved_blocks = 0;
  uint32_t csum_seed = 0;
  uint32_t groups_per_flex = 1;
  uint32_t backup_groups[2] = {0, 0};  // sparse_super2 only
  uint32_t first_group_blocks = 0;     // superblock, descriptors, room for more descriptors
  std::array<uint8_t, 16> uuid{};
  uint32_t feature_compat = 0;
  uint32_t feature_incompat = 0;
  uint32_t feature_ro_compat = 0;

  bool metadata_csum() const { return (feature_ro_compat & kRoCompatMetadataCsum) != 0; }
  // Either kind of descriptor checksum; with it the UNINIT flags mean something.
  bool group_csum() const { return (feature_ro_compat & (kRoCompatMetadataCsum | kRoCompatGdtCsum)) != 0; }
  bool is_64bit() const { return (feature_incompat & kIncompat64Bit) != 0; }
  bool flex_bg() const { return (feature_incompat & kIncompatFlexBg) != 0; }
  bool extents() const { return (feature_incompat & kIncompatExtents) != 0; }  // of new files
  bool huge_file() const { return (feature_ro_compat & kRoCompatHugeFile) != 0; }
  bool dir_nlink() const { return (feature_ro_compat & kRoCompatDirNlink) != 0; }
  bool has_journal() const { return (feature_compat & kCompatHasJournal) != 0; }

  uint32_t inodes_per_block() const { return static_cast<uint32_t>(kBlockSize) / inode_size; }
  uint32_t group_of(FsBlock block) const { return static_cast<uint32_t>(block.value() / blocks_per_group); }
  uint32_t bit_of(FsBlock block) const { return static_cast<uint32_t>(block.value() % blocks_per_group); }
  FsBlock first_block(uint32_t group) const { return FsBlock(static_cast<uint64_t>(group) * blocks_per_group); }
  uint32_t group_of(Ino ino) const { return (ino.value() - 1) / inodes_per_group; }
  bool valid_ino(Ino ino) const {
    return ino.value() == kRootIno || (ino.value() >= first_ino && ino.value() <= inode_count);
  }
  bool group_has_super(uint32_t group) const;
};

class Groups {
 public:
  explicit Groups(Volume& volume) : volume_(volume) {}
  Groups(const Groups&) = delete;
  Groups& operator=(const Groups&) = delete;

  // Reads and checks all descriptors. Errors: kCorrupted (with `message`), kIo, kNoMem.
  Status load(const Geometry& geometry, std::string* message);
  // Gives back all buffers, before the cache dies.
  void unload() { descriptors_.clear(); }

  uint32_t count() const { return count_; }
  Group& operator[](uint32_t index) { return groups_[index]; }

  // True if any block of the run is group metadata (GR2).
  bool overlaps_system_zone(FsBlock first, uint64_t count) const;

  // The bitmaps, verified on first load. A group with an UNINIT bitmap gets it built in memory; that becomes the
  // medium's with the first change through a handle. Errors: kCorrupted, kIo. YIELDS.
  Result<jbd2::BufferRef> block_bitmap(uint32_t group);
  Result<jbd2::BufferRef> inode_bitmap(uint32_t group);

  // Write access to the group's descriptor block (take it before the group lock). YIELDS.
  Status get_descriptor_access(jbd2::Handle& handle, uint32_t group);
  // Copies counters and flags of `group` (this is [index]) into its descriptor. REQUIRES: get_descriptor_access.
  void store_descriptor_locked(uint32_t index, Group& group) FS_REQUIRES(group.lock);
  // After the group lock was dropped. The bitmap's checksum lives in the descriptor: dirty both.
  Status dirty_descriptor(jbd2::Handle& handle, uint32_t group);
  Status dirty_block_bitmap(jbd2::Handle& handle, uint32_t group, jbd2::Buffer& bitmap);
  Status dirty_inode_bitmap(jbd2::Handle& handle, uint32_t group, jbd2::Buffer& bitmap);

  // Sums over all groups (kernel: ext4_count_free_clusters, ext4_count_free_inodes, ext4_count_dirs).
  struct Totals {
    uint64_t blocks_free = 0;
    uint64_t inodes_free = 0;
    uint64_t dirs = 0;
  };
  Totals totals();

 private:
  struct Zone {
    uint64_t begin;
    uint64_t end;
  };

  Status load_group(uint32_t index, std::string* message);
  Status build_system_zone(std::string* message);
  const GroupDescriptor* raw_descriptor(uint32_t index) const;
  GroupDescriptor* raw_descriptor_for_change(uint32_t index);
  uint32_t descriptors_per_block() const { return static_cast<uint32_t>(kBlockSize) / geometry_.desc_size; }
  uint16_t descriptor_csum(uint32_t index) const;

  static Status verify_block_bitmap(void* context, uint64_t group, FsBlock block, jbd2::ConstBlockBytes bytes);
  static Status verify_inode_bitmap(void* context, uint64_t group, FsBlock block, jbd2::ConstBlockBytes bytes);
  static Status build_block_bitmap(void* context, uint64_t group, FsBlock block, jbd2::BlockBytes bytes);
  static Status build_inode_bitmap(void* context, uint64_t group, FsBlock block, jbd2::BlockBytes bytes);
  static void block_bitmap_csum(void* context, uint64_t group, FsBlock block, jbd2::BlockBytes bytes);
  static void inode_bitmap_csum(void* context, uint64_t group, FsBlock block, jbd2::BlockBytes bytes);
  static void descriptor_block_csum(void* context, uint64_t first_group, FsBlock block, jbd2::BlockBytes bytes);

  Volume& volume_;
  Geometry geometry_;
  uint32_t count_ = 0;
  std::unique_ptr<Group[]> groups_;
  std::vector<Zone> system_zone_;  // sorted, disjoint
  std::vector<jbd2::BufferRef> descriptors_;
};

}  // namespace daxfs::ext4
