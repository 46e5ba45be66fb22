// fs/ext4/rename.cc - rename and exchange. Order of checks: Linux 6.1 do_renameat2, vfs_rename, ext4_rename.
#include <algorithm>
#include <vector>

#include "fs/base/report.h"
#include "fs/ext4/dir.h"
#include "fs/ext4/inode_locks.h"
#include "fs/ext4/namei.h"
#include "fs/ext4/namei_internal.h"
#include "fs/ext4/super.h"
#include "fs/rt/mutex.h"

namespace daxfs::ext4 {
namespace {

constexpr size_t kDepthMax = 4096;  // directories between a directory and the root; more is a loop on the media

// Inode numbers from `dir` itself up to the root.
Result<std::vector<Ino>> path_to_root(Inode& dir) {
  std::vector<Ino> path{dir.ino()};
  InodeRef current;
  Inode* at = &dir;
  while (at->ino() != Ino(kRootIno)) {
    Ino parent;
    {
      const rt::ReadLock lock(at->i_rwsem);
      FS_ASSIGN_OR_RETURN(parent, dir_parent(*at));
    }
    if (path.size() >= kDepthMax) {
      return FS_CORRUPT("directory inode %u: '..' never reaches the root", dir.ino().value());
    }
    path.push_back(parent);
    FS_ASSIGN_OR_RETURN(auto next, dir.volume().inodes().iget(parent));
    if (!next->is_directory()) { return FS_CORRUPT("'..' leads to inode %u, no directory", parent.value()); }
    current = std::move(next);
    at = current.get();
  }
  return path;
}

// How two directories lie to each other. `trap` is the inode that must be neither moved nor replaced: the entry of the
// upper directory on the way down to the lower one; 0 when neither contains the other.
struct Relation {
  Ino trap;
  bool old_first = true;  // lock order
};

Result<Relation> relate(Inode& old_dir, Inode& new_dir) {
  FS_ASSIGN_OR_RETURN(const auto old_path, path_to_root(old_dir));
  FS_ASSIGN_OR_RETURN(const auto new_path, path_to_root(new_dir));
  const auto below_old = std::find(new_path.begin(), new_path.end(), old_dir.ino());
  if (below_old != new_path.end() && below_old != new_path.begin()) { return Relation{*(below_old - 1), true}; }
  const auto below_new = std::find(old_path.begin(), old_path.end(), new_dir.ino());
  if (below_new != old_path.end() && below_new != old_path.begin()) { return Relation{*(below_new - 1), false}; }
  return Relation{Ino(0), old_dir.ino() < new_dir.ino()};
}

struct Names {
  Inode& old_dir;
  std::string_view old_name;
  Inode& new_dir;
  std::string_view new_name;
  DirSlot old_slot;
  std::optional<DirSlot> new_slot;
  InodeRef source;
  InodeRef target;    // empty when the new name is free
  InodeRef whiteout;  // empty when none is wanted
};

Status look_up(Names& names, RenameFlags flags, bool old_slash, bool new_slash, Ino trap) {
  InodeCache& inodes = names.old_dir.volume().inodes();
  FS_ASSIGN_OR_RETURN(const auto old_slot, dir_find(names.old_dir, names.old_name));
  if (!old_slot) { return Errc::kNoEnt; }
  names.old_slot = *old_slot;
  FS_ASSIGN_OR_RETURN(names.new_slot, dir_find(names.new_dir, names.new_name));
  if (flags.no_replace && names.new_slot) { return Errc::kExist; }
  if (flags.exchange && !names.new_slot) { return Errc::kNoEnt; }
  FS_ASSIGN_OR_RETURN(names.source, inodes.iget(old_slot->ino));
  if (names.new_slot) { FS_ASSIGN_OR_RETURN(names.target, inodes.iget(names.new_slot->ino)); }
  if (flags.exchange && !names.target->is_directory() && new_slash) { return Errc::kNotDir; }
  if (!names.source->is_directory() && (old_slash || (!flags.exchange && new_slash))) { return Errc::kNotDir; }
  if (names.source->ino() == trap) { return Errc::kInval; }
  if (names.target && names.target->ino() == trap) { return flags.exchange ? Errc::kInval : Errc::kNotEmpty; }
  return ok_status();
}

Status check_kinds(const Names& names, RenameFlags flags) {
  FS_RETURN_IF_ERROR(internal::may_change(names.old_dir));
  FS_RETURN_IF_ERROR(internal::may_remove(names.old_dir, *names.source));
  FS_RETURN_IF_ERROR(internal::may_change(names.new_dir));
  if (names.target) {
    FS_RETURN_IF_ERROR(internal::may_remove(names.new_dir, *names.target));
    if (!flags.exchange && names.source->is_directory() && !names.target->is_directory()) { return Errc::kNotDir; }
    if (!flags.exchange && !names.source->is_directory() && names.target->is_directory()) { return Errc::kIsDir; }
  }
  const bool new_subdirectory = names.source->is_directory() && &names.old_dir != &names.new_dir && !names.target;
  if (new_subdirectory && names.new_dir.links() >= internal::kDirLinksMax) { return Errc::kMLink; }
  return ok_status();
}

// "..", and both parents' link counts, after `child` moved from `from` to `to`.
Status reparent(jbd2::Handle& handle, Inode& child, Inode& from, Inode& to) {
  if (!child.is_directory() || &from == &to) { return ok_status(); }
  FS_RETURN_IF_ERROR(dir_set_parent(handle, child, to.ino()));
  internal::drop_subdirectory(from);
  internal::add_subdirectory(to);
  return ok_status();
}

Status finish(jbd2::Handle& handle, Names& names, TimeSpec now) {
  names.source->update_times(now, /*mtime=*/false, /*ctime=*/true);
  FS_RETURN_IF_ERROR(names.source->mark_dirty(handle));
  FS_RETURN_IF_ERROR(internal::touch_directory(handle, names.old_dir, now));
  return internal::touch_directory(handle, names.new_dir, now);
}

FileType type_of(const Inode& inode) { return file_type_of_mode(inode.type()); }

// What stays at the old name: nothing, or a whiteout.
Status give_up_old_name(jbd2::Handle& handle, Names& names) {
  // Reloaded: the insertion of the new name may have changed the block of the old one.
  FS_ASSIGN_OR_RETURN(const auto old_slot, dir_find(names.old_dir, names.old_name));
  if (!old_slot) { return FS_CORRUPT("rename: the old name vanished from directory %u", names.old_dir.ino().value()); }
  if (!names.whiteout) { return dir_remove(handle, names.old_dir, *old_slot); }
  Inode& whiteout = *names.whiteout;
  FS_RETURN_IF_ERROR(dir_replace(handle, names.old_dir, *old_slot, whiteout.ino(), FileType::kCharDevice));
  whiteout.set_links(1);
  return whiteout.mark_dirty(handle);
}

// The steps that can run out of space come first: after them nothing fails on sound media.
Status move(jbd2::Handle& handle, Names& names) {
  const TimeSpec now = current_time();
  Inode& source = *names.source;
  if (names.target) {
    FS_RETURN_IF_ERROR(dir_replace(handle, names.new_dir, *names.new_slot, source.ino(), type_of(source)));
  } else {
    FS_RETURN_IF_ERROR(dir_add(handle, names.new_dir, names.new_name, source.ino(), type_of(source)));
  }
  FS_RETURN_IF_ERROR(give_up_old_name(handle, names));
  FS_RETURN_IF_ERROR(reparent(handle, source, names.old_dir, names.new_dir));
  if (names.target) {
    if (names.target->is_directory()) { internal::drop_subdirectory(names.new_dir); }
    FS_RETURN_IF_ERROR(internal::drop_link(handle, *names.target, now));
  }
  return finish(handle, names, now);
}

Status exchange(jbd2::Handle& handle, Names& names) {
  const TimeSpec now = current_time();
  Inode& source = *names.source;
  Inode& target = *names.target;
  FS_RETURN_IF_ERROR(dir_replace(handle, names.new_dir, *names.new_slot, source.ino(), type_of(source)));
  FS_RETURN_IF_ERROR(dir_replace(handle, names.old_dir, names.old_slot, target.ino(), type_of(target)));
  FS_RETURN_IF_ERROR(reparent(handle, source, names.old_dir, names.new_dir));
  FS_RETURN_IF_ERROR(reparent(handle, target, names.new_dir, names.old_dir));
  target.update_times(now, /*mtime=*/false, /*ctime=*/true);
  FS_RETURN_IF_ERROR(target.mark_dirty(handle));
  return finish(handle, names, now);
}

Status rename_locked(Names& names, InodeLocks& locks, RenameFlags flags) {
  if (names.target && names.source->ino() == names.target->ino()) { return ok_status(); }
  FS_RETURN_IF_ERROR(check_kinds(names, flags));
  Inode* first = names.source.get();
  Inode* second = names.target.get();
  // Directories before others, then by number: every pair of tasks agrees on the order.
  const auto order = [](const Inode& inode) { return std::pair(!inode.is_directory(), inode.ino()); };
  if (second != nullptr && order(*second) < order(*first)) { std::swap(first, second); }
  locks.lock(*first);
  if (second != nullptr) { locks.lock(*second); }
  if (names.target && !flags.exchange && names.target->is_directory()) {
    FS_ASSIGN_OR_RETURN(const bool empty, dir_is_empty(*names.target));
    if (!empty) { return Errc::kNotEmpty; }
  }
  Volume& volume = names.old_dir.volume();
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(volume.journal(), internal::kCredits));
  if (flags.exchange) { return handle.stop(exchange(handle, names)); }
  if (flags.whiteout) {
    auto created = volume.inodes().create(handle, names.old_dir, kModeCharDevice);
    if (!created.ok()) { return handle.stop(created.error()); }
    names.whiteout = std::move(created).value();
  }
  const Status status = move(handle, names);
  if (names.whiteout && names.whiteout->links() == 0) {
    internal::abandon(handle, *names.whiteout).ignore_error("the first error is the one to report");
  }
  return handle.stop(status);
}

}  // namespace

