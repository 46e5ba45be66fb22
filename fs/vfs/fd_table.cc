#include "fs/vfs/fd_table.h"

#include "fs/base/report.h"

namespace daxfs::vfs {

FdTable::~FdTable() {
  for (const File* file : files_) {
    FS_BUG_ON(file != nullptr, "FT1", "a descriptor table dies with open files; call Process::exit()");
  }
}

Result<int> FdTable::install(FileRef file) {
  const rt::SpinGuard guard(lock_);
  size_t fd = 0;
  while (fd < files_.size() && files_[fd] != nullptr) { ++fd; }
  if (fd >= kFdsMax) { return Errc::kMFile; }
  if (fd == files_.size()) { files_.push_back(nullptr); }
  files_[fd] = file.release();
  return static_cast<int>(fd);
}

Result<FileRef> FdTable::get(int fd) {
  const rt::SpinGuard guard(lock_);
  if (fd < 0 || static_cast<size_t>(fd) >= files_.size() || files_[static_cast<size_t>(fd)] == nullptr) {
    return Errc::kBadf;
  }
  File* file = files_[static_cast<size_t>(fd)];
  file->get();
  return FileRef::adopt(file);
}

Result<FileRef> FdTable::take(int fd) {
  const rt::SpinGuard guard(lock_);
  if (fd < 0 || static_cast<size_t>(fd) >= files_.size() || files_[static_cast<size_t>(fd)] == nullptr) {
    return Errc::kBadf;
  }
  return FileRef::adopt(std::exchange(files_[static_cast<size_t>(fd)], nullptr));
}

void FdTable::close_all() {
  for (int fd = 0;; ++fd) {
    {
      const rt::SpinGuard guard(lock_);
      if (static_cast<size_t>(fd) >= files_.size()) { break; }
    }
    take(fd).ignore_error("most numbers are free");
  }
  const rt::SpinGuard guard(lock_);
  files_.clear();
}

}  // namespace daxfs::vfs
