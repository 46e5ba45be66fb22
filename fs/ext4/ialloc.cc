#include "fs/ext4/ialloc.h"

#include <algorithm>

#include "fs/base/report.h"
#include "fs/ext4/bitmap.h"
#include "fs/ext4/super.h"

namespace daxfs::ext4 {
namespace {

struct GroupRoom {
  uint32_t inodes_free;
  uint32_t blocks_free;
  uint32_t dirs_used;
};

GroupRoom look(Group& group) {
  rt::SpinGuard guard(group.lock);
  return {group.inodes_free, group.blocks_free, group.dirs_used};
}

// The group where the search for an inode begins.
uint32_t start_group(Volume& volume, Ino parent, bool directory) {
  const Geometry& geometry = volume.geometry();
  const uint32_t parent_group = geometry.group_of(parent);
  if (!directory || parent.value() != kRootIno) { return parent_group; }
  // Top-level directories spread: the one with fewest directories among groups with at least average room.
  const Groups::Totals totals = volume.groups().totals();
  const uint64_t inodes_average = totals.inodes_free / geometry.group_count;
  const uint64_t blocks_average = totals.blocks_free / geometry.group_count;
  uint32_t best = parent_group;
  uint32_t best_dirs = UINT32_MAX;
  for (uint32_t i = 0; i < geometry.group_count; ++i) {
    const GroupRoom room = look(volume.groups()[i]);
    const bool has_room =
        room.inodes_free > 0 && room.inodes_free >= inodes_average && room.blocks_free >= blocks_average;
    if (has_room && room.dirs_used < best_dirs) {
      best = i;
      best_dirs = room.dirs_used;
    }
  }
  return best;
}

// Kernel: ext4_new_inode makes the block bitmap of a group real with the group's first inode.
Status materialize_block_bitmap(Volume& volume, jbd2::Handle& handle, uint32_t index) {
  Groups& groups = volume.groups();
  Group& group = groups[index];
  {
    rt::SpinGuard guard(group.lock);
    if ((group.flags & kGroupBlockUninit) == 0) { return ok_status(); }
  }
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, groups.block_bitmap(index));
  FS_RETURN_IF_ERROR(handle.get_write_access(*buffer));
  FS_RETURN_IF_ERROR(groups.get_descriptor_access(handle, index));
  {
    rt::SpinGuard guard(group.lock);
    group.flags = static_cast<uint16_t>(group.flags & ~kGroupBlockUninit);
    groups.store_descriptor_locked(index, group);
  }
  return groups.dirty_block_bitmap(handle, index, *buffer);
}

// Takes the first free number of the group; none (0) if there is none.
Result<Ino> take_from_group(Volume& volume, jbd2::Handle& handle, uint32_t index, bool directory) {
  Groups& groups = volume.groups();
  const Geometry& geometry = volume.geometry();
  Group& group = groups[index];
  if (look(group).inodes_free == 0) { return Ino(0); }
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, groups.inode_bitmap(index));
  FS_ASSIGN_OR_RETURN(jbd2::WriteAccess access, handle.get_write_access(*buffer));
  FS_RETURN_IF_ERROR(groups.get_descriptor_access(handle, index));
  uint32_t bit;
  {
    rt::SpinGuard guard(group.lock);
    MutableBitmap bitmap(access.bytes());
    bit = bitmap.view().find_clear(index == 0 ? geometry.first_ino - 1 : 0, geometry.inodes_per_group);
    if (bit >= geometry.inodes_per_group) { return Ino(0); }
    FS_BUG_ON(group.inodes_free == 0, "GR1", "group %u: inode %u is free, the counter is 0", index, bit);
    bitmap.set(bit, bit + 1);
    --group.inodes_free;
    if (directory) { ++group.dirs_used; }
    // Inodes behind the last one ever used need no table blocks to be read by a checker.
    const bool uninit = (group.flags & kGroupInodeUninit) != 0;
    group.flags = static_cast<uint16_t>(group.flags & ~kGroupInodeUninit);
    const uint32_t used = uninit ? 0 : geometry.inodes_per_group - group.itable_unused;
    if (bit + 1 > used) { group.itable_unused = geometry.inodes_per_group - (bit + 1); }
    groups.store_descriptor_locked(index, group);
  }
  FS_RETURN_IF_ERROR(groups.dirty_inode_bitmap(handle, index, *buffer));
  FS_RETURN_IF_ERROR(groups.dirty_descriptor(handle, index));
  const Ino ino(index * geometry.inodes_per_group + bit + 1);
  FS_BUG_ON(!geometry.valid_ino(ino) || ino.value() == kRootIno, "IA1", "inode %u was handed out", ino.value());
  FS_RETURN_IF_ERROR(materialize_block_bitmap(volume, handle, index));
  return ino;
}

}  // namespace

Result<Ino> allocate_inode(Volume& volume, jbd2::Handle& handle, Ino parent, bool directory) {
  const uint32_t count = volume.geometry().group_count;
  const uint32_t start = start_group(volume, parent, directory);
  // First where there is also room for the inode's blocks, then anywhere.
  for (const bool blocks_needed : {true, false}) {
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t index = (start + i) % count;
      if (blocks_needed && look(volume.groups()[index]).blocks_free == 0) { continue; }
      FS_ASSIGN_OR_RETURN(const Ino ino, take_from_group(volume, handle, index, directory));
      if (ino.value() != 0) { return ino; }
    }
  }
  return Errc::kNoSpc;
}

Status free_inode(Volume& volume, jbd2::Handle& handle, Ino ino, bool directory) {
  const Geometry& geometry = volume.geometry();
  if (!geometry.valid_ino(ino) || ino.value() < geometry.first_ino) {
    return FS_CORRUPT("inode %u is freed, but it is reserved or out of range", ino.value());
  }
  Groups& groups = volume.groups();
  const uint32_t index = geometry.group_of(ino);
  const uint32_t bit = (ino.value() - 1) % geometry.inodes_per_group;
  Group& group = groups[index];
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, groups.inode_bitmap(index));
  FS_ASSIGN_OR_RETURN(jbd2::WriteAccess access, handle.get_write_access(*buffer));
  FS_RETURN_IF_ERROR(groups.get_descriptor_access(handle, index));
  {
    rt::SpinGuard guard(group.lock);
    MutableBitmap bitmap(access.bytes());
    if (!bitmap.view().test(bit)) { return FS_CORRUPT("inode %u is freed, but it is not in use", ino.value()); }
    if (directory && group.dirs_used == 0) {
      return FS_CORRUPT("directory %u is freed, but group %u counts no directories", ino.value(), index);
    }
    bitmap.clear(bit, bit + 1);
    ++group.inodes_free;
    if (directory) { --group.dirs_used; }
    groups.store_descriptor_locked(index, group);
  }
  FS_RETURN_IF_ERROR(groups.dirty_inode_bitmap(handle, index, *buffer));
  return groups.dirty_descriptor(handle, index);
}

}  // namespace daxfs::ext4
