#include "fs/ext4/namei.h"

#include <cstring>

#include "fs/base/report.h"
#include "fs/ext4/dir.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/inode_locks.h"
#include "fs/ext4/namei_internal.h"
#include "fs/ext4/orphan.h"
#include "fs/ext4/super.h"

namespace daxfs::ext4 {
namespace internal {

Status may_change(const Inode& dir) {
  if (dir.links() == 0) { return Errc::kNoEnt; }  // a removed directory that somebody still holds open
  if ((dir.flags() & kFlagImmutable) != 0) { return Errc::kPerm; }
  return ok_status();
}

Status may_remove(const Inode& dir, const Inode& victim) {
  if ((dir.flags() & kFlagAppend) != 0) { return Errc::kPerm; }
  if ((victim.flags() & (kFlagAppend | kFlagImmutable)) != 0) { return Errc::kPerm; }
  return ok_status();
}

void add_subdirectory(Inode& dir) {
  // 1 means "too many to count" (feature dir_nlink).
  if (dir.links() != 1) { dir.set_links(dir.links() + 1); }
}

void drop_subdirectory(Inode& dir) {
  if (dir.links() > 2) { dir.set_links(dir.links() - 1); }
}

Status touch_directory(jbd2::Handle& handle, Inode& dir, TimeSpec now) {
  dir.update_times(now, /*mtime=*/true, /*ctime=*/true);
  return dir.mark_dirty(handle);
}

Status drop_link(jbd2::Handle& handle, Inode& inode, TimeSpec now) {
  inode.set_links(inode.is_directory() || inode.links() == 0 ? 0 : inode.links() - 1);
  inode.update_times(now, /*mtime=*/false, /*ctime=*/true);
  if (inode.links() == 0) { FS_RETURN_IF_ERROR(orphan_add(inode.volume(), handle, inode.ino())); }
  return inode.mark_dirty(handle);
}

Status abandon(jbd2::Handle& handle, Inode& inode) {
  inode.set_links(0);
  FS_RETURN_IF_ERROR(orphan_add(inode.volume(), handle, inode.ino()));
  return inode.mark_dirty(handle);
}

}  // namespace internal

namespace {

using internal::abandon;
using internal::kCredits;

// Gives a fresh inode its name; on failure the inode is left without links. REQUIRES: dir locked, name free.
Status add_name(jbd2::Handle& handle, Inode& dir, std::string_view name, Inode& inode, uint32_t links) {
  inode.set_links(links);
  const Status added = dir_add(handle, dir, name, inode.ino(), file_type_of_mode(inode.attributes().mode));
  if (!added.ok()) {
    abandon(handle, inode).ignore_error("the first error is the one to report; the orphan list repairs the rest");
    return added;
  }
  FS_RETURN_IF_ERROR(inode.mark_dirty(handle));
  return internal::touch_directory(handle, dir, current_time());
}

Result<InodeRef> create_locked(Inode& dir, std::string_view name, uint16_t mode) {
  Volume& volume = dir.volume();
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(volume.journal(), kCredits));
  auto created = volume.inodes().create(handle, dir, mode);
  if (!created.ok()) {
    handle.stop().ignore_error("nothing was changed");
    return created.error();
  }
  const Status added = add_name(handle, dir, name, **created, 1);
  FS_RETURN_IF_ERROR(handle.stop(added));
  return std::move(created).value();
}

Status mkdir_locked(jbd2::Handle& handle, Inode& dir, std::string_view name, Inode& child) {
  child.set_links(2);
  const Status initialised = dir_init(handle, child, dir.ino());
  if (!initialised.ok()) {
    abandon(handle, child).ignore_error("the first error is the one to report");
    return initialised;
  }
  FS_RETURN_IF_ERROR(add_name(handle, dir, name, child, 2));
  internal::add_subdirectory(dir);
  return dir.mark_dirty(handle);
}

// Removes the name `slot` of `victim`. REQUIRES: both locked.
Status remove_name(Inode& dir, const DirSlot& slot, Inode& victim) {
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(dir.volume().journal(), kCredits));
  const TimeSpec now = current_time();
  Status status = dir_remove(handle, dir, slot);
  if (status.ok()) {
    if (victim.is_directory()) { internal::drop_subdirectory(dir); }
    status = internal::touch_directory(handle, dir, now);
  }
  if (status.ok()) { status = internal::drop_link(handle, victim, now); }
  return handle.stop(status);
}

struct Found {
  DirSlot slot;
  InodeRef inode;
};

