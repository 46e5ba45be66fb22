// fs/ext4/format.h - the ext4 disk format: superblock, group descriptor, inode, extent node.
//
// Source: Linux Documentation/filesystems/ext4/ (super.rst, group_descr.rst, inodes.rst, ifork.rst). Little-endian,
// packed; fs/ext4/format_assertions.h pins sizes and offsets. Directories: fs/ext4/dir_block.h.
// Locking: none, plain bytes.  Tested by: fs/ext4/format_test.cc.
#pragma once

#include <cstdint>

namespace daxfs::ext4 {

// How i_block of an inode is to be read: not as block numbers (but a device's, or the target of a short symbolic link),
// as the root of an extent tree, or as the old map of direct and indirect blocks.
enum class BlockFormat : uint8_t { kNone, kExtents, kIndirect };

inline constexpr uint16_t kSuperMagic = 0xEF53;
inline constexpr uint64_t kSuperOffset = 1024;  // bytes from the start of the device
inline constexpr uint32_t kRootIno = 2;
inline constexpr uint32_t kJournalIno = 8;
inline constexpr uint32_t kFirstInoMin = 11;  // EXT4_GOOD_OLD_FIRST_INO
inline constexpr uint32_t kGoodOldInodeSize = 128;
inline constexpr uint32_t kDescSizeMin = 32;
inline constexpr uint32_t kDescSize64 = 64;
inline constexpr uint64_t kMaxFileSize = 17592186040320;  // 2^44 - 4096: 32-bit logical blocks

// s_state
inline constexpr uint16_t kStateValid = 1;
inline constexpr uint16_t kStateError = 2;
inline constexpr uint16_t kStateOrphan = 4;

// s_feature_compat
inline constexpr uint32_t kCompatHasJournal = 0x4;
inline constexpr uint32_t kCompatResizeInode = 0x10;
inline constexpr uint32_t kCompatDirIndex = 0x20;
inline constexpr uint32_t kCompatSparseSuper2 = 0x200;
// s_feature_incompat
inline constexpr uint32_t kIncompatFiletype = 0x2;
inline constexpr uint32_t kIncompatRecover = 0x4;
inline constexpr uint32_t kIncompatExtents = 0x40;
inline constexpr uint32_t kIncompat64Bit = 0x80;
inline constexpr uint32_t kIncompatFlexBg = 0x200;
inline constexpr uint32_t kIncompatCsumSeed = 0x2000;
// s_feature_ro_compat
inline constexpr uint32_t kRoCompatSparseSuper = 0x1;
inline constexpr uint32_t kRoCompatLargeFile = 0x2;
inline constexpr uint32_t kRoCompatBtreeDir = 0x4;
inline constexpr uint32_t kRoCompatHugeFile = 0x8;
inline constexpr uint32_t kRoCompatGdtCsum = 0x10;
inline constexpr uint32_t kRoCompatDirNlink = 0x20;
inline constexpr uint32_t kRoCompatExtraIsize = 0x40;
inline constexpr uint32_t kRoCompatMetadataCsum = 0x400;

// bg_flags
inline constexpr uint16_t kGroupInodeUninit = 1;  // inode bitmap and table not initialised
inline constexpr uint16_t kGroupBlockUninit = 2;  // block bitmap not initialised
inline constexpr uint16_t kGroupInodeZeroed = 4;  // inode table zeroed on disk

inline constexpr uint8_t kCsumTypeCrc32c = 1;

struct __attribute__((packed)) SuperBlock {
  uint32_t s_inodes_count;
  uint32_t s_blocks_count_lo;
  uint32_t s_r_blocks_count_lo;
  uint32_t s_free_blocks_count_lo;
  uint32_t s_free_inodes_count;
  uint32_t s_first_data_block;
  uint32_t s_log_block_size;
  uint32_t s_log_cluster_size;
  uint32_t s_blocks_per_group;
  uint32_t s_clusters_per_group;
  uint32_t s_inodes_per_group;
  uint32_t s_mtime;
  uint32_t s_wtime;
  uint16_t s_mnt_count;
  uint16_t s_max_mnt_count;
  uint16_t s_magic;
  uint16_t s_state;
  uint16_t s_errors;
  uint16_t s_minor_rev_level;
  uint32_t s_lastcheck;
  uint32_t s_checkinterval;
  uint32_t s_creator_os;
  uint32_t s_rev_level;
  uint16_t s_def_resuid;
  uint16_t s_def_resgid;
  uint32_t s_first_ino;
  uint16_t s_inode_size;
  uint16_t s_block_group_nr;
  uint32_t s_feature_compat;
  uint32_t s_feature_incompat;
  uint32_t s_feature_ro_compat;
  uint8_t s_uuid[16];
  char s_volume_name[16];
  char s_last_mounted[64];
  uint32_t s_algorithm_usage_bitmap;
  uint8_t s_prealloc_blocks;
  uint8_t s_prealloc_dir_blocks;
  uint16_t s_reserved_gdt_blocks;
  uint8_t s_journal_uuid[16];
  uint32_t s_journal_inum;
  uint32_t s_journal_dev;
  uint32_t s_last_orphan;
  uint32_t s_hash_seed[4];
  uint8_t s_def_hash_version;
  uint8_t s_jnl_backup_type;
  uint16_t s_desc_size;
  uint32_t s_default_mount_opts;
  uint32_t s_first_meta_bg;
  uint32_t s_mkfs_time;
  uint32_t s_jnl_blocks[17];
  uint32_t s_blocks_count_hi;
  uint32_t s_r_blocks_count_hi;
  uint32_t s_free_blocks_count_hi;
  uint16_t s_min_extra_isize;
  uint16_t s_want_extra_isize;
  uint32_t s_flags;
  uint16_t s_raid_stride;
  uint16_t s_mmp_update_interval;
  uint64_t s_mmp_block;
  uint32_t s_raid_stripe_width;
  uint8_t s_log_groups_per_flex;
  uint8_t s_checksum_type;
  uint8_t s_encryption_level;
  uint8_t s_reserved_pad;
  uint64_t s_kbytes_written;
  uint32_t s_snapshot_inum;
  uint32_t s_snapshot_id;
  uint64_t s_snapshot_r_blocks_count;
  uint32_t s_snapshot_list;
  uint32_t s_error_count;
  uint8_t s_error_fields[104];  // first and last error: time, inode, block, function, line
  uint8_t s_mount_opts[64];
  uint32_t s_usr_quota_inum;
  uint32_t s_grp_quota_inum;
  uint32_t s_overhead_clusters;
  uint32_t s_backup_bgs[2];
  uint8_t s_encrypt_algos[4];
  uint8_t s_encrypt_pw_salt[16];
  uint32_t s_lpf_ino;
  uint32_t s_prj_quota_inum;
  uint32_t s_checksum_seed;
  uint8_t s_wtime_hi;
  uint8_t s_mtime_hi;
  uint8_t s_mkfs_time_hi;
  uint8_t s_lastcheck_hi;
  uint8_t s_first_error_time_hi;
  uint8_t s_last_error_time_hi;
  uint8_t s_first_error_errcode;
  uint8_t s_last_error_errcode;
  uint16_t s_encoding;
  uint16_t s_encoding_flags;
  uint32_t s_orphan_file_inum;
  uint32_t s_reserved[94];
  uint32_t s_checksum;

