// fs/check/media_csum.h - the checksums of ext4 metadata, computed from bytes alone.
//
// Kernel: the *_csum functions of fs/ext4; seed convention crc32c(~0, uuid).
// Tested by: fs/check/media_test.cc, fs/check/media_corrupt_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fs/check/media_format.h"

namespace daxfs::check::media {

uint32_t super_csum(const SuperBlock& sb);
// The filesystem's seed: stored with metadata_csum_seed, else from the UUID.
uint32_t fs_seed(const SuperBlock& sb);
uint32_t inode_seed(uint32_t seed, uint32_t ino, uint32_t generation);
// `inode_bytes` is the size of the on-disk inode; only the low 16 bits are stored when there is no room for the rest.
uint32_t inode_csum(uint32_t inode_seed, const Inode& inode, uint32_t inode_bytes);
bool inode_csum_has_high(const Inode& inode, uint32_t inode_bytes);
// metadata_csum when the image has it, else the crc16 of uninit_bg.
uint16_t group_csum(const SuperBlock& sb, uint32_t seed, uint32_t group, const GroupDesc& desc, uint32_t desc_bytes);
uint32_t dir_block_csum(uint32_t inode_seed, const std::byte* block);
// `count_offset` is where the count/limit pair of the index block lies.
uint32_t dx_block_csum(uint32_t inode_seed, const std::byte* block, uint32_t count_offset, uint32_t count,
                       uint32_t limit);
uint32_t extent_block_csum(uint32_t inode_seed, const std::byte* block);
uint32_t xattr_block_csum(uint32_t seed, uint64_t block_number, const std::byte* block);
uint32_t journal_super_csum(const JournalSuper& js);

}  // namespace daxfs::check::media
