// fs/check/media_group.cc - group descriptors: checksums, where the bitmaps and inode tables are, and their blocks.
#include <algorithm>

#include "fs/check/media_context.h"
#include "fs/check/media_csum.h"

namespace daxfs::check::media {
namespace {

bool power_of(uint32_t value, uint32_t base) {
  while (value % base == 0) { value /= base; }
  return value == 1;
}

void check_desc(Context& c, uint32_t group, GroupNote& note) {
  const GroupDesc& desc = *note.desc;
  const At here{"group", group};
  const bool wide = c.desc_bytes >= sizeof(GroupDesc);
  const uint32_t unused = desc.itable_unused_lo | (wide ? uint32_t{desc.itable_unused_hi} << 16 : 0);
  const uint32_t free_inodes = desc.free_inodes_lo | (wide ? uint32_t{desc.free_inodes_hi} << 16 : 0);
  note.itable_scan = c.inodes_per_group;
  note.flags = 0;
  if (!c.group_csum) {
    if ((desc.flags & (kGroupInodeUninit | kGroupBlockUninit)) != 0 || unused != 0) {
      complain(c, here, "uninitialised parts (flags %#x, unused %u) without group checksums", desc.flags, unused);
    }
    return;
  }
  note.flags = desc.flags;
  const uint16_t want = group_csum(*c.sb, c.seed, group, desc, c.desc_bytes);
  if (desc.checksum != want) { complain(c, here, "descriptor checksum is %#x, expected %#x", desc.checksum, want); }
  if (group == c.groups - 1 && (desc.flags & kGroupBlockUninit) != 0) {
    complain(c, here, "the last group has an uninitialised block bitmap");
  }
  if (unused > c.inodes_per_group || unused > free_inodes) {
    complain(c, here, "%u inodes unused at the end of the table, %u free", unused, free_inodes);
  } else {
    note.itable_scan = c.inodes_per_group - unused;
  }
  if ((desc.flags & kGroupInodeUninit) != 0) { note.itable_scan = 0; }
}

bool find_tables(Context& c, uint32_t group, GroupNote& note) {
  const GroupDesc& desc = *note.desc;
  const bool wide = c.desc_bytes >= sizeof(GroupDesc);
  note.block_bitmap = join(wide ? desc.block_bitmap_hi : 0, desc.block_bitmap_lo);
  note.inode_bitmap = join(wide ? desc.inode_bitmap_hi : 0, desc.inode_bitmap_lo);
  note.inode_table_block = join(wide ? desc.inode_table_hi : 0, desc.inode_table_lo);
  const bool flexible = (c.sb->feature_incompat & kIncompatFlexBg) != 0;
  const uint64_t begin = flexible ? 0 : c.group_begin(group);
  const uint64_t end = flexible ? c.blocks : c.group_end(group);
  const auto outside = [&](uint64_t block, uint64_t count) {
    return block == 0 || block < begin || block >= end || end - block < count;
  };
  const At here{"group", group};
  bool good = true;
  if (outside(note.block_bitmap, 1)) {
    complain(c, here, "block bitmap at block %llu", static_cast<unsigned long long>(note.block_bitmap));
    good = false;
  }
  if (outside(note.inode_bitmap, 1)) {
    complain(c, here, "inode bitmap at block %llu", static_cast<unsigned long long>(note.inode_bitmap));
    good = false;
  }
  if (outside(note.inode_table_block, c.itable_blocks)) {
    complain(c, here, "inode table at block %llu", static_cast<unsigned long long>(note.inode_table_block));
    good = false;
  }
  if (good) { note.inode_table = c.block(note.inode_table_block); }
  return good;
}

// Blocks of the group's own metadata that lie in the group itself: all that a BLOCK_UNINIT group may have in use.
uint32_t count_own(const Context& c, uint32_t group, const GroupNote& note, uint64_t backup) {
  const uint64_t begin = c.group_begin(group);
  const uint64_t end = c.group_end(group);
  const auto overlap = [&](uint64_t first, uint64_t count) {
    const uint64_t low = std::max(first, begin);
    const uint64_t high = std::min(first + count, end);
    return low < high ? high - low : 0;
  };
  return static_cast<uint32_t>(backup + overlap(note.block_bitmap, 1) + overlap(note.inode_bitmap, 1) +
                               overlap(note.inode_table_block, c.itable_blocks));
}

void claim_tables(Context& c, uint32_t group, GroupNote& note) {
  const At here{"group", group};
  if (!claim(c, note.inode_table_block, c.itable_blocks)) {
    complain(c, here, "inode table at block %llu overlaps other metadata",
             static_cast<unsigned long long>(note.inode_table_block));
  }
  if (!claim(c, note.block_bitmap, 1)) {
    complain(c, here, "block bitmap at block %llu overlaps other metadata",
             static_cast<unsigned long long>(note.block_bitmap));
  }
  if (!claim(c, note.inode_bitmap, 1)) {
    complain(c, here, "inode bitmap at block %llu overlaps other metadata",
             static_cast<unsigned long long>(note.inode_bitmap));
  }
}

}  // namespace

bool has_super(const Context& c, uint32_t group) {
  if (group <= 1 || (c.sb->feature_ro_compat & kRoSparseSuper) == 0) { return true; }
  return power_of(group, 3) || power_of(group, 5) || power_of(group, 7);
}

bool check_group_descs(Context& c) {
  c.s.groups.assign(c.groups, GroupNote{});
  bool good = true;
  for (uint32_t group = 0; group < c.groups; ++group) {
    GroupNote& note = c.s.groups[group];
    const uint64_t offset = uint64_t{group} * c.desc_bytes;
    note.desc = c.at<GroupDesc>(1 + offset / kBlockBytes, offset % kBlockBytes);
    check_desc(c, group, note);
    good = find_tables(c, group, note) && good;
    uint64_t backup = 0;
    if (has_super(c, group)) {
      backup = std::min<uint64_t>(1 + uint64_t{c.desc_blocks} + c.sb->reserved_gdt_blocks,
                                  c.group_end(group) - c.group_begin(group));
      claim(c, c.group_begin(group), backup);
    }
    if (good) { note.own_blocks = count_own(c, group, note, backup); }
  }
  if (!good) { return false; }
  for (uint32_t group = 0; group < c.groups; ++group) { claim_tables(c, group, c.s.groups[group]); }
  return true;
}

uint64_t Context::group_end(uint32_t group) const { return std::min(group_begin(group) + blocks_per_group, blocks); }

const Inode* Context::inode(uint32_t ino) const {
  const uint32_t group = (ino - 1) / inodes_per_group;
  const uint32_t index = (ino - 1) % inodes_per_group;
  return reinterpret_cast<const Inode*>(s.groups[group].inode_table + uint64_t{index} * inode_bytes);
}

}  // namespace daxfs::check::media
