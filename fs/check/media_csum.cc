#include "fs/check/media_csum.h"

#include <cstring>

#include "fs/base/crc32c.h"

namespace daxfs::check::media {
namespace {

constexpr uint8_t kZeros[4] = {};

const std::byte* bytes_of(const void* object) { return static_cast<const std::byte*>(object); }

// CRC-16 of polynomial x^16 + x^15 + x^2 + 1, reflected.
uint16_t crc16(uint16_t crc, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) {
    crc = static_cast<uint16_t>(crc ^ bytes[i]);
    for (int bit = 0; bit < 8; ++bit) { crc = static_cast<uint16_t>((crc >> 1) ^ ((crc & 1) != 0 ? 0xa001 : 0)); }
  }
  return crc;
}

}  // namespace

uint32_t super_csum(const SuperBlock& sb) { return crc32c(~0u, &sb, offsetof(SuperBlock, checksum)); }

uint32_t fs_seed(const SuperBlock& sb) {
  if ((sb.feature_incompat & kIncompatCsumSeed) != 0) { return sb.checksum_seed; }
  return crc32c(~0u, sb.uuid, sizeof(sb.uuid));
}

uint32_t inode_seed(uint32_t seed, uint32_t ino, uint32_t generation) {
  const uint32_t words[2] = {ino, generation};
  return crc32c(seed, words, sizeof(words));
}

bool inode_csum_has_high(const Inode& inode, uint32_t inode_bytes) {
  return inode_bytes > kInodeBytesOld && inode.extra_isize >= 4;
}

uint32_t inode_csum(uint32_t seed, const Inode& inode, uint32_t inode_bytes) {
  // One copy of the part with the two fields, so that the sum runs over few long pieces.
  std::byte head[sizeof(Inode)];
  const size_t head_bytes = inode_bytes > kInodeBytesOld ? sizeof(Inode) : kInodeBytesOld;
  std::memcpy(head, &inode, head_bytes);
  std::memset(head + offsetof(Inode, checksum_lo), 0, 2);
  if (inode_csum_has_high(inode, inode_bytes)) { std::memset(head + offsetof(Inode, checksum_hi), 0, 2); }
  const uint32_t crc = crc32c(seed, head, head_bytes);
  return inode_bytes == head_bytes ? crc : crc32c(crc, bytes_of(&inode) + head_bytes, inode_bytes - head_bytes);
}

uint16_t group_csum(const SuperBlock& sb, uint32_t seed, uint32_t group, const GroupDesc& desc, uint32_t desc_bytes) {
  const std::byte* bytes = bytes_of(&desc);
  constexpr size_t kField = offsetof(GroupDesc, checksum);
  if ((sb.feature_ro_compat & kRoMetadataCsum) != 0) {
    uint32_t crc = crc32c(seed, &group, sizeof(group));
    crc = crc32c(crc, bytes, kField);
    crc = crc32c(crc, kZeros, 2);
    crc = crc32c(crc, bytes + kField + 2, desc_bytes - kField - 2);
    return static_cast<uint16_t>(crc);
  }
  uint16_t crc = crc16(0xffff, sb.uuid, sizeof(sb.uuid));
  crc = crc16(crc, &group, sizeof(group));
  crc = crc16(crc, bytes, kField);  // the field itself is skipped, not zeroed
  return crc16(crc, bytes + kField + 2, desc_bytes - kField - 2);
}

uint32_t dir_block_csum(uint32_t seed, const std::byte* block) {
  return crc32c(seed, block, kBlockBytes - kDirTailBytes);
}

uint32_t dx_block_csum(uint32_t seed, const std::byte* block, uint32_t count_offset, uint32_t count, uint32_t limit) {
  uint32_t crc = crc32c(seed, block, count_offset + count * sizeof(DxEntry));
  crc = crc32c(crc, block + count_offset + limit * sizeof(DxEntry), 4);  // the tail's reserved word
  return crc32c(crc, kZeros, 4);
}

uint32_t extent_block_csum(uint32_t seed, const std::byte* block) {
  const auto* header = reinterpret_cast<const ExtentHeader*>(block);
  return crc32c(seed, block, sizeof(ExtentHeader) + header->max * sizeof(Extent));
}

uint32_t xattr_block_csum(uint32_t seed, uint64_t block_number, const std::byte* block) {
  constexpr size_t kField = offsetof(XattrHeader, checksum);
  uint32_t crc = crc32c(seed, &block_number, sizeof(block_number));
  crc = crc32c(crc, block, kField);
  crc = crc32c(crc, kZeros, 4);
  return crc32c(crc, block + kField + 4, kBlockBytes - kField - 4);
}

uint32_t journal_super_csum(const JournalSuper& js) {
  constexpr size_t kField = offsetof(JournalSuper, checksum);
  uint32_t crc = crc32c(~0u, &js, kField);
  crc = crc32c(crc, kZeros, 4);
  return crc32c(crc, bytes_of(&js) + kField + 4, sizeof(js) - kField - 4);
}

}  // namespace daxfs::check::media
