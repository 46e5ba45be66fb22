#include "fs/ext4/xattr_block.h"

#include <cstring>

#include "fs/base/crc32c.h"
#include "fs/base/report.h"
#include "fs/ext4/balloc.h"
#include "fs/ext4/super.h"

namespace daxfs::ext4 {
namespace {

constexpr uint32_t kXattrMagic = 0xEA020000;

struct __attribute__((packed)) XattrHeader {
  uint32_t h_magic;
  uint32_t h_refcount;
  uint32_t h_blocks;
  uint32_t h_hash;
  uint32_t h_checksum;
  uint32_t h_reserved[3];
};
static_assert(sizeof(XattrHeader) == 32 && offsetof(XattrHeader, h_checksum) == 16);

uint32_t xattr_csum(uint32_t seed, FsBlock block, jbd2::ConstBlockBytes bytes) {
  const uint64_t number = block.value();
  const uint32_t zero = 0;
  uint32_t crc = crc32c(seed, &number, sizeof(number));
  crc = crc32c(crc, bytes.data(), offsetof(XattrHeader, h_checksum));
  crc = crc32c(crc, &zero, sizeof(zero));
  const size_t rest = offsetof(XattrHeader, h_checksum) + sizeof(zero);
  return crc32c(crc, bytes.data() + rest, bytes.size() - rest);
}

void set_xattr_csum(void* /*context*/, uint64_t seed, FsBlock block, jbd2::BlockBytes bytes) {
  const uint32_t crc = xattr_csum(static_cast<uint32_t>(seed), block, bytes);
  std::memcpy(bytes.data() + offsetof(XattrHeader, h_checksum), &crc, sizeof(crc));
}

}  // namespace

Status release_xattr_block(Volume& volume, jbd2::Handle& handle, FsBlock block) {
  if (block.value() == 0) { return ok_status(); }
  if (!volume.valid_data_blocks(block, 1)) {
    return FS_CORRUPT("extended attribute block %llu is out of range", static_cast<unsigned long long>(block.value()));
  }
  FS_ASSIGN_OR_RETURN(const auto buffer, volume.buffers().get(block));
  const auto* header = buffer->as<XattrHeader>();
  if (header->h_magic != kXattrMagic || header->h_refcount == 0) {
    return FS_CORRUPT("extended attribute block %llu has no header", static_cast<unsigned long long>(block.value()));
  }
  if (header->h_refcount == 1) { return free_blocks(volume, handle, block, 1); }
  FS_ASSIGN_OR_RETURN(auto access, handle.get_write_access(*buffer));
  --access.as<XattrHeader>()->h_refcount;
  if (!volume.geometry().metadata_csum()) { return handle.dirty_metadata(*buffer); }
  return handle.dirty_metadata(
      *buffer, {.function = set_xattr_csum, .context = nullptr, .argument = volume.geometry().csum_seed});
}

}  // namespace daxfs::ext4
