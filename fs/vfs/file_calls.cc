// fs/vfs/file_calls.cc - open, close, read, write, lseek.
#include "fs/ext4/file_rw.h"
#include "fs/ext4/namei.h"
#include "fs/ext4/truncate.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/path.h"
#include "fs/vfs/process.h"

namespace daxfs::vfs {
namespace {

// rw_verify_area: a position and a count that a signed 64-bit offset can carry.
Status verify_area(uint64_t pos, uint64_t length) {
  if (static_cast<int64_t>(length) < 0) { return Errc::kInval; }
  if (static_cast<int64_t>(pos) < 0 || static_cast<int64_t>(pos + length) < 0) { return Errc::kInval; }
  return ok_status();
}

bool access_ok(VirtAddr address, uint64_t length) {
  return length <= kTaskSize && address.value() <= kTaskSize - length;
}

}  // namespace

Status Process::check_transfer(const io::IovBuffer& buffer, uint64_t pos) const {
  if (buffer.is_user() && !access_ok(buffer.address(), buffer.remaining())) { return Errc::kFault; }
  return verify_area(pos, buffer.remaining());
}

Result<ext4::OpenedName> Process::open_create(std::string_view path, uint32_t flags, uint16_t mode) {
  const bool exclusive = (flags & kOpenExclusive) != 0;
  unsigned symlinks = 0;
  std::string target(path);
  ext4::InodeRef start;
  for (;;) {
    FS_ASSIGN_OR_RETURN(ParentOf parent, walk_parent(fs_.volume(), target, &symlinks, start.get()));
    if (parent.kind != LastKind::kName) { return exclusive ? Errc::kExist : Errc::kIsDir; }
    if (parent.trailing_slash) { return Errc::kIsDir; }
    FS_ASSIGN_OR_RETURN(ext4::OpenedName opened, ext4::lookup_or_create(*parent.dir, parent.last, mode, exclusive));
    if (!opened.inode->is_symlink() || (flags & kOpenNoFollow) != 0) { return opened; }
    if (++symlinks > kSymlinksMax) { return Errc::kLoop; }
    FS_ASSIGN_OR_RETURN(target, ext4::readlink(*opened.inode));
    start = std::move(parent.dir);
  }
}

namespace {

// do_open and may_open of the kernel: may this inode be opened with these flags?
Status may_open(const ext4::Inode& inode, uint32_t flags, bool created) {
  const bool wants_write = !created && (flags & (kOpenAccessMode | kOpenTruncate)) != 0;
  if (inode.is_directory() && (flags & kOpenCreate) != 0) { return Errc::kIsDir; }
  if ((flags & kOpenDirectory) != 0 && !inode.is_directory()) { return Errc::kNotDir; }
  const bool truncates = !created && (flags & kOpenTruncate) != 0 && inode.is_regular();
  if (truncates && inode.volume().read_only()) { return Errc::kRoFs; }
  if (inode.is_symlink()) { return Errc::kLoop; }
  if (inode.is_directory() && wants_write) { return Errc::kIsDir; }
  if (wants_write) {
    if (inode.volume().read_only() && inode.is_regular()) { return Errc::kRoFs; }
    if ((inode.flags() & ext4::kFlagImmutable) != 0) { return Errc::kPerm; }
  }
  if ((inode.flags() & ext4::kFlagAppend) != 0) {
    if ((flags & kOpenAccessMode) != 0 && (flags & kOpenAppend) == 0) { return Errc::kPerm; }
    if (truncates) { return Errc::kPerm; }
  }
  if (!inode.is_regular() && !inode.is_directory()) { return Errc::kNxio; }  // no drivers behind special files
  // Only regular files have a direct_IO operation.
  if (inode.is_directory() && (flags & kOpenDirect) != 0) { return Errc::kInval; }
  return ok_status();
}

}  // namespace

Result<FileRef> Process::open_existing(ext4::InodeRef inode, uint32_t flags, bool created) {
  if ((flags & kOpenPath) != 0) {
    if ((flags & kOpenDirectory) != 0 && !inode->is_directory()) { return Errc::kNotDir; }
    return FileRef::adopt(File::create(std::move(inode), flags));
  }
  FS_RETURN_IF_ERROR(may_open(*inode, flags, created));
  if ((flags & kOpenTruncate) != 0 && !created && inode->is_regular()) {
    const rt::WriteLock lock(inode->i_rwsem);
    FS_RETURN_IF_ERROR(ext4::setattr_size(*inode, 0));
  }
  return FileRef::adopt(File::create(std::move(inode), flags));
}

// open(O_TMPFILE): `path` is the directory.
Result<int> Process::open_unnamed(std::string_view path, uint32_t flags, uint16_t mode) {
  if ((flags & kOpenCreate) != 0) { return Errc::kInval; }
  if ((flags & kOpenAccessMode) == 0) { return Errc::kInval; }
  FS_ASSIGN_OR_RETURN(const ext4::InodeRef dir, walk(fs_.volume(), path, (flags & kOpenNoFollow) == 0));
  if (!dir->is_directory()) { return Errc::kNotDir; }
  FS_ASSIGN_OR_RETURN(ext4::InodeRef inode, ext4::create_unnamed(*dir, mode));
  return fds_.install(FileRef::adopt(File::create(std::move(inode), flags & ~kOpenTmpfile)));
}

Result<int> Process::open(std::string_view path, uint32_t flags, uint16_t mode) {
  if ((flags & kOpenPath) != 0) { flags &= kOpenPath | kOpenDirectory | kOpenNoFollow; }
  // Since 6.4, and in 6.1.y: before, a file was made and then not opened.
  if ((flags & kOpenCreate) != 0 && (flags & kOpenDirectory) != 0) { return Errc::kInval; }
  constexpr uint32_t kTmpfileBit = kOpenTmpfile & ~kOpenDirectory;
  if ((flags & kTmpfileBit) != 0) {
    return (flags & kOpenDirectory) != 0 ? open_unnamed(path, flags, mode) : Result<int>(Errc::kInval);
  }
  ext4::OpenedName opened;
  if ((flags & kOpenCreate) != 0) {
    FS_ASSIGN_OR_RETURN(opened, open_create(path, flags, mode));
  } else {
    FS_ASSIGN_OR_RETURN(opened.inode, walk(fs_.volume(), path, (flags & kOpenNoFollow) == 0));
  }
  FS_ASSIGN_OR_RETURN(FileRef file, open_existing(std::move(opened.inode), flags, opened.created));
  return fds_.install(std::move(file));
}

Status Process::close(int fd) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.take(fd));
  return ok_status();
}

