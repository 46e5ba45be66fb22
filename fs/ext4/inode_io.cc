#include "fs/ext4/inode_io.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "fs/base/crc32c.h"
#include "fs/base/report.h"
#include "fs/ext4/bitmap.h"
#include "fs/ext4/format_assertions.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/super.h"

namespace daxfs::ext4 {
namespace {

constexpr size_t kChecksumLo = offsetof(RawInode, i_checksum_lo);
constexpr size_t kChecksumHi = offsetof(RawInode, i_checksum_hi);
constexpr size_t kExtraIsize = offsetof(RawInode, i_extra_isize);

struct InodeLocation {
  FsBlock block;
  size_t offset = 0;  // in the block
};

InodeLocation locate(Volume& volume, Ino ino) {
  const Geometry& geometry = volume.geometry();
  const uint32_t index = (ino.value() - 1) % geometry.inodes_per_group;
  const FsBlock table = volume.groups()[geometry.group_of(ino)].inode_table;
  return {table + index / geometry.inodes_per_block(),
          static_cast<size_t>(index % geometry.inodes_per_block()) * geometry.inode_size};
}

Status check_number(const Volume& volume, Ino ino) {
  if (ino.value() == 0 || ino.value() > volume.geometry().inode_count) {
    return FS_CORRUPT("inode number %u is out of range", ino.value());
  }
  return ok_status();
}

uint16_t load16(const std::byte* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

// Bytes of a slot that the RawInode fields cover; what follows are extended attributes.
Result<size_t> covered_size(const Geometry& geometry, Ino ino, const std::byte* slot) {
  if (geometry.inode_size <= kGoodOldInodeSize) { return size_t{kGoodOldInodeSize}; }
  const size_t extra = load16(slot + kExtraIsize);
  if (extra + kGoodOldInodeSize > geometry.inode_size || extra % 4 != 0) {
    return FS_CORRUPT("inode %u: i_extra_isize %zu", ino.value(), extra);
  }
  // The two bytes of i_extra_isize itself are always there.
  return std::clamp(kGoodOldInodeSize + extra, kExtraIsize + sizeof(uint16_t), sizeof(RawInode));
}

bool stores_checksum_hi(const Geometry& geometry, const std::byte* slot) {
  return geometry.inode_size > kGoodOldInodeSize &&
         kGoodOldInodeSize + load16(slot + kExtraIsize) >= kChecksumHi + sizeof(uint16_t);
}

// Over the whole slot, its checksum fields taken as zero. Kernel: ext4_inode_csum.
uint32_t slot_csum(const Volume& volume, Ino ino, const std::byte* slot) {
  const Geometry& geometry = volume.geometry();
  const uint16_t zero = 0;
  uint32_t generation;
  std::memcpy(&generation, slot + offsetof(RawInode, i_generation), sizeof(generation));
  uint32_t crc = volume.inode_csum_seed(ino, generation);
  crc = crc32c(crc, slot, kChecksumLo);
  crc = crc32c(crc, &zero, sizeof(zero));
  size_t done = kChecksumLo + sizeof(zero);
  if (stores_checksum_hi(geometry, slot)) {
    crc = crc32c(crc, slot + done, kChecksumHi - done);
    crc = crc32c(crc, &zero, sizeof(zero));
    done = kChecksumHi + sizeof(zero);
  }
  return crc32c(crc, slot + done, geometry.inode_size - done);
}

void store_csum(const Volume& volume, Ino ino, std::byte* slot) {
  if (!volume.geometry().metadata_csum()) { return; }
  const uint32_t crc = slot_csum(volume, ino, slot);
  const auto lo = static_cast<uint16_t>(crc);
  const auto hi = static_cast<uint16_t>(crc >> 16);
  std::memcpy(slot + kChecksumLo, &lo, sizeof(lo));
  if (stores_checksum_hi(volume.geometry(), slot)) { std::memcpy(slot + kChecksumHi, &hi, sizeof(hi)); }
}

bool csum_matches(const Volume& volume, Ino ino, const std::byte* slot) {
  const uint32_t crc = slot_csum(volume, ino, slot);
  if (load16(slot + kChecksumLo) != static_cast<uint16_t>(crc)) { return false; }
  return !stores_checksum_hi(volume.geometry(), slot) || load16(slot + kChecksumHi) == crc >> 16;
}

bool all_zero(const std::byte* bytes, size_t size) {
  return std::all_of(bytes, bytes + size, [](std::byte b) { return b == std::byte{0}; });
}

// Copies the covered bytes out of a slot. REQUIRES: raw_inode_lock, or nobody else knows the inode.
Status copy_out(const Geometry& geometry, Ino ino, const std::byte* slot, RawInode* raw) {
  FS_ASSIGN_OR_RETURN(const size_t covered, covered_size(geometry, ino, slot));
  *raw = RawInode{};
  std::memcpy(static_cast<void*>(raw), slot, covered);
  return ok_status();
}

Status change_slot(Volume& volume, jbd2::Handle& handle, Ino ino, InodeChange change, bool fresh) {
  FS_RETURN_IF_ERROR(check_number(volume, ino));
  const Geometry& geometry = volume.geometry();
  const InodeLocation location = locate(volume, ino);
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, volume.buffers().get(location.block));
  FS_ASSIGN_OR_RETURN(jbd2::WriteAccess access, handle.get_write_access(*buffer));
  std::byte* slot = access.bytes().data() + location.offset;
  {
    rt::SpinGuard guard(volume.raw_inode_lock());
    if (fresh) {
      std::memset(slot, 0, geometry.inode_size);
      const uint16_t extra = kWantExtraIsize;
      if (geometry.inode_size > kGoodOldInodeSize) { std::memcpy(slot + kExtraIsize, &extra, sizeof(extra)); }
    }
    RawInode raw;
    FS_RETURN_IF_ERROR(copy_out(geometry, ino, slot, &raw));
    const size_t covered = covered_size(geometry, ino, slot).value();
    const uint16_t extra_before = raw.i_extra_isize;
    change(raw);
    FS_BUG_ON(raw.i_extra_isize != extra_before, "II1", "inode %u: a change of i_extra_isize", ino.value());
    std::memcpy(slot, static_cast<const void*>(&raw), covered);
    store_csum(volume, ino, slot);
  }
  return handle.dirty_metadata(*buffer);
}

}  // namespace

Result<RawInode> read_inode(Volume& volume, Ino ino) {
  FS_RETURN_IF_ERROR(check_number(volume, ino));
  const InodeLocation location = locate(volume, ino);
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, volume.buffers().get(location.block));
  const std::byte* slot = buffer->data().data() + location.offset;
  const Geometry& geometry = volume.geometry();
  rt::SpinGuard guard(volume.raw_inode_lock());
  RawInode raw;
  FS_RETURN_IF_ERROR(copy_out(geometry, ino, slot, &raw));
  // A slot that was never written has no checksum.
  if (geometry.metadata_csum() && !csum_matches(volume, ino, slot) && !all_zero(slot, geometry.inode_size)) {
    return FS_CORRUPT("inode %u: bad checksum", ino.value());
  }
  return raw;
}