// REQUIRES: dir locked.
Result<Found> find_existing(Inode& dir, std::string_view name) {
  FS_ASSIGN_OR_RETURN(const auto slot, dir_find(dir, name));
  if (!slot) { return Errc::kNoEnt; }
  FS_ASSIGN_OR_RETURN(auto inode, dir.volume().inodes().iget(slot->ino));
  return Found{*slot, std::move(inode)};
}

Status require_absent(Inode& dir, std::string_view name) {
  FS_ASSIGN_OR_RETURN(const auto slot, dir_find(dir, name));
  if (slot) { return Errc::kExist; }
  if (dir.volume().read_only()) { return Errc::kRoFs; }
  return internal::may_change(dir);
}

Status write_symlink_block(jbd2::Handle& handle, Inode& inode, std::string_view target) {
  MapRequest request;
  request.lblk = LogicalBlock(0);
  request.len = 1;
  request.flags = MapRequest::kCreate;
  FS_ASSIGN_OR_RETURN(const MapResult mapped, map_blocks(&handle, inode, request));
  FS_ASSIGN_OR_RETURN(const auto buffer, inode.volume().buffers().get_new(mapped.pblk));
  FS_ASSIGN_OR_RETURN(auto access, handle.get_write_access(*buffer));
  std::memcpy(access.bytes().data(), target.data(), target.size());
  return handle.dirty_metadata(*buffer);
}

Status fill_symlink(jbd2::Handle& handle, Inode& inode, std::string_view target) {
  if (target.size() < sizeof(Inode::RootBytes)) {
    inode.set_block_format(BlockFormat::kNone);
    inode.i_block() = {};
    std::memcpy(inode.i_block().data(), target.data(), target.size());
  } else {
    FS_RETURN_IF_ERROR(write_symlink_block(handle, inode, target));
  }
  inode.set_i_size(target.size());
  inode.set_i_disksize(target.size());
  return inode.mark_data_dirty(handle);
}

constexpr size_t kSymlinkMax = 4095;  // bytes

}  // namespace

Result<InodeRef> lookup(Inode& dir, std::string_view name) {
  const rt::ReadLock lock(dir.i_rwsem);
  FS_ASSIGN_OR_RETURN(const auto slot, dir_find(dir, name));
  if (!slot) { return Errc::kNoEnt; }
  return dir.volume().inodes().iget(slot->ino);
}

Result<OpenedName> lookup_or_create(Inode& dir, std::string_view name, uint16_t permissions, bool exclusive) {
  InodeLocks locks;
  locks.lock(dir);
  FS_ASSIGN_OR_RETURN(const auto slot, dir_find(dir, name));
  if (slot) {
    if (exclusive) { return Errc::kExist; }
    FS_ASSIGN_OR_RETURN(auto inode, dir.volume().inodes().iget(slot->ino));
    return OpenedName{std::move(inode), false};
  }
  if (dir.volume().read_only()) { return Errc::kRoFs; }
  FS_RETURN_IF_ERROR(internal::may_change(dir));
  auto created = create_locked(dir, name, static_cast<uint16_t>(kModeRegular | (permissions & 07777)));
  locks.unlock_all();
  FS_RETURN_IF_ERROR(created.status());
  return OpenedName{std::move(created).value(), true};
}

Result<InodeRef> create_unnamed(Inode& dir, uint16_t permissions) {
  if (dir.volume().read_only()) { return Errc::kRoFs; }
  FS_RETURN_IF_ERROR(internal::may_change(dir));
  Volume& volume = dir.volume();
  InodeLocks locks;
  locks.lock(dir);
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(volume.journal(), kCredits));
  auto created = volume.inodes().create(handle, dir, static_cast<uint16_t>(kModeRegular | (permissions & 07777)));
  const Status listed = created.ok() ? abandon(handle, **created) : created.status();
  FS_RETURN_IF_ERROR(handle.stop(listed));
  return std::move(created).value();
}

Status mkdir(Inode& dir, std::string_view name, uint16_t permissions) {
  InodeRef child;  // outlives the locks: its last put may evict
  InodeLocks locks;
  locks.lock(dir);
  FS_RETURN_IF_ERROR(require_absent(dir, name));
  if (dir.links() >= internal::kDirLinksMax) { return Errc::kMLink; }
  Volume& volume = dir.volume();
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(volume.journal(), kCredits));
  auto created = volume.inodes().create(handle, dir, static_cast<uint16_t>(kModeDirectory | (permissions & 01777)));
  if (!created.ok()) { return handle.stop(created.error()); }
  child = std::move(created).value();
  return handle.stop(mkdir_locked(handle, dir, name, *child));
}

