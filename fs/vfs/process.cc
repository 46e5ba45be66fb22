#include "fs/vfs/process.h"

#include "fs/base/flags.h"
#include "fs/vfs/abi.h"

namespace daxfs::vfs {

// Flags of the interface. O_SYNC is O_DSYNC and one more bit, O_TMPFILE is O_DIRECTORY and one more.
static_assert(distinct_bits({kOpenWriteOnly, kOpenReadWrite, kOpenCreate, kOpenExclusive, kOpenTruncate, kOpenAppend,
                             kOpenDataSync, kOpenDirect, kOpenDirectory, kOpenNoFollow, kOpenNoAtime, kOpenPath,
                             kOpenSync & ~kOpenDataSync, kOpenTmpfile & ~kOpenDirectory}));
static_assert(distinct_bits({kRenameNoReplace, kRenameExchange, kRenameWhiteout}));
// Of the four bits of the type only these are types of their own; the third is both.
static_assert(distinct_bits({kMmapShared, kMmapPrivate, kMmapFixed, kMmapAnonymous, kMmapLocked, kMmapPopulate,
                             kMmapNonBlock, kMmapSync, kMmapFixedNoReplace}));
static_assert(distinct_bits({kRemapMayMove, kRemapFixed, kRemapDontUnmap}));
static_assert(distinct_bits({kMsyncAsync, kMsyncInvalidate, kMsyncSync}));
static_assert(distinct_bits({kXflagImmutable, kXflagAppend, kXflagDax}));
static_assert(distinct_bits({kFsImmutable, kFsAppend, kFsExtents, kFsDax}));

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

Result<ext4::InodeRef> Process::inode_of(int fd, uint32_t* open_flags) {
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if (open_flags != nullptr) { *open_flags = file->flags(); }
  return file->inode_ref();
}

}  // namespace daxfs::vfs
