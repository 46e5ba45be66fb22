#include "fs/ext4/groups.h"

#include <algorithm>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "fs/base/crc32c.h"
#include "fs/base/report.h"
#include "fs/ext4/bitmap.h"
#include "fs/ext4/format_assertions.h"
#include "fs/ext4/mount_message.h"
#include "fs/ext4/super.h"

namespace daxfs::ext4 {
namespace {

constexpr size_t kChecksumOffset = offsetof(GroupDescriptor, bg_checksum);
constexpr size_t kChecksumEnd = kChecksumOffset + sizeof(uint16_t);

// CRC-16 (polynomial 0x8005 reflected), which uninit_bg used before metadata_csum.
uint16_t crc16(uint16_t crc, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) {
    crc = static_cast<uint16_t>(crc ^ bytes[i]);
    for (int bit = 0; bit < 8; ++bit) { crc = static_cast<uint16_t>((crc >> 1) ^ ((crc & 1) != 0 ? 0xA001 : 0)); }
  }
  return crc;
}

bool is_power_of(uint32_t value, uint32_t base) {
  while (value % base == 0) { value /= base; }
  return value == 1;
}

FsBlock join_block(uint32_t lo, uint32_t hi, bool wide) {
  return FsBlock(lo | (wide ? static_cast<uint64_t>(hi) << 32 : 0));
}

uint32_t join_count(uint16_t lo, uint16_t hi, bool wide) { return lo | (wide ? static_cast<uint32_t>(hi) << 16 : 0); }

}  // namespace

bool Geometry::group_has_super(uint32_t group) const {
  if (group == 0) { return true; }
  if ((feature_compat & kCompatSparseSuper2) != 0) { return group == backup_groups[0] || group == backup_groups[1]; }
  if (group == 1 || (feature_ro_compat & kRoCompatSparseSuper) == 0) { return true; }
  return group % 2 == 1 && (is_power_of(group, 3) || is_power_of(group, 5) || is_power_of(group, 7));
}

// --- descriptors

const GroupDescriptor* Groups::raw_descriptor(uint32_t index) const {
  const jbd2::Buffer& buffer = *descriptors_[index / descriptors_per_block()];
  // The last 32 bytes of a short descriptor's successor are never looked at: callers test desc_size.
  return reinterpret_cast<const GroupDescriptor*>(buffer.data().data() +
                                                  index % descriptors_per_block() * geometry_.desc_size);
}

// REQUIRES: write access to the descriptor's block in the current handle.
GroupDescriptor* Groups::raw_descriptor_for_change(uint32_t index) {
  return const_cast<GroupDescriptor*>(raw_descriptor(index));
}

uint16_t Groups::descriptor_csum(uint32_t index) const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(raw_descriptor(index));
  const uint32_t number = index;
  const uint16_t zero = 0;
  if (geometry_.metadata_csum()) {
    uint32_t crc = crc32c(geometry_.csum_seed, &number, sizeof(number));
    crc = crc32c(crc, bytes, kChecksumOffset);
    crc = crc32c(crc, &zero, sizeof(zero));
    crc = crc32c(crc, bytes + kChecksumEnd, geometry_.desc_size - kChecksumEnd);
    return static_cast<uint16_t>(crc);
  }
  uint16_t crc = crc16(0xffff, geometry_.uuid.data(), geometry_.uuid.size());
  crc = crc16(crc, &number, sizeof(number));
  crc = crc16(crc, bytes, kChecksumOffset);
  return crc16(crc, bytes + kChecksumEnd, geometry_.desc_size - kChecksumEnd);
}

Status Groups::load(const Geometry& geometry, std::string* message) {
  geometry_ = geometry;
  count_ = geometry.group_count;
  groups_ = std::make_unique<Group[]>(count_);
  descriptors_.reserve(geometry.gdt_blocks);
  for (uint32_t i = 0; i < geometry.gdt_blocks; ++i) {
    auto buffer = volume_.buffers().get(FsBlock(1) + i);
    if (!buffer.ok()) {
      return refuse(message, buffer.error(), "group descriptor block %u cannot be read (%s)", 1 + i,
                    errc_name(buffer.error()));
    }
    descriptors_.push_back(std::move(buffer).value());
  }
  for (uint32_t i = 0; i < count_; ++i) { FS_RETURN_IF_ERROR(load_group(i, message)); }
  return build_system_zone(message);
}