Status rmdir(Inode& dir, std::string_view name) {
  if (dir.volume().read_only()) { return Errc::kRoFs; }
  InodeRef victim;
  InodeLocks locks;
  locks.lock(dir);
  FS_ASSIGN_OR_RETURN(auto found, find_existing(dir, name));
  victim = std::move(found.inode);
  FS_RETURN_IF_ERROR(internal::may_change(dir));
  FS_RETURN_IF_ERROR(internal::may_remove(dir, *victim));
  if (!victim->is_directory()) { return Errc::kNotDir; }
  locks.lock(*victim);
  FS_ASSIGN_OR_RETURN(const bool empty, dir_is_empty(*victim));
  if (!empty) { return Errc::kNotEmpty; }
  return remove_name(dir, found.slot, *victim);
}

Status unlink(Inode& dir, std::string_view name) {
  if (dir.volume().read_only()) { return Errc::kRoFs; }
  InodeRef victim;
  InodeLocks locks;
  locks.lock(dir);
  FS_ASSIGN_OR_RETURN(auto found, find_existing(dir, name));
  victim = std::move(found.inode);
  FS_RETURN_IF_ERROR(internal::may_change(dir));
  FS_RETURN_IF_ERROR(internal::may_remove(dir, *victim));
  if (victim->is_directory()) { return Errc::kIsDir; }
  locks.lock(*victim);
  return remove_name(dir, found.slot, *victim);
}

Status link(Inode& target, Inode& dir, std::string_view name) {
  InodeLocks locks;
  locks.lock(dir);
  FS_RETURN_IF_ERROR(require_absent(dir, name));
  if ((target.flags() & (kFlagAppend | kFlagImmutable)) != 0) { return Errc::kPerm; }
  if (target.is_directory()) { return Errc::kPerm; }
  locks.lock(target);
  if (target.links() == 0) { return Errc::kNoEnt; }
  if (target.links() >= internal::kDirLinksMax) { return Errc::kMLink; }
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(dir.volume().journal(), kCredits));
  const TimeSpec now = current_time();
  Status status = dir_add(handle, dir, name, target.ino(), file_type_of_mode(target.attributes().mode));
  if (status.ok()) {
    target.set_links(target.links() + 1);
    target.update_times(now, /*mtime=*/false, /*ctime=*/true);
    status = target.mark_dirty(handle);
  }
  if (status.ok()) { status = internal::touch_directory(handle, dir, now); }
  return handle.stop(status);
}

Status symlink(Inode& dir, std::string_view name, std::string_view target) {
  if (target.empty()) { return Errc::kNoEnt; }
  if (target.size() > kSymlinkMax) { return Errc::kNameTooLong; }
  InodeRef child;
  InodeLocks locks;
  locks.lock(dir);
  FS_RETURN_IF_ERROR(require_absent(dir, name));
  Volume& volume = dir.volume();
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(volume.journal(), kCredits));
  auto created = volume.inodes().create(handle, dir, static_cast<uint16_t>(kModeSymlink | 0777));
  if (!created.ok()) { return handle.stop(created.error()); }
  child = std::move(created).value();
  Status status = fill_symlink(handle, *child, target);
  if (status.ok()) {
    status = add_name(handle, dir, name, *child, 1);
  } else {
    abandon(handle, *child).ignore_error("the first error is the one to report");
  }
  return handle.stop(status);
}

Result<std::string> readlink(Inode& inode) {
  const uint64_t size = inode.i_size();
  if (size == 0 || size > kSymlinkMax) {
    return FS_CORRUPT("symlink inode %u has size %llu", inode.ino().value(), static_cast<unsigned long long>(size));
  }
  if ((inode.flags() & kFlagExtents) == 0 && size < sizeof(Inode::RootBytes)) {
    const rt::ReadLock lock(inode.i_data_sem);
    return std::string(reinterpret_cast<const char*>(std::as_const(inode).i_block().data()), size);
  }
  MapRequest request;
  request.lblk = LogicalBlock(0);
  request.len = 1;
  FS_ASSIGN_OR_RETURN(const MapResult mapped, map_blocks(nullptr, inode, request));
  if (mapped.state != BlockState::kWritten) { return FS_CORRUPT("symlink inode %u has no block", inode.ino().value()); }
  FS_ASSIGN_OR_RETURN(const auto buffer, inode.volume().buffers().get(mapped.pblk));
  return std::string(reinterpret_cast<const char*>(buffer->data().data()), size);
}

}  // namespace daxfs::ext4
