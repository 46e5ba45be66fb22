// fs/ext4/fault.cc - the locks and the handle around a DAX fault.
#include "fs/ext4/fault.h"

#include "fs/base/report.h"
#include "fs/dax/fault.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_times.h"
#include "fs/ext4/fsync.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/iomap_ops.h"

namespace daxfs::ext4 {

namespace {

// The handle is started before DAX locks the entry: a write(2) holds a handle while it faults on
// its source, and then waits for the entry. REQUIRES: invalidate lock shared.
mm::FaultResult write_fault(mm::VmFault& fault, Inode& inode) {
  auto handle = jbd2::start(inode.volume().journal(), internal::kFileCredits);
  if (!handle.ok()) {
    return mm::FaultResult::kSigbus;
  }
  const dax::FaultOutcome out = dax::iomap_fault(fault, inode, iomap_ops());
  const Status stopped = handle->stop();
  if (out.allocated) {
    drop_stale_hole_pages(inode, fault.pgoff, fault.pgoff);
  }
  if (!out.needs_sync) {
    return out.result == mm::FaultResult::kDone && !stopped.ok() ? mm::FaultResult::kSigbus
                                                                 : out.result;
  }
  // MAP_SYNC. Kernel: dax_finish_sync_fault.
  const uint64_t pos = fault.pgoff.value() * kPageSize;
  const Status synced = sync_file(inode, pos, pos + kPageSize - 1, /*datasync=*/true);
  if (!stopped.ok() || !synced.ok()) {
    return mm::FaultResult::kSigbus;
  }
  return dax::finish_sync_fault(fault, inode.mapping(), out.pfn);
}

}  // namespace

// Kernel: ext4_dax_huge_fault.
mm::FaultResult dax_fault(mm::VmFault& fault, Inode& inode) {
  const bool write = fault.write && !fault.cow && fault.vma.shared;
  if (write) {
    if (inode.volume().read_only()) {
      return mm::FaultResult::kSigbus;
    }
    file_update_time(inode).ignore_error(
        "a time that could not be stored does not stop the access");
  }
  const rt::ReadLock lock(inode.mapping().invalidate_lock);
  if (write) {
    return write_fault(fault, inode);
  }
  return dax::iomap_fault(fault, inode, iomap_ops()).result;
}

Status mmap_check(Inode& inode, bool sync) {
  if (!inode.is_regular()) {
    return Errc::kNoDev;
  }
  if (!inode.is_dax()) {
    return sync ? Errc::kOpNotSupp : Errc::kNoDev;
  }
  return ok_status();
}

}  // namespace daxfs::ext4