Status Groups::load_group(uint32_t index, std::string* message) FS_NO_THREAD_SAFETY_ANALYSIS {  // mount: nobody else
  const GroupDescriptor& raw = *raw_descriptor(index);
  const bool wide = geometry_.desc_size >= kDescSize64;
  if (geometry_.group_csum() && descriptor_csum(index) != raw.bg_checksum) {
    return refuse(message, Errc::kCorrupted, "checksum of group descriptor %u is %04x, expected %04x", index,
                  static_cast<unsigned>(raw.bg_checksum), static_cast<unsigned>(descriptor_csum(index)));
  }
  Group& group = groups_[index];
  const uint64_t first = geometry_.first_block(index).value();
  group.block_count =
      static_cast<uint32_t>(std::min<uint64_t>(geometry_.blocks_per_group, geometry_.block_count - first));
  group.block_bitmap = join_block(raw.bg_block_bitmap_lo, wide ? raw.bg_block_bitmap_hi : 0, wide);
  group.inode_bitmap = join_block(raw.bg_inode_bitmap_lo, wide ? raw.bg_inode_bitmap_hi : 0, wide);
  group.inode_table = join_block(raw.bg_inode_table_lo, wide ? raw.bg_inode_table_hi : 0, wide);
  group.blocks_free = join_count(raw.bg_free_blocks_count_lo, wide ? raw.bg_free_blocks_count_hi : 0, wide);
  group.inodes_free = join_count(raw.bg_free_inodes_count_lo, wide ? raw.bg_free_inodes_count_hi : 0, wide);
  group.dirs_used = join_count(raw.bg_used_dirs_count_lo, wide ? raw.bg_used_dirs_count_hi : 0, wide);
  group.itable_unused = join_count(raw.bg_itable_unused_lo, wide ? raw.bg_itable_unused_hi : 0, wide);
  group.flags = geometry_.group_csum() ? raw.bg_flags : 0;

  const uint64_t low = geometry_.flex_bg() ? 0 : first;
  const uint64_t high = geometry_.flex_bg() ? geometry_.block_count : first + group.block_count;
  const auto inside = [&](FsBlock block, uint64_t count) {
    return block.value() >= low && block.value() < high && high - block.value() >= count;
  };
  if (!inside(group.block_bitmap, 1)) {
    return refuse(message, Errc::kCorrupted, "block bitmap of group %u lies outside at block %llu", index,
                  static_cast<unsigned long long>(group.block_bitmap.value()));
  }
  if (!inside(group.inode_bitmap, 1)) {
    return refuse(message, Errc::kCorrupted, "inode bitmap of group %u lies outside at block %llu", index,
                  static_cast<unsigned long long>(group.inode_bitmap.value()));
  }
  if (!inside(group.inode_table, geometry_.inode_table_blocks)) {
    return refuse(message, Errc::kCorrupted, "inode table of group %u lies outside at block %llu", index,
                  static_cast<unsigned long long>(group.inode_table.value()));
  }
  if (group.blocks_free > group.block_count || group.inodes_free > geometry_.inodes_per_group ||
      group.dirs_used > geometry_.inodes_per_group || group.itable_unused > geometry_.inodes_per_group) {
    return refuse(message, Errc::kCorrupted, "counters of group descriptor %u are larger than the group", index);
  }
  return ok_status();
}

