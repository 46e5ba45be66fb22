// fs/ext4/truncate.cc - shrinking, growing, and the end of a file.
#include "fs/ext4/truncate.h"

#include <optional>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/base/scope_guard.h"
#include "fs/dax/invalidate.h"
#include "fs/dax/layout.h"
#include "fs/dax/rw.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/ext4/layout.h"
#include "fs/ext4/orphan.h"
#include "fs/mm/memory.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

Status check_new_size(Inode& inode, uint64_t new_size) {
  if (!inode.is_regular()) { return Errc::kInval; }
  if (inode.volume().read_only()) { return Errc::kRoFs; }
  if ((inode.flags() & (kFlagImmutable | kFlagAppend)) != 0) { return Errc::kPerm; }
  if (new_size > max_file_bytes(inode)) { return Errc::kFBig; }
  return ok_status();
}

// i_disksize and i_size change together under i_data_sem. A shrinking file is on the orphan list
// until its blocks are gone.
Status change_sizes(Inode& inode, uint64_t new_size, bool shrink) {
  return internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
    if (shrink) {
      FS_RETURN_IF_ERROR(orphan_add(inode.volume(), handle, inode.ino()));
    } else {
      inode.update_times(current_time(), /*mtime=*/true, /*ctime=*/true);
    }
    const rt::WriteLock data(inode.i_data_sem);
    const uint64_t old_disksize = inode.i_disksize();
    inode.set_i_disksize(new_size);
    const Status status = inode.mark_dirty(handle);
    if (!status.ok()) {
      inode.set_i_disksize(old_disksize);
      return status;
    }
    inode.set_i_size(new_size);
    return ok_status();
  });
}

// The orphan record must not outlive a failed truncate of a file that goes on to live.
void drop_orphan_record(Inode& inode) {
  if (inode.links() == 0) { return; }
  internal::with_handle(inode, [&](jbd2::Handle& handle) {
    return orphan_del(inode.volume(), handle, inode.ino());
  }).ignore_error("the file stays listed; the next mount truncates it to its size");
}

}  // namespace

// Kernel: ext4_truncate, ext4_ext_truncate.
Status truncate_blocks(Inode& inode) {
  FS_TRACE_SCOPE("ext4_truncate", inode_ref(inode.ino()));
  const uint64_t size = inode.i_size();
  return internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
    if (inode.is_regular() && size % kBlockSize != 0) {
      zero_file_part(inode, size, kBlockSize - size % kBlockSize)
          .ignore_error("as the kernel: a bad page does not stop it");
    }
    FS_RETURN_IF_ERROR(orphan_add(inode.volume(), handle, inode.ino()));
    {
      const rt::WriteLock data(inode.i_data_sem);
      inode.set_i_disksize(size);
      FS_RETURN_IF_ERROR(inode.mark_dirty(handle));
      FS_RETURN_IF_ERROR(remove_range_locked(handle, inode, internal::block_after(size),
                                             LogicalBlock(static_cast<uint32_t>(kLogicalEnd))));
    }
    if (inode.links() != 0) { FS_RETURN_IF_ERROR(orphan_del(inode.volume(), handle, inode.ino())); }
    inode.update_times(current_time(), /*mtime=*/true, /*ctime=*/true);
    return inode.mark_dirty(handle);
  });
}

// Kernel: ext4_setattr.
Status setattr_size(Inode& inode, uint64_t new_size) {
  FS_TRACE_SCOPE("ext4_setattr", inode_ref(inode.ino()));
  FS_RETURN_IF_ERROR(check_new_size(inode, new_size));
  const uint64_t old_size = inode.i_size();
  const bool shrink = new_size < old_size;
  std::optional<DioBarrier> barrier;
  if (shrink) { barrier.emplace(inode); }
  const LayoutLock layout(inode, LayoutChange::kTruncate);
  if (new_size != old_size) { FS_RETURN_IF_ERROR(change_sizes(inode, new_size, shrink)); }
  // Mappings of the tail go, private copies too, and with them their entries; only then the blocks.
  drop_file_tail(inode, new_size);
  if (new_size > old_size) { return ok_status(); }
  // Also for the same size: frees blocks that KEEP_SIZE left beyond EOF.
  const Status status = truncate_blocks(inode);
  if (!status.ok()) { drop_orphan_record(inode); }
  return status;
}

// Kernel: ext4_evict_inode, and "fs/dax: ensure all pages are idle prior to filesystem unmount"
// (0e2f80afcfa6).
Status evict_data(Inode& inode) {
  FS_TRACE_SCOPE("ext4_evict_inode", inode_ref(inode.ino()));
  if (inode.is_dax() && !historical(Bug::kNoBreakLayoutsEvict)) {
    while (mm::Page* const page = dax::layout_busy_page(inode.mapping())) {
      inode.mapping().memory().wait_page_idle(*page, [] {}, [] {});
    }
  }
  drop_file_finally(inode);
  const bool deleted = inode.links() == 0 && !inode.volume().read_only();
  if (!deleted || inode.block_format() == BlockFormat::kNone || inode.sectors() == 0) { return ok_status(); }
  inode.set_i_size(0);
  return truncate_blocks(inode);
}

}  // namespace daxfs::ext4