Result<int> Process::dup(int fd) {
  FS_ASSIGN_OR_RETURN(FileRef file, fds_.get(fd));
  return fds_.install(std::move(file));
}

Result<uint32_t> Process::getfl(int fd) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  return file->flags();
}

// Kernel: setfl.
Status Process::setfl(int fd, uint32_t flags) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  const bool append_only = (file->inode().flags() & ext4::kFlagAppend) != 0;
  if (append_only && (file->flags() & kOpenAppend) != 0 && (flags & kOpenAppend) == 0) { return Errc::kPerm; }
  if (file->inode().is_directory() && (flags & kOpenDirect) != 0) { return Errc::kInval; }
  file->set_status_flags(flags);
  return ok_status();
}

Result<uint64_t> Process::read_at(File& file, io::IovBuffer& buffer, uint64_t* pos) {
  if (!file.readable()) { return Errc::kBadf; }
  FS_RETURN_IF_ERROR(check_transfer(buffer, *pos));
  if (file.inode().is_directory()) { return Errc::kIsDir; }
  buffer.truncate(kRwCountMax);
  return ext4::file_read(file.inode(), buffer, pos, file.rw_flags());
}

Result<uint64_t> Process::write_at(File& file, io::IovBuffer& buffer, uint64_t* pos) {
  if (!file.writable()) { return Errc::kBadf; }
  FS_RETURN_IF_ERROR(check_transfer(buffer, *pos));
  buffer.truncate(kRwCountMax);
  return ext4::file_write(file.inode(), buffer, pos, file.rw_flags(), &file);
}

Result<uint64_t> Process::read(int fd, VirtAddr buffer, uint64_t length) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  const rt::MutexLock lock(file->pos_lock);
  auto iov = io::IovBuffer::user(*mm_, buffer, length);
  return read_at(*file, iov, &file->pos.write());
}

Result<uint64_t> Process::write(int fd, VirtAddr buffer, uint64_t length) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  const rt::MutexLock lock(file->pos_lock);
  auto iov = io::IovBuffer::user(*mm_, buffer, length);
  return write_at(*file, iov, &file->pos.write());
}