Status rename(Inode& old_dir, std::string_view old_name, Inode& new_dir, std::string_view new_name, RenameFlags flags,
              bool old_slash, bool new_slash) {
  Volume& volume = old_dir.volume();
  if (volume.read_only()) { return Errc::kRoFs; }
  // Declared first, released last: the target's last put may evict.
  Names names{old_dir, old_name, new_dir, new_name, {}, {}, {}, {}, {}};
  const bool two_dirs = &old_dir != &new_dir;
  Relation relation;
  struct RenameMutex {
    rt::Mutex* mutex = nullptr;
    ~RenameMutex() FS_NO_THREAD_SAFETY_ANALYSIS {  // taken only when the directories differ
      if (mutex != nullptr) { mutex->unlock(); }
    }
    void lock(rt::Mutex& m) FS_NO_THREAD_SAFETY_ANALYSIS {  // as above
      m.lock();
      mutex = &m;
    }
  } rename_mutex;
  if (two_dirs) {
    rename_mutex.lock(volume.rename_mutex);
    FS_ASSIGN_OR_RETURN(relation, relate(old_dir, new_dir));
  }
  InodeLocks locks;
  locks.lock(relation.old_first ? old_dir : new_dir);
  locks.lock(relation.old_first ? new_dir : old_dir);
  FS_RETURN_IF_ERROR(look_up(names, flags, old_slash, new_slash, relation.trap));
  return rename_locked(names, locks, flags);
}

}  // namespace daxfs::ext4
