#include "fs/vfs/process.h"

namespace daxfs::vfs {

Process::Process(Filesystem& fs, mm::Mm* mm)
    : fs_(fs),
      owned_mm_(mm == nullptr ? std::make_unique<mm::Mm>(fs.memory()) : nullptr),
      mm_(mm == nullptr ? owned_mm_.get() : mm) {}

Process::~Process() = default;

void Process::exit() {
  AioContext* aio = nullptr;
  {
    const rt::SpinGuard guard(aio_lock_);
    aio = aio_.get().get();
  }
  if (aio != nullptr) { aio->exit(); }
  fds_.close_all();
  mm_->exit_mmap();
}

Result<ext4::InodeRef> Process::inode_of(int fd) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  return file->inode_ref();
}

}  // namespace daxfs::vfs