Result<uint64_t> Process::pread(int fd, VirtAddr buffer, uint64_t length, int64_t offset) {
  if (offset < 0) { return Errc::kInval; }
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  auto iov = io::IovBuffer::user(*mm_, buffer, length);
  uint64_t pos = static_cast<uint64_t>(offset);
  return read_at(*file, iov, &pos);
}

Result<uint64_t> Process::pwrite(int fd, VirtAddr buffer, uint64_t length, int64_t offset) {
  if (offset < 0) { return Errc::kInval; }
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  auto iov = io::IovBuffer::user(*mm_, buffer, length);
  uint64_t pos = static_cast<uint64_t>(offset);
  return write_at(*file, iov, &pos);
}

Result<uint64_t> Process::read_bytes(int fd, std::span<std::byte> out) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  const rt::MutexLock lock(file->pos_lock);
  auto iov = io::IovBuffer::kernel_sink(out);
  return read_at(*file, iov, &file->pos.write());
}

Result<uint64_t> Process::write_bytes(int fd, std::span<const std::byte> bytes) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  const rt::MutexLock lock(file->pos_lock);
  auto iov = io::IovBuffer::kernel_source(bytes);
  return write_at(*file, iov, &file->pos.write());
}

Result<uint64_t> Process::pread_bytes(int fd, std::span<std::byte> out, int64_t offset) {
  if (offset < 0) { return Errc::kInval; }
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  auto iov = io::IovBuffer::kernel_sink(out);
  uint64_t pos = static_cast<uint64_t>(offset);
  return read_at(*file, iov, &pos);
}

Result<uint64_t> Process::pwrite_bytes(int fd, std::span<const std::byte> bytes, int64_t offset) {
  if (offset < 0) { return Errc::kInval; }
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  auto iov = io::IovBuffer::kernel_source(bytes);
  uint64_t pos = static_cast<uint64_t>(offset);
  return write_at(*file, iov, &pos);
}

namespace {

Result<int64_t> seek_file(ext4::Inode& inode, uint64_t pos, int64_t offset, uint32_t whence) {
  int64_t target = offset;
  switch (whence) {
    case kSeekSet: break;
    case kSeekCurrent: target = static_cast<int64_t>(static_cast<uint64_t>(offset) + pos); break;
    case kSeekEnd: target = static_cast<int64_t>(static_cast<uint64_t>(offset) + inode.i_size()); break;
    case kSeekData:
    case kSeekHole: {
      if (offset < 0) { return Errc::kNxio; }
      const auto found = whence == kSeekData ? ext4::seek_data(inode, static_cast<uint64_t>(offset))
                                             : ext4::seek_hole(inode, static_cast<uint64_t>(offset));
      if (!found.ok()) { return found.error(); }
      target = static_cast<int64_t>(*found);
      break;
    }
    default: return Errc::kInval;
  }
  if (target < 0 || ext4::beyond_max_file_bytes(inode, static_cast<uint64_t>(target))) { return Errc::kInval; }
  return target;
}

// Directory positions are opaque; the end lies at the largest offset, as ext4's hashed positions have it.
Result<int64_t> seek_directory(uint64_t pos, int64_t offset, uint32_t whence) {
  switch (whence) {
    case kSeekSet: break;
    case kSeekCurrent: offset = static_cast<int64_t>(static_cast<uint64_t>(offset) + pos); break;
    case kSeekEnd:
      if (offset > 0) { return Errc::kInval; }
      offset = INT64_MAX + offset;
      break;
    case kSeekData:
      if (offset < 0 || offset == INT64_MAX) { return Errc::kNxio; }
      break;
    case kSeekHole:
      if (offset < 0 || offset == INT64_MAX) { return Errc::kNxio; }
      offset = INT64_MAX;
      break;
    default: return Errc::kInval;
  }
  return offset < 0 ? Result<int64_t>(Errc::kInval) : Result<int64_t>(offset);
}

}  // namespace

Result<int64_t> Process::lseek(int fd, int64_t offset, uint32_t whence) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  const rt::MutexLock lock(file->pos_lock);
  auto target = file->inode().is_directory() ? seek_directory(file->pos, offset, whence)
                                             : seek_file(file->inode(), file->pos, offset, whence);
  if (target.ok()) { file->pos = static_cast<uint64_t>(*target); }
  return target;
}

}  // namespace daxfs::vfs
