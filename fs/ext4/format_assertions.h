// fs/ext4/format_assertions.h - sizes and offsets of every on-disk structure, checked by the compiler.
//
// Source of the numbers: Linux Documentation/filesystems/ext4/.  Tested by: the compiler, fs/ext4/format_test.cc.
#pragma once

#include <bit>
#include <cstddef>
#include <type_traits>

#include "fs/base/flags.h"
#include "fs/ext4/format.h"

namespace daxfs::ext4 {

static_assert(std::endian::native == std::endian::little, "on-disk integers are read in place");

static_assert(distinct_bits({kStateValid, kStateError, kStateOrphan}));
static_assert(distinct_bits({kCompatHasJournal, kCompatResizeInode, kCompatDirIndex, kCompatSparseSuper2}));
static_assert(distinct_bits({kIncompatFiletype, kIncompatRecover, kIncompatExtents, kIncompat64Bit, kIncompatFlexBg,
                             kIncompatCsumSeed}));
static_assert(distinct_bits({kRoCompatSparseSuper, kRoCompatLargeFile, kRoCompatBtreeDir, kRoCompatHugeFile,
                             kRoCompatGdtCsum, kRoCompatDirNlink, kRoCompatExtraIsize, kRoCompatMetadataCsum}));
static_assert(distinct_bits({kGroupInodeUninit, kGroupBlockUninit, kGroupInodeZeroed}));

static_assert(std::is_trivially_copyable_v<SuperBlock> && sizeof(SuperBlock) == 1024);
static_assert(offsetof(SuperBlock, s_magic) == 0x38);
static_assert(offsetof(SuperBlock, s_first_ino) == 0x54);
static_assert(offsetof(SuperBlock, s_feature_compat) == 0x5C);
static_assert(offsetof(SuperBlock, s_uuid) == 0x68);
static_assert(offsetof(SuperBlock, s_reserved_gdt_blocks) == 0xCE);
static_assert(offsetof(SuperBlock, s_journal_inum) == 0xE0);
static_assert(offsetof(SuperBlock, s_last_orphan) == 0xE8);
static_assert(offsetof(SuperBlock, s_desc_size) == 0xFE);
static_assert(offsetof(SuperBlock, s_mkfs_time) == 0x108);
static_assert(offsetof(SuperBlock, s_blocks_count_hi) == 0x150);
static_assert(offsetof(SuperBlock, s_min_extra_isize) == 0x15C);
static_assert(offsetof(SuperBlock, s_log_groups_per_flex) == 0x174);
static_assert(offsetof(SuperBlock, s_checksum_type) == 0x175);
static_assert(offsetof(SuperBlock, s_error_count) == 0x194);
static_assert(offsetof(SuperBlock, s_mount_opts) == 0x200);
static_assert(offsetof(SuperBlock, s_overhead_clusters) == 0x248);
static_assert(offsetof(SuperBlock, s_backup_bgs) == 0x24C);
static_assert(offsetof(SuperBlock, s_checksum_seed) == 0x270);
static_assert(offsetof(SuperBlock, s_orphan_file_inum) == 0x280);
static_assert(offsetof(SuperBlock, s_checksum) == 0x3FC);

static_assert(std::is_trivially_copyable_v<GroupDescriptor> && sizeof(GroupDescriptor) == 64);
static_assert(offsetof(GroupDescriptor, bg_flags) == 0x12);
static_assert(offsetof(GroupDescriptor, bg_block_bitmap_csum_lo) == 0x18);
static_assert(offsetof(GroupDescriptor, bg_itable_unused_lo) == 0x1C);
static_assert(offsetof(GroupDescriptor, bg_checksum) == 0x1E);
static_assert(offsetof(GroupDescriptor, bg_block_bitmap_hi) == 0x20);
static_assert(offsetof(GroupDescriptor, bg_block_bitmap_csum_hi) == 0x38);

static_assert(std::is_trivially_copyable_v<RawInode> && sizeof(RawInode) == 160);
static_assert(offsetof(RawInode, i_dtime) == 0x14);
static_assert(offsetof(RawInode, i_block) == 0x28);
static_assert(offsetof(RawInode, i_generation) == 0x64);
static_assert(offsetof(RawInode, i_size_high) == 0x6C);
static_assert(offsetof(RawInode, i_blocks_high) == 0x74);
static_assert(offsetof(RawInode, i_checksum_lo) == 0x7C);
static_assert(offsetof(RawInode, i_extra_isize) == 0x80);
static_assert(offsetof(RawInode, i_checksum_hi) == 0x82);
static_assert(offsetof(RawInode, i_crtime) == 0x90);
static_assert(offsetof(RawInode, i_projid) == 0x9C);

static_assert(sizeof(ExtentHeader) == 12 && sizeof(ExtentIndex) == 12 && sizeof(ExtentEntry) == 12);
static_assert(sizeof(ExtentTail) == 4);
static_assert(offsetof(ExtentIndex, ei_leaf_lo) == 4 && offsetof(ExtentEntry, ee_start_hi) == 6);

}  // namespace daxfs::ext4
