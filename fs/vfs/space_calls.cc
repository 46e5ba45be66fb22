// fs/vfs/space_calls.cc - truncate, fallocate, sync, fiemap, inode flags.
#include "fs/ext4/fallocate.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/inode_dio.h"
#include "fs/ext4/migrate.h"
#include "fs/ext4/namei_internal.h"
#include "fs/ext4/truncate.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/path.h"
#include "fs/vfs/process.h"

namespace daxfs::vfs {
namespace {

Status set_size(ext4::Inode& inode, int64_t length) {
  const rt::WriteLock lock(inode.i_rwsem);
  return ext4::setattr_size(inode, static_cast<uint64_t>(length));
}

}  // namespace

Status Process::ftruncate(int fd, int64_t length) {
  if (length < 0) { return Errc::kInval; }
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  if (!file->inode().is_regular() || !file->writable()) { return Errc::kInval; }
  return set_size(file->inode(), length);
}

Status Process::truncate(std::string_view path, int64_t length) {
  if (length < 0) { return Errc::kInval; }
  FS_ASSIGN_OR_RETURN(const ext4::InodeRef inode, walk(fs_.volume(), path));
  if (inode->is_directory()) { return Errc::kIsDir; }
  if (!inode->is_regular()) { return Errc::kInval; }
  if (fs_.volume().read_only()) { return Errc::kRoFs; }
  return set_size(*inode, length);
}

Status Process::fallocate(int fd, uint32_t mode, int64_t offset, int64_t length) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  FS_RETURN_IF_ERROR(ext4::fallocate_check_arguments(mode, offset, length));
  if (!file->writable()) { return Errc::kBadf; }
  if (!file->inode().is_regular()) { return file->inode().is_directory() ? Errc::kIsDir : Errc::kNoDev; }
  return ext4::fallocate(file->inode(), mode, static_cast<uint64_t>(offset), static_cast<uint64_t>(length));
}

Status Process::sync_fd(int fd, bool datasync) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  // Directories have no data of their own: their blocks are metadata, written when their handle stopped.
  if (!file->inode().is_regular()) { return ok_status(); }
  return file->sync(0, UINT64_MAX, datasync);
}

Status Process::fsync(int fd) { return sync_fd(fd, false); }
Status Process::fdatasync(int fd) { return sync_fd(fd, true); }

Status Process::sync() {
  fs_.sync().ignore_error("sync(2) cannot fail; each descriptor's next fsync reports");
  return ok_status();
}

Result<std::vector<ext4::FiemapExtent>> Process::fiemap(int fd, uint64_t start, uint64_t length) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  if (length == 0) { return Errc::kInval; }
  if (ext4::beyond_max_file_bytes(file->inode(), start)) { return Errc::kFBig; }
  if (start == ext4::kMaxFileBytes) { return Errc::kInval; }  // no block can be there
  struct Collector final : ext4::FiemapVisitor {
    std::vector<ext4::FiemapExtent> extents;
    bool visit(const ext4::FiemapExtent& extent) override {
      extents.push_back(extent);
      return true;
    }
  } collector;
  FS_RETURN_IF_ERROR(ext4::fiemap(file->inode(), start, length, collector));
  return std::move(collector.extents);
}

namespace {

// `flags` are those of the inode, changed in what they may change. Kernel: ext4_fileattr_set, ext4_ioctl_setflags.
Status set_inode_flags(ext4::Inode& inode, uint32_t flags) FS_REQUIRES(inode.i_rwsem) {
  // An immutable file stays as it is as long as it stays immutable.
  const uint32_t kept = flags & inode.flags() & ext4::kFlagImmutable;
  if (kept != 0 && flags != inode.flags()) { return Errc::kPerm; }
  // Pages that are written back are write-protected: whoever stores to them has to ask the file again.
  if (inode.is_regular() && (flags & ~inode.flags() & ext4::kFlagImmutable) != 0) {
    { const ext4::DioBarrier in_flight(inode); }
    FS_RETURN_IF_ERROR(ext4::flush_file_range(inode, 0, UINT64_MAX));
  }
  const bool has_extents = inode.block_format() == ext4::BlockFormat::kExtents;
  const bool wants_extents = (flags & ext4::kFlagExtents) != 0;
  const uint32_t as_it_is = has_extents ? ext4::kFlagExtents : 0;
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(inode.volume().journal(), ext4::internal::kCredits));
  inode.set_flags((flags & ~ext4::kFlagExtents) | as_it_is);
  inode.update_times(ext4::current_time(), /*mtime=*/false, /*ctime=*/true);
  FS_RETURN_IF_ERROR(handle.stop(inode.mark_dirty(handle)));
  if (wants_extents == has_extents) { return ok_status(); }
  return wants_extents ? ext4::migrate_to_extents(inode) : ext4::migrate_to_block_map(inode);
}

}  // namespace

Status Process::setxflags(int fd, uint32_t xflags) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  // Flags that are not modelled pass, as flags do that ext4 does not know.
  if (fs_.volume().read_only()) { return Errc::kRoFs; }
  ext4::Inode& inode = file->inode();
  const rt::WriteLock lock(inode.i_rwsem);
  uint32_t flags = inode.flags() & ~(ext4::kFlagImmutable | ext4::kFlagAppend | ext4::kFlagDax);
  if ((xflags & kXflagImmutable) != 0) { flags |= ext4::kFlagImmutable; }
  if ((xflags & kXflagAppend) != 0) { flags |= ext4::kFlagAppend; }
  // Whether the inode in memory uses DAX changes only when it is loaded anew.
  if ((xflags & kXflagDax) != 0) { flags |= ext4::kFlagDax; }
  return set_inode_flags(inode, flags);
}

Status Process::setflags(int fd, uint32_t flags) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  if (fs_.volume().read_only()) { return Errc::kRoFs; }
  if ((flags & ~kFsVisible) != 0) { return Errc::kOpNotSupp; }
  ext4::Inode& inode = file->inode();
  const rt::WriteLock lock(inode.i_rwsem);
  constexpr uint32_t kModelled = kFsImmutable | kFsAppend | kFsExtents | kFsDax;
  static_assert(kModelled == (ext4::kFlagImmutable | ext4::kFlagAppend | ext4::kFlagExtents | ext4::kFlagDax));
  return set_inode_flags(inode, (inode.flags() & ~kModelled) | (flags & kModelled));
}

}  // namespace daxfs::vfs