  uint64_t blocks_count() const { return join(s_blocks_count_lo, s_blocks_count_hi); }
  uint64_t reserved_blocks_count() const { return join(s_r_blocks_count_lo, s_r_blocks_count_hi); }
  uint64_t free_blocks_count() const { return join(s_free_blocks_count_lo, s_free_blocks_count_hi); }
  bool has_compat(uint32_t bits) const { return (s_feature_compat & bits) != 0; }
  bool has_incompat(uint32_t bits) const { return (s_feature_incompat & bits) != 0; }
  bool has_ro_compat(uint32_t bits) const { return (s_feature_ro_compat & bits) != 0; }

 private:
  // The high halves mean something only with 64bit.
  uint64_t join(uint32_t lo, uint32_t hi) const {
    return lo | (has_incompat(kIncompat64Bit) ? static_cast<uint64_t>(hi) << 32 : 0);
  }
};

// The first 32 bytes are the whole descriptor of a filesystem without 64bit.
struct __attribute__((packed)) GroupDescriptor {
  uint32_t bg_block_bitmap_lo;
  uint32_t bg_inode_bitmap_lo;
  uint32_t bg_inode_table_lo;
  uint16_t bg_free_blocks_count_lo;
  uint16_t bg_free_inodes_count_lo;
  uint16_t bg_used_dirs_count_lo;
  uint16_t bg_flags;
  uint32_t bg_exclude_bitmap_lo;
  uint16_t bg_block_bitmap_csum_lo;
  uint16_t bg_inode_bitmap_csum_lo;
  uint16_t bg_itable_unused_lo;
  uint16_t bg_checksum;
  uint32_t bg_block_bitmap_hi;
  uint32_t bg_inode_bitmap_hi;
  uint32_t bg_inode_table_hi;
  uint16_t bg_free_blocks_count_hi;
  uint16_t bg_free_inodes_count_hi;
  uint16_t bg_used_dirs_count_hi;
  uint16_t bg_itable_unused_hi;
  uint32_t bg_exclude_bitmap_hi;
  uint16_t bg_block_bitmap_csum_hi;
  uint16_t bg_inode_bitmap_csum_hi;
  uint32_t bg_reserved;
};

// i_flags live in fs/ext4/inode.h. The bytes behind i_extra_isize belong to extended attributes.
struct __attribute__((packed)) RawInode {
  uint16_t i_mode;
  uint16_t i_uid;
  uint32_t i_size_lo;
  uint32_t i_atime;
  uint32_t i_ctime;
  uint32_t i_mtime;
  uint32_t i_dtime;  // also the next inode of the orphan list: fs/ext4/orphan.h owns it while the inode is listed
  uint16_t i_gid;
  uint16_t i_links_count;
  uint32_t i_blocks_lo;
  uint32_t i_flags;
  uint32_t i_version;
  uint8_t i_block[60];
  uint32_t i_generation;
  uint32_t i_file_acl_lo;
  uint32_t i_size_high;
  uint32_t i_obso_faddr;
  uint16_t i_blocks_high;
  uint16_t i_file_acl_high;
  uint16_t i_uid_high;
  uint16_t i_gid_high;
  uint16_t i_checksum_lo;
  uint16_t i_reserved;
  // Only with an inode size above 128, and only the first i_extra_isize bytes from here:
  uint16_t i_extra_isize;
  uint16_t i_checksum_hi;
  uint32_t i_ctime_extra;
  uint32_t i_mtime_extra;
  uint32_t i_atime_extra;
  uint32_t i_crtime;
  uint32_t i_crtime_extra;
  uint32_t i_version_hi;
  uint32_t i_projid;