Status Groups::build_system_zone(std::string* message) {
  system_zone_.reserve(3 * count_ + 2);
  for (uint32_t i = 0; i < count_; ++i) {
    const Group& group = groups_[i];
    if (geometry_.group_has_super(i)) {
      if (geometry_.first_group_blocks > group.block_count) {
        return refuse(message, Errc::kCorrupted, "group %u is too small for its superblock and descriptors", i);
      }
      const uint64_t first = geometry_.first_block(i).value();
      system_zone_.push_back({first, first + geometry_.first_group_blocks});
    }
    system_zone_.push_back({group.block_bitmap.value(), group.block_bitmap.value() + 1});
    system_zone_.push_back({group.inode_bitmap.value(), group.inode_bitmap.value() + 1});
    system_zone_.push_back({group.inode_table.value(), group.inode_table.value() + geometry_.inode_table_blocks});
  }
  std::sort(system_zone_.begin(), system_zone_.end(), [](const Zone& a, const Zone& b) { return a.begin < b.begin; });
  size_t kept = 0;
  for (size_t i = 1; i < system_zone_.size(); ++i) {
    Zone& last = system_zone_[kept];
    if (system_zone_[i].begin < last.end) {
      return refuse(message, Errc::kCorrupted, "metadata of two kinds or groups overlaps at block %llu",
                    static_cast<unsigned long long>(system_zone_[i].begin));
    }
    if (system_zone_[i].begin == last.end) {
      last.end = system_zone_[i].end;
    } else {
      system_zone_[++kept] = system_zone_[i];
    }
  }
  system_zone_.resize(kept + 1);
  return ok_status();
}

bool Groups::overlaps_system_zone(FsBlock first, uint64_t count) const {
  const auto after = std::upper_bound(system_zone_.begin(), system_zone_.end(), first.value(),
                                      [](uint64_t block, const Zone& zone) { return block < zone.end; });
  return after != system_zone_.end() && after->begin < first.value() + count;
}

// --- bitmaps

Result<jbd2::BufferRef> Groups::block_bitmap(uint32_t index) {
  Group& group = groups_[index];
  bool uninit;
  {
    rt::SpinGuard guard(group.lock);
    uninit = (group.flags & kGroupBlockUninit) != 0;
  }
  if (uninit) { return volume_.buffers().get_filled(group.block_bitmap, {&build_block_bitmap, this, index}); }
  return volume_.buffers().get(group.block_bitmap, {&verify_block_bitmap, this, index});
}

Result<jbd2::BufferRef> Groups::inode_bitmap(uint32_t index) {
  Group& group = groups_[index];
  bool uninit;
  {
    rt::SpinGuard guard(group.lock);
    uninit = (group.flags & kGroupInodeUninit) != 0;
  }
  if (uninit) { return volume_.buffers().get_filled(group.inode_bitmap, {&build_inode_bitmap, this, index}); }
  return volume_.buffers().get(group.inode_bitmap, {&verify_inode_bitmap, this, index});
}

// Before anybody allocates from the group: so its counters can be read without the lock.
Status Groups::verify_block_bitmap(void* context, uint64_t argument, FsBlock block,
                                   jbd2::ConstBlockBytes bytes) FS_NO_THREAD_SAFETY_ANALYSIS {
  Groups& self = *static_cast<Groups*>(context);
  const Geometry& geometry = self.geometry_;
  const auto index = static_cast<uint32_t>(argument);
  const Group& group = self.groups_[index];
  if (geometry.metadata_csum()) {
    const GroupDescriptor& raw = *self.raw_descriptor(index);
    const uint32_t crc = crc32c(geometry.csum_seed, bytes.data(), geometry.blocks_per_group / 8);
    const bool matches = static_cast<uint16_t>(crc) == raw.bg_block_bitmap_csum_lo &&
                         (geometry.desc_size < kDescSize64 || crc >> 16 == raw.bg_block_bitmap_csum_hi);
    if (!matches) { return FS_CORRUPT("block bitmap of group %u: bad checksum", index); }
  }
  const Bitmap bitmap(bytes);
  if (bitmap.count_clear(group.block_count) != group.blocks_free) {
    return FS_CORRUPT("block bitmap of group %u has %u free blocks, its descriptor says %u", index,
                      bitmap.count_clear(group.block_count), group.blocks_free.get());
  }
  const uint64_t first = geometry.first_block(index).value();
  for (const Zone& zone : self.system_zone_) {
    const uint64_t begin = std::max(zone.begin, first);
    const uint64_t end = std::min(zone.end, first + group.block_count);
    if (begin < end && bitmap.any_clear(static_cast<uint32_t>(begin - first), static_cast<uint32_t>(end - first))) {
      return FS_CORRUPT("block bitmap of group %u: metadata blocks are marked free (bitmap at block %llu)", index,
                        static_cast<unsigned long long>(block.value()));
    }
  }
  return ok_status();
}