Result<bool> inode_in_use(Volume& volume, Ino ino) {
  FS_RETURN_IF_ERROR(check_number(volume, ino));
  const Geometry& geometry = volume.geometry();
  const uint32_t group = geometry.group_of(ino);
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, volume.groups().inode_bitmap(group));
  rt::SpinGuard guard(volume.groups()[group].lock);
  return Bitmap(buffer->data()).test((ino.value() - 1) % geometry.inodes_per_group);
}

Status update_inode(Volume& volume, jbd2::Handle& handle, Ino ino, InodeChange change) {
  return change_slot(volume, handle, ino, change, false);
}

Status init_inode(Volume& volume, jbd2::Handle& handle, Ino ino, InodeChange change) {
  return change_slot(volume, handle, ino, change, true);
}

// --- fields

uint64_t raw_sectors(const Volume& volume, const RawInode& raw) {
  if (!volume.geometry().huge_file()) { return raw.i_blocks_lo; }
  const uint64_t count = raw.i_blocks_lo | static_cast<uint64_t>(raw.i_blocks_high) << 32;
  return (raw.i_flags & kFlagHugeFile) != 0 ? count * (kBlockSize / kSectorSize) : count;
}

bool set_raw_sectors(const Volume& volume, RawInode* raw, uint64_t sectors) {
  const bool huge_file = volume.geometry().huge_file();
  constexpr uint64_t kSectorsPerBlock = kBlockSize / kSectorSize;
  uint64_t stored = sectors;
  bool in_blocks = false;
  if (sectors > UINT32_MAX && huge_file && sectors > 0xffffffffffff) {
    stored = sectors / kSectorsPerBlock;
    in_blocks = true;
  }
  if (stored > (huge_file ? 0xffffffffffff : UINT32_MAX)) { return false; }
  raw->i_blocks_lo = static_cast<uint32_t>(stored);
  raw->i_blocks_high = static_cast<uint16_t>(stored >> 32);
  raw->i_flags = in_blocks ? raw->i_flags | kFlagHugeFile : raw->i_flags & ~kFlagHugeFile;
  return true;
}

// The extra field: bits 0..1 are bits 32..33 of the seconds, bits 2..31 the nanoseconds. Seconds are signed 32 bits
// plus that epoch: 1901 to 2446.
RawTime decode_time(uint32_t seconds, uint32_t extra, bool has_extra) {
  RawTime time{static_cast<int32_t>(seconds), 0};
  if (has_extra) {
    time.seconds += static_cast<int64_t>(extra & 3) << 32;
    time.nanoseconds = extra >> 2;
  }
  return time;
}

void encode_time(RawTime time, bool has_extra, uint32_t* seconds, uint32_t* extra) {
  *seconds = static_cast<uint32_t>(time.seconds);
  if (!has_extra) { return; }
  const int64_t low = static_cast<int32_t>(*seconds);
  const auto epoch = static_cast<uint32_t>((time.seconds - low) >> 32) & 3;
  *extra = epoch | time.nanoseconds << 2;
}

bool has_extra_times(const Volume& volume, const RawInode& raw) {
  return volume.geometry().inode_size > kGoodOldInodeSize &&
         kGoodOldInodeSize + raw.i_extra_isize >= offsetof(RawInode, i_crtime_extra) + sizeof(uint32_t);
}

}  // namespace daxfs::ext4