  uint64_t size() const { return i_size_lo | static_cast<uint64_t>(i_size_high) << 32; }
  void set_size(uint64_t bytes) {
    i_size_lo = static_cast<uint32_t>(bytes);
    i_size_high = static_cast<uint32_t>(bytes >> 32);
  }
};

inline constexpr uint16_t kWantExtraIsize = sizeof(RawInode) - kGoodOldInodeSize;  // 32

// --- extent tree: a node is a header, then entries; the root is the inode's i_block.
inline constexpr uint16_t kExtentMagic = 0xF30A;
inline constexpr uint16_t kExtentInitMax = 32768;  // ee_len above: unwritten, length ee_len - 32768
inline constexpr uint16_t kExtentUnwrittenMax = 32767;
inline constexpr uint16_t kExtentDepthMax = 5;

struct __attribute__((packed)) ExtentHeader {
  uint16_t eh_magic;
  uint16_t eh_entries;
  uint16_t eh_max;
  uint16_t eh_depth;
  uint32_t eh_generation;
};

struct __attribute__((packed)) ExtentIndex {
  uint32_t ei_block;
  uint32_t ei_leaf_lo;
  uint16_t ei_leaf_hi;
  uint16_t ei_unused;

  uint64_t leaf() const { return ei_leaf_lo | static_cast<uint64_t>(ei_leaf_hi) << 32; }
  void set_leaf(uint64_t block) {
    ei_leaf_lo = static_cast<uint32_t>(block);
    ei_leaf_hi = static_cast<uint16_t>(block >> 32);
  }
};

struct __attribute__((packed)) ExtentEntry {
  uint32_t ee_block;
  uint16_t ee_len;
  uint16_t ee_start_hi;
  uint32_t ee_start_lo;

  uint64_t start() const { return ee_start_lo | static_cast<uint64_t>(ee_start_hi) << 32; }
  void set_start(uint64_t block) {
    ee_start_lo = static_cast<uint32_t>(block);
    ee_start_hi = static_cast<uint16_t>(block >> 32);
  }
  bool unwritten() const { return ee_len > kExtentInitMax; }
  uint32_t length() const { return unwritten() ? ee_len - kExtentInitMax : ee_len; }
};

// Behind the eh_max entries of a node that is a block; crc32c(inode seed, bytes before it).
struct __attribute__((packed)) ExtentTail {
  uint32_t et_checksum;
};

}  // namespace daxfs::ext4
