#include "fs/vfs/file.h"

#include "fs/ext4/fault.h"
#include "fs/ext4/file_buffered.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/fsync.h"
#include "fs/ext4/write_steps.h"
#include "fs/rt/trace.h"
#include "fs/vfs/abi.h"

namespace daxfs::vfs {

File* File::create(ext4::InodeRef inode, uint32_t flags) { return new File(std::move(inode), flags); }

// The position lock is outside every ranked lock and never nests with another of its kind.
File::File(ext4::InodeRef inode, uint32_t flags)
    : pos_lock(rt::Rank::kNone, "f_pos_lock"),
      inode_(std::move(inode)),
      flags_(flags),
      wb_seen_(inode_->mapping().wb_error.sample()),
      references_(1) {}

bool File::readable() const {
  const uint32_t mode = flags() & kOpenAccessMode;
  return (flags() & kOpenPath) == 0 && (mode == 0 || mode == kOpenReadWrite);
}

bool File::writable() const {
  const uint32_t mode = flags() & kOpenAccessMode;
  return (flags() & kOpenPath) == 0 && (mode == kOpenWriteOnly || mode == kOpenReadWrite);
}

unsigned File::rw_flags() const {
  const uint32_t open = flags();  // once: F_SETFL may change it
  FS_TRACE_READ(open_flags_ref(inode_->ino()), (open & kOpenDirect) != 0 ? 1 : 0);
  unsigned flags = 0;
  if ((open & kOpenDirect) != 0) { flags |= ext4::kRwDirect; }
  if ((open & kOpenAppend) != 0) { flags |= ext4::kRwAppend; }
  if ((open & kOpenSync) == kOpenSync) {
    flags |= ext4::kRwSync;
  } else if ((open & kOpenDataSync) != 0) {
    flags |= ext4::kRwDataSync;
  }
  return flags;
}

void File::set_status_flags(uint32_t flags) {
  uint32_t old = flags_.load();
  while (!flags_.compare_exchange(old, (old & ~kSetFlMask) | (flags & kSetFlMask))) {}
  FS_TRACE_WRITE(open_flags_ref(inode_->ino()), (old & kOpenDirect) != 0 ? 1 : 0, (flags & kOpenDirect) != 0 ? 1 : 0);
}

Status File::sync(uint64_t start, uint64_t end, bool datasync) {
  const Status synced = ext4::sync_file(*inode_, start, end, datasync);
  mm::ErrSeq& errors = inode_->mapping().wb_error;
  Status seen;
  {
    const rt::SpinGuard guard(wb_lock_);
    seen = errors.check_and_advance(&wb_seen_.write());
  }
  return synced.ok() ? seen : synced;
}

mm::FaultResult File::fault(mm::VmFault& vmf) {
  return inode_->is_dax() ? ext4::dax_fault(vmf, *inode_) : ext4::buffered_fault(vmf, *inode_);
}

mm::FaultResult File::pfn_mkwrite(mm::VmFault& vmf) {
  return inode_->is_dax() ? ext4::dax_fault(vmf, *inode_) : ext4::buffered_mkwrite(vmf, *inode_);
}

mm::FaultResult File::huge_fault(mm::VmFault& vmf) {
  return inode_->is_dax() ? ext4::dax_huge_fault(vmf, *inode_) : mm::FaultResult::kFallback;
}

void File::put() {
  if (!references_.dec_and_test()) { return; }
  if (writable()) { ext4::release_file(*inode_); }
  delete this;  // its InodeRef may evict
}

Status File::mmap_check(unsigned prot, bool shared, bool sync) {
  if (!readable()) { return Errc::kAccess; }
  if (shared && (prot & mm::kProtWrite) != 0 && !writable()) { return Errc::kAccess; }
  // A shared mapping could be made writable later and store anywhere.
  if (shared && writable() && (inode_->flags() & ext4::kFlagAppend) != 0) { return Errc::kAccess; }
  return ext4::mmap_check(*inode_, sync);
}

}  // namespace daxfs::vfs