Status Groups::verify_inode_bitmap(void* context, uint64_t argument, FsBlock /*block*/,
                                   jbd2::ConstBlockBytes bytes) FS_NO_THREAD_SAFETY_ANALYSIS {  // as above
  Groups& self = *static_cast<Groups*>(context);
  const Geometry& geometry = self.geometry_;
  const auto index = static_cast<uint32_t>(argument);
  const Group& group = self.groups_[index];
  if (geometry.metadata_csum()) {
    const GroupDescriptor& raw = *self.raw_descriptor(index);
    const uint32_t crc = crc32c(geometry.csum_seed, bytes.data(), geometry.inodes_per_group / 8);
    const bool matches = static_cast<uint16_t>(crc) == raw.bg_inode_bitmap_csum_lo &&
                         (geometry.desc_size < kDescSize64 || crc >> 16 == raw.bg_inode_bitmap_csum_hi);
    if (!matches) { return FS_CORRUPT("inode bitmap of group %u: bad checksum", index); }
  }
  const Bitmap bitmap(bytes);
  if (bitmap.count_clear(geometry.inodes_per_group) != group.inodes_free) {
    return FS_CORRUPT("inode bitmap of group %u has %u free inodes, its descriptor says %u", index,
                      bitmap.count_clear(geometry.inodes_per_group), group.inodes_free.get());
  }
  if (index == 0 && bitmap.any_clear(0, geometry.first_ino - 1)) {
    return FS_CORRUPT("inode bitmap of group 0: reserved inodes are marked free");
  }
  return ok_status();
}

Status Groups::build_block_bitmap(void* context, uint64_t argument, FsBlock /*block*/,
                                  jbd2::BlockBytes bytes) FS_NO_THREAD_SAFETY_ANALYSIS {  // as above
  Groups& self = *static_cast<Groups*>(context);
  const auto index = static_cast<uint32_t>(argument);
  const Group& group = self.groups_[index];
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  MutableBitmap bitmap(bytes);
  const uint64_t first = self.geometry_.first_block(index).value();
  for (const Zone& zone : self.system_zone_) {
    const uint64_t begin = std::max(zone.begin, first);
    const uint64_t end = std::min(zone.end, first + group.block_count);
    if (begin < end) { bitmap.set(static_cast<uint32_t>(begin - first), static_cast<uint32_t>(end - first)); }
  }
  bitmap.set(group.block_count, Bitmap::kBits);
  const uint32_t clear = bitmap.view().count_clear(group.block_count);
  if (clear != group.blocks_free) {
    return FS_CORRUPT("group %u is uninitialised with %u free blocks, its descriptor says %u", index, clear,
                      group.blocks_free.get());
  }
  return ok_status();
}

Status Groups::build_inode_bitmap(void* context, uint64_t argument, FsBlock /*block*/,
                                  jbd2::BlockBytes bytes) FS_NO_THREAD_SAFETY_ANALYSIS {  // as above
  Groups& self = *static_cast<Groups*>(context);
  const auto index = static_cast<uint32_t>(argument);
  const Group& group = self.groups_[index];
  if (index == 0 || group.inodes_free != self.geometry_.inodes_per_group) {
    return FS_CORRUPT("inodes of group %u are marked uninitialised, yet in use", index);
  }
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  MutableBitmap(bytes).set(self.geometry_.inodes_per_group, Bitmap::kBits);
  return ok_status();
}

// --- changes

Status Groups::get_descriptor_access(jbd2::Handle& handle, uint32_t group) {
  return handle.get_write_access(*descriptors_[group / descriptors_per_block()]).status();
}

