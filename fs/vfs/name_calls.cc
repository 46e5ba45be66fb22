// fs/vfs/name_calls.cc - rename, link, unlink, directories, attributes.
#include "fs/ext4/namei.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/path.h"
#include "fs/vfs/process.h"

namespace daxfs::vfs {
namespace {

// What a call that creates a name answers when the last component is no name.
Status creatable(const ParentOf& parent) { return parent.kind == LastKind::kName ? ok_status() : Status(Errc::kExist); }

// A slash behind a name that is to be created as something else than a directory: the name is missing, or no directory.
Status no_slash(const ParentOf& parent) {
  if (!parent.trailing_slash) { return ok_status(); }
  const auto existing = ext4::lookup(*parent.dir, parent.last);
  return existing.ok() ? Errc::kExist : existing.error();
}

}  // namespace

Status Process::rename(std::string_view from, std::string_view to, uint32_t flags) {
  if ((flags & ~(kRenameNoReplace | kRenameExchange | kRenameWhiteout)) != 0) { return Errc::kInval; }
  if ((flags & kRenameExchange) != 0 && flags != kRenameExchange) { return Errc::kInval; }
  FS_ASSIGN_OR_RETURN(const ParentOf old_parent, walk_parent(fs_.volume(), from));
  FS_ASSIGN_OR_RETURN(const ParentOf new_parent, walk_parent(fs_.volume(), to));
  if (old_parent.kind != LastKind::kName) { return Errc::kBusy; }
  if (new_parent.kind != LastKind::kName) { return (flags & kRenameNoReplace) != 0 ? Errc::kExist : Errc::kBusy; }
  const ext4::RenameFlags rename_flags{.no_replace = (flags & kRenameNoReplace) != 0,
                                       .exchange = (flags & kRenameExchange) != 0,
                                       .whiteout = (flags & kRenameWhiteout) != 0};
  return ext4::rename(*old_parent.dir, old_parent.last, *new_parent.dir, new_parent.last, rename_flags,
                      old_parent.trailing_slash, new_parent.trailing_slash);
}

Status Process::link(std::string_view from, std::string_view to) {
  FS_ASSIGN_OR_RETURN(const ext4::InodeRef target, walk(fs_.volume(), from, /*follow_last=*/false));
  FS_ASSIGN_OR_RETURN(const ParentOf parent, walk_parent(fs_.volume(), to));
  FS_RETURN_IF_ERROR(creatable(parent));
  FS_RETURN_IF_ERROR(no_slash(parent));
  return ext4::link(*target, *parent.dir, parent.last);
}

Status Process::symlink(std::string_view target, std::string_view path) {
  if (target.empty()) { return Errc::kNoEnt; }
  if (target.size() >= kPathMax) { return Errc::kNameTooLong; }
  FS_ASSIGN_OR_RETURN(const ParentOf parent, walk_parent(fs_.volume(), path));
  FS_RETURN_IF_ERROR(creatable(parent));
  FS_RETURN_IF_ERROR(no_slash(parent));
  return ext4::symlink(*parent.dir, parent.last, target);
}

Result<std::string> Process::readlink(std::string_view path) {
  FS_ASSIGN_OR_RETURN(const ext4::InodeRef inode, walk(fs_.volume(), path, /*follow_last=*/false));
  if (!inode->is_symlink()) { return Errc::kInval; }
  return ext4::readlink(*inode);
}

Status Process::unlink(std::string_view path) {
  FS_ASSIGN_OR_RETURN(const ParentOf parent, walk_parent(fs_.volume(), path));
  if (parent.kind != LastKind::kName) { return Errc::kIsDir; }
  if (parent.trailing_slash) {
    if (fs_.volume().read_only()) { return Errc::kRoFs; }
    FS_ASSIGN_OR_RETURN(const ext4::InodeRef inode, ext4::lookup(*parent.dir, parent.last));
    return inode->is_directory() ? Errc::kIsDir : Errc::kNotDir;
  }
  return ext4::unlink(*parent.dir, parent.last);
}

Status Process::mkdir(std::string_view path, uint16_t mode) {
  FS_ASSIGN_OR_RETURN(const ParentOf parent, walk_parent(fs_.volume(), path));
  FS_RETURN_IF_ERROR(creatable(parent));
  return ext4::mkdir(*parent.dir, parent.last, mode);
}

Status Process::rmdir(std::string_view path) {
  FS_ASSIGN_OR_RETURN(const ParentOf parent, walk_parent(fs_.volume(), path));
  switch (parent.kind) {
    case LastKind::kDot: return Errc::kInval;
    case LastKind::kDotDot: return Errc::kNotEmpty;
    case LastKind::kRoot: return Errc::kBusy;
    case LastKind::kName: break;
  }
  return ext4::rmdir(*parent.dir, parent.last);
}

Result<ext4::InodeAttributes> Process::stat(std::string_view path) {
  FS_ASSIGN_OR_RETURN(const ext4::InodeRef inode, walk(fs_.volume(), path));
  return inode->attributes();
}

Result<ext4::InodeAttributes> Process::lstat(std::string_view path) {
  FS_ASSIGN_OR_RETURN(const ext4::InodeRef inode, walk(fs_.volume(), path, /*follow_last=*/false));
  return inode->attributes();
}

Result<ext4::InodeAttributes> Process::fstat(int fd) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  return file->inode().attributes();
}

Result<ext4::StatFs> Process::statfs(std::string_view path) {
  FS_ASSIGN_OR_RETURN(const ext4::InodeRef inode, walk(fs_.volume(), path));
  return fs_.volume().statfs();
}

Result<std::vector<ext4::DirEntry>> Process::getdents(int fd) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  if (!file->inode().is_directory()) { return Errc::kNotDir; }
  const rt::MutexLock pos(file->pos_lock);
  const rt::ReadLock lock(file->inode().i_rwsem);
  std::vector<ext4::DirEntry> entries;
  if (file->inode().links() == 0) { return Errc::kNoEnt; }
  // ext4's positions are hashes of names, up to INT64_MAX: below 2^32 lies none, and what one could seek to between, no
  // caller can know, as each call reads to the end.
  if (file->pos == INT64_MAX) { return entries; }
  for (uint64_t position = 0;;) {
    FS_ASSIGN_OR_RETURN(auto entry, ext4::dir_next(file->inode(), position));
    if (!entry) { break; }
    position = entry->next_position;
    entries.push_back(std::move(*entry));
  }
  file->pos = INT64_MAX;
  return entries;
}

}  // namespace daxfs::vfs
