#include "fs/vfs/fd_table.h"

#include "fs/base/report.h"

namespace daxfs::vfs {

FdTable::~FdTable() {
  for (const File* file : files_.peek()) {
    FS_BUG_ON(file != nullptr, "FT1", "a descriptor table dies with open files; call Process::exit()");
  }
}

Result<int> FdTable::install(FileRef file) {
  const rt::SpinGuard guard(lock_);
  size_t fd = 0;
  while (fd < files_.get().size() && files_.get()[fd] != nullptr) { ++fd; }
  if (fd >= kFdsMax) { return Errc::kMFile; }
  if (fd == files_.get().size()) { files_.write().push_back(nullptr); }
  files_.write()[fd] = file.release();
  return static_cast<int>(fd);
}

Result<FileRef> FdTable::get(int fd) {
  const rt::SpinGuard guard(lock_);
  if (fd < 0 || static_cast<size_t>(fd) >= files_.get().size() || files_.get()[static_cast<size_t>(fd)] == nullptr) {
    return Errc::kBadf;
  }
  File* file = files_.get()[static_cast<size_t>(fd)];
  file->get();
  return FileRef::adopt(file);
}

Result<FileRef> FdTable::take(int fd) {
  const rt::SpinGuard guard(lock_);
  if (fd < 0 || static_cast<size_t>(fd) >= files_.get().size() || files_.get()[static_cast<size_t>(fd)] == nullptr) {
    return Errc::kBadf;
  }
  return FileRef::adopt(std::exchange(files_.write()[static_cast<size_t>(fd)], nullptr));
}

void FdTable::close_all() {
  for (int fd = 0;; ++fd) {
    {
      const rt::SpinGuard guard(lock_);
      if (static_cast<size_t>(fd) >= files_.get().size()) { break; }
    }
    take(fd).ignore_error("most numbers are free");
  }
  const rt::SpinGuard guard(lock_);
  files_.write().clear();
}

}  // namespace daxfs::vfs
