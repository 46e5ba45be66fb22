// fs/check/media_format.h - ext4 on-disk structures as the image checker reads them; shares nothing with fs/ext4.
//
// Source: Linux ext4 disk layout documentation and the public headers of libext2fs (offsets pinned below).
// All structures are little-endian, of alignment 1, and may be laid over any bytes.
// Kernel: fs/ext4/ext4.h, fs/ext4/ext4_extents.h, fs/ext4/xattr.h, include/linux/jbd2.h.
// Tested by: the compiler, fs/check/media_test.cc.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "fs/base/flags.h"

#define MEDIA_DISK __attribute__((packed, may_alias))

namespace daxfs::check::media {

static_assert(std::endian::native == std::endian::little, "the checker reads disk integers in place");

inline constexpr uint64_t kBlockBytes = 4096;  // the only block size we check
inline constexpr uint64_t kSuperOffset = 1024;
inline constexpr uint16_t kSuperMagic = 0xEF53;
inline constexpr uint32_t kRootIno = 2;
inline constexpr uint32_t kResizeIno = 7;
inline constexpr uint32_t kJournalIno = 8;
inline constexpr uint16_t kStateValid = 1;
inline constexpr uint16_t kStateErrors = 2;

enum Compat : uint32_t {
  kCompatHasJournal = 0x4,
  kCompatExtAttr = 0x8,
  kCompatResizeInode = 0x10,
  kCompatDirIndex = 0x20
};
enum Incompat : uint32_t {
  kIncompatFiletype = 0x2,
  kIncompatRecover = 0x4,
  kIncompatExtents = 0x40,
  kIncompat64Bit = 0x80,
  kIncompatFlexBg = 0x200,
  kIncompatCsumSeed = 0x2000,
};
enum RoCompat : uint32_t {
  kRoSparseSuper = 0x1,
  kRoLargeFile = 0x2,
  kRoHugeFile = 0x8,
  kRoGdtCsum = 0x10,
  kRoDirNlink = 0x20,
  kRoExtraIsize = 0x40,
  kRoMetadataCsum = 0x400,
};
static_assert(distinct_bits({kStateValid, kStateErrors}));
static_assert(distinct_bits({kCompatHasJournal, kCompatExtAttr, kCompatResizeInode, kCompatDirIndex}));
static_assert(distinct_bits({kIncompatFiletype, kIncompatRecover, kIncompatExtents, kIncompat64Bit, kIncompatFlexBg,
                             kIncompatCsumSeed}));
static_assert(distinct_bits({kRoSparseSuper, kRoLargeFile, kRoHugeFile, kRoGdtCsum, kRoDirNlink, kRoExtraIsize,
                             kRoMetadataCsum}));
inline constexpr uint32_t kCompatSupported = kCompatHasJournal | kCompatExtAttr | kCompatResizeInode | kCompatDirIndex;
inline constexpr uint32_t kIncompatSupported =
    kIncompatFiletype | kIncompatRecover | kIncompatExtents | kIncompat64Bit | kIncompatFlexBg | kIncompatCsumSeed;
inline constexpr uint32_t kRoCompatSupported =
    kRoSparseSuper | kRoLargeFile | kRoHugeFile | kRoGdtCsum | kRoDirNlink | kRoExtraIsize | kRoMetadataCsum;

struct MEDIA_DISK SuperBlock {
  uint32_t inodes_count, blocks_count_lo, r_blocks_count_lo, free_blocks_count_lo;
  uint32_t free_inodes_count, first_data_block, log_block_size, log_cluster_size;
  uint32_t blocks_per_group, clusters_per_group, inodes_per_group, mtime;
  uint32_t wtime;
  uint16_t mnt_count, max_mnt_count, magic, state, errors, minor_rev_level;
  uint32_t lastcheck, checkinterval, creator_os, rev_level;
  uint16_t def_resuid, def_resgid;
  uint32_t first_ino;
  uint16_t inode_size, block_group_nr;
  uint32_t feature_compat, feature_incompat, feature_ro_compat;
  uint8_t uuid[16];
  char volume_name[16], last_mounted[64];
  uint32_t algorithm_usage_bitmap;
  uint8_t prealloc_blocks, prealloc_dir_blocks;
  uint16_t reserved_gdt_blocks;
  uint8_t journal_uuid[16];
  uint32_t journal_inum, journal_dev, last_orphan, hash_seed[4];
  uint8_t def_hash_version, jnl_backup_type;
  uint16_t desc_size;
  uint32_t default_mount_opts, first_meta_bg, mkfs_time, jnl_blocks[17];
  uint32_t blocks_count_hi, r_blocks_count_hi, free_blocks_count_hi;
  uint16_t min_extra_isize, want_extra_isize;
  uint32_t flags;
  uint16_t raid_stride, mmp_update_interval;
  uint64_t mmp_block;
  uint32_t raid_stripe_width;
  uint8_t log_groups_per_flex, checksum_type;
  uint16_t reserved_pad;
  uint8_t unread_1[0x270 - 0x178];
  uint32_t checksum_seed;
  uint8_t unread_2[0x3fc - 0x274];
  uint32_t checksum;
};
static_assert(sizeof(SuperBlock) == 1024 && alignof(SuperBlock) == 1);
static_assert(offsetof(SuperBlock, magic) == 0x38 && offsetof(SuperBlock, inode_size) == 0x58);
static_assert(offsetof(SuperBlock, uuid) == 0x68 && offsetof(SuperBlock, reserved_gdt_blocks) == 0xce);
static_assert(offsetof(SuperBlock, last_orphan) == 0xe8 && offsetof(SuperBlock, desc_size) == 0xfe);
static_assert(offsetof(SuperBlock, blocks_count_hi) == 0x150 && offsetof(SuperBlock, flags) == 0x160);
static_assert(offsetof(SuperBlock, checksum_type) == 0x175 && offsetof(SuperBlock, checksum_seed) == 0x270);

inline constexpr uint32_t kSuperFlagUnsignedHash = 0x2;

enum GroupFlag : uint16_t { kGroupInodeUninit = 0x1, kGroupBlockUninit = 0x2, kGroupInodeZeroed = 0x4 };
static_assert(distinct_bits({kGroupInodeUninit, kGroupBlockUninit, kGroupInodeZeroed}));

// 32 bytes without the 64bit feature, 64 (or more) with it.
struct MEDIA_DISK GroupDesc {
  uint32_t block_bitmap_lo, inode_bitmap_lo, inode_table_lo;
  uint16_t free_blocks_lo, free_inodes_lo, used_dirs_lo, flags;
  uint32_t exclude_bitmap_lo;
  uint16_t block_bitmap_csum_lo, inode_bitmap_csum_lo, itable_unused_lo, checksum;
  uint32_t block_bitmap_hi, inode_bitmap_hi, inode_table_hi;
  uint16_t free_blocks_hi, free_inodes_hi, used_dirs_hi, itable_unused_hi;
  uint32_t exclude_bitmap_hi;
  uint16_t block_bitmap_csum_hi, inode_bitmap_csum_hi;
  uint32_t reserved;
};
static_assert(sizeof(GroupDesc) == 64 && offsetof(GroupDesc, checksum) == 0x1e);
static_assert(offsetof(GroupDesc, block_bitmap_hi) == 0x20 && offsetof(GroupDesc, block_bitmap_csum_hi) == 0x38);

inline constexpr uint32_t kInodeBytesOld = 128;
struct MEDIA_DISK Inode {
  uint16_t mode, uid_lo;
  uint32_t size_lo, atime, ctime, mtime, dtime;
  uint16_t gid_lo, links_count;
  uint32_t blocks_lo, flags, version;
  uint8_t block[60];
  uint32_t generation, file_acl_lo, size_hi, faddr;
  uint16_t blocks_hi, file_acl_hi, uid_hi, gid_hi, checksum_lo, reserved;
  // Only in inodes larger than 128 bytes, and only as far as extra_isize reaches.
  uint16_t extra_isize, checksum_hi;
  uint32_t ctime_extra, mtime_extra, atime_extra, crtime, crtime_extra, version_hi, projid;
};
static_assert(sizeof(Inode) == 160 && offsetof(Inode, block) == 0x28 && offsetof(Inode, generation) == 0x64);
static_assert(offsetof(Inode, checksum_lo) == 0x7c && offsetof(Inode, extra_isize) == 0x80);
static_assert(offsetof(Inode, checksum_hi) == 0x82 && offsetof(Inode, crtime_extra) == 0x94);

enum InodeFlag : uint32_t {
  kFlagImmutable = 0x10,
  kFlagAppend = 0x20,
  kFlagEncrypt = 0x800,
  kFlagIndex = 0x1000,
  kFlagImagic = 0x2000,
  kFlagHugeFile = 0x40000,
  kFlagExtents = 0x80000,
  kFlagVerity = 0x100000,
  kFlagEaInode = 0x200000,
  kFlagInlineData = 0x10000000,
  kFlagCasefold = 0x40000000,
};
static_assert(distinct_bits({kFlagImmutable, kFlagAppend, kFlagEncrypt, kFlagIndex, kFlagImagic, kFlagHugeFile,
                             kFlagExtents, kFlagVerity, kFlagEaInode, kFlagInlineData, kFlagCasefold}));

enum Mode : uint16_t {
  kModeFifo = 0x1000,
  kModeChar = 0x2000,
  kModeDir = 0x4000,
  kModeBlock = 0x6000,
  kModeReg = 0x8000,
  kModeLink = 0xa000,
  kModeSocket = 0xc000,
  kModeMask = 0xf000,
};

inline constexpr uint16_t kExtentMagic = 0xf30a;
inline constexpr unsigned kExtentDepthMax = 5;
struct MEDIA_DISK ExtentHeader {
  uint16_t magic, entries, max, depth;
  uint32_t generation;
};
struct MEDIA_DISK Extent {
  uint32_t block;
  uint16_t len, start_hi;
  uint32_t start_lo;
};
struct MEDIA_DISK ExtentIndex {
  uint32_t block, leaf_lo;
  uint16_t leaf_hi, unused;
};
static_assert(sizeof(ExtentHeader) == 12 && sizeof(Extent) == 12 && sizeof(ExtentIndex) == 12);
inline constexpr uint32_t kExtentInitMax = 32768;  // a longer raw length means: unwritten, length minus this

struct MEDIA_DISK DirEntry {
  uint32_t inode;
  uint16_t rec_len;
  uint8_t name_len, file_type;
};
static_assert(sizeof(DirEntry) == 8);
inline constexpr unsigned kDirTailBytes = 12;
inline constexpr uint8_t kDirTailType = 0xde;

struct MEDIA_DISK DxRootInfo {
  uint32_t reserved_zero;
  uint8_t hash_version, info_length, indirect_levels, flags;
};
struct MEDIA_DISK DxEntry {
  uint32_t hash, block;
};
struct MEDIA_DISK DxCountLimit {
  uint16_t limit, count;
};
static_assert(sizeof(DxRootInfo) == 8 && sizeof(DxEntry) == 8);

inline constexpr uint32_t kXattrMagic = 0xEA020000;
struct MEDIA_DISK XattrHeader {
  uint32_t magic, refcount, blocks, hash, checksum, reserved[3];
};
struct MEDIA_DISK XattrEntry {
  uint8_t name_len, name_index;
  uint16_t value_offs;
  uint32_t value_inum, value_size, hash;
};
static_assert(sizeof(XattrHeader) == 32 && sizeof(XattrEntry) == 16);

// The journal is big-endian.
inline constexpr uint32_t kJournalMagic = 0xC03B3998;
struct MEDIA_DISK JournalSuper {
  uint32_t magic, blocktype, sequence;          // common header
  uint32_t blocksize, maxlen, first;            // static
  uint32_t log_sequence, log_start, log_errno;  // dynamic
  uint32_t feature_compat, feature_incompat, feature_ro_compat;
  uint8_t uuid[16];
  uint32_t nr_users, dynsuper, max_transaction, max_trans_data;
  uint8_t checksum_type, padding_2[3];
  uint32_t num_fc_blocks, head, padding[40], checksum;
  uint8_t users[16 * 48];
};
static_assert(sizeof(JournalSuper) == 1024 && offsetof(JournalSuper, checksum) == 0xfc);

}  // namespace daxfs::check::media