void Groups::store_descriptor_locked(uint32_t index, Group& group) {
  GroupDescriptor& raw = *raw_descriptor_for_change(index);
  raw.bg_free_blocks_count_lo = static_cast<uint16_t>(group.blocks_free);
  raw.bg_free_inodes_count_lo = static_cast<uint16_t>(group.inodes_free);
  raw.bg_used_dirs_count_lo = static_cast<uint16_t>(group.dirs_used);
  if (geometry_.group_csum()) {
    raw.bg_itable_unused_lo = static_cast<uint16_t>(group.itable_unused);
    raw.bg_flags = group.flags;
  }
  if (geometry_.desc_size >= kDescSize64) {
    raw.bg_free_blocks_count_hi = static_cast<uint16_t>(group.blocks_free >> 16);
    raw.bg_free_inodes_count_hi = static_cast<uint16_t>(group.inodes_free >> 16);
    raw.bg_used_dirs_count_hi = static_cast<uint16_t>(group.dirs_used >> 16);
    raw.bg_itable_unused_hi = static_cast<uint16_t>(group.itable_unused >> 16);
  }
}

Status Groups::dirty_descriptor(jbd2::Handle& handle, uint32_t group) {
  const uint32_t block = group / descriptors_per_block();
  jbd2::Buffer& buffer = *descriptors_[block];
  if (!geometry_.group_csum()) { return handle.dirty_metadata(buffer); }
  return handle.dirty_metadata(buffer, {&descriptor_block_csum, this, block * descriptors_per_block(), false});
}

Status Groups::dirty_block_bitmap(jbd2::Handle& handle, uint32_t group, jbd2::Buffer& bitmap) {
  if (!geometry_.metadata_csum()) { return handle.dirty_metadata(bitmap); }
  return handle.dirty_metadata(bitmap, {&block_bitmap_csum, this, group, true});
}

Status Groups::dirty_inode_bitmap(jbd2::Handle& handle, uint32_t group, jbd2::Buffer& bitmap) {
  if (!geometry_.metadata_csum()) { return handle.dirty_metadata(bitmap); }
  return handle.dirty_metadata(bitmap, {&inode_bitmap_csum, this, group, true});
}

void Groups::block_bitmap_csum(void* context, uint64_t group, FsBlock /*block*/, jbd2::BlockBytes bytes) {
  Groups& self = *static_cast<Groups*>(context);
  const uint32_t crc = crc32c(self.geometry_.csum_seed, bytes.data(), self.geometry_.blocks_per_group / 8);
  GroupDescriptor& raw = *self.raw_descriptor_for_change(static_cast<uint32_t>(group));
  raw.bg_block_bitmap_csum_lo = static_cast<uint16_t>(crc);
  if (self.geometry_.desc_size >= kDescSize64) { raw.bg_block_bitmap_csum_hi = static_cast<uint16_t>(crc >> 16); }
}

void Groups::inode_bitmap_csum(void* context, uint64_t group, FsBlock /*block*/, jbd2::BlockBytes bytes) {
  Groups& self = *static_cast<Groups*>(context);
  const uint32_t crc = crc32c(self.geometry_.csum_seed, bytes.data(), self.geometry_.inodes_per_group / 8);
  GroupDescriptor& raw = *self.raw_descriptor_for_change(static_cast<uint32_t>(group));
  raw.bg_inode_bitmap_csum_lo = static_cast<uint16_t>(crc);
  if (self.geometry_.desc_size >= kDescSize64) { raw.bg_inode_bitmap_csum_hi = static_cast<uint16_t>(crc >> 16); }
}

void Groups::descriptor_block_csum(void* context, uint64_t first_group, FsBlock /*block*/, jbd2::BlockBytes /*bytes*/) {
  Groups& self = *static_cast<Groups*>(context);
  const auto begin = static_cast<uint32_t>(first_group);
  const uint32_t end = std::min(begin + self.descriptors_per_block(), self.count_);
  for (uint32_t i = begin; i < end; ++i) { self.raw_descriptor_for_change(i)->bg_checksum = self.descriptor_csum(i); }
}

Groups::Totals Groups::totals() {
  Totals totals;
  for (uint32_t i = 0; i < count_; ++i) {
    Group& group = groups_[i];
    rt::SpinGuard guard(group.lock);
    totals.blocks_free += group.blocks_free;
    totals.inodes_free += group.inodes_free;
    totals.dirs += group.dirs_used;
  }
  return totals;
}

}  // namespace daxfs::ext4
