// fs/vfs/fd_table.h - descriptor numbers of a process.
//
// Kernel: struct files_struct. Locking: a spinlock of its own; a File is put only after it was dropped.
// Invariants: FT1 a table dies without open files.
// Tested by: fs/vfs/fd_table_test.cc.
#pragma once

#include <vector>

#include "fs/base/result.h"
#include "fs/rt/shared.h"
#include "fs/rt/spinlock.h"
#include "fs/vfs/file.h"

namespace daxfs::vfs {

class FdTable {
 public:
  static constexpr int kFdsMax = 1024;  // RLIMIT_NOFILE

  FdTable() : lock_(rt::Rank::kFdTable, "fd table") {}
  ~FdTable();

  // The lowest free number. Errors: kMFile (the file is put).
  Result<int> install(FileRef file);
  // A reference to the open file; kBadf.
  Result<FileRef> get(int fd);
  // Frees the number and returns the reference it held; kBadf.
  Result<FileRef> take(int fd);
  // Closes everything. YIELDS.
  void close_all();

 private:
  rt::SpinLock lock_;
  rt::Shared<std::vector<File*>, "fd table"> files_ FS_GUARDED_BY(lock_);
};

}  // namespace daxfs::vfs
