// fs/ext4/fallocate_shift.cc - moving the rest of a file towards its begin or away from it.
#include "fs/ext4/fallocate_shift.h"

#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/file_times.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/layout.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4::internal {

namespace {

bool block_aligned(uint64_t offset, uint64_t length) { return (offset | length) % kBlockSize == 0; }

// Pages that will have another index: flushed, because their DIRTY mark goes with their entry, then
// unmapped and forgotten.
Status drop_pages_from(Inode& inode, uint64_t drop_from, uint64_t flush_from) {
  FS_RETURN_IF_ERROR(flush_file_range(inode, flush_from, ~uint64_t{0}));
  FS_RETURN_IF_ERROR(inode.mapping().wb_error.take_untold());
  drop_file_tail(inode, drop_from);
  return ok_status();
}

// Under the handle: new sizes and times.
Status set_sizes(Inode& inode, jbd2::Handle& handle, uint64_t new_size) {
  inode.set_i_size(new_size);
  inode.set_i_disksize(new_size);
  inode.update_times(current_time(), /*mtime=*/true, /*ctime=*/true);
  return inode.mark_dirty(handle);
}

}  // namespace

Status collapse_range(Inode& inode, uint64_t offset, uint64_t length) {
  FS_TRACE_SCOPE("ext4_collapse_range", inode_ref(inode.ino()));
  if (!block_aligned(offset, length)) { return Errc::kInval; }
  if (offset + length >= inode.i_size()) { return Errc::kInval; }
  if (inode.block_format() != BlockFormat::kExtents) { return Errc::kOpNotSupp; }
  const DioBarrier barrier(inode);
  FS_RETURN_IF_ERROR(file_update_time(inode));
  const LayoutLock layout(inode, LayoutChange::kCollapseRange);
  FS_RETURN_IF_ERROR(drop_pages_from(inode, offset, offset + length));
  return with_handle(inode, [&](jbd2::Handle& handle) -> Status {
    const LogicalBlock first = block_of(offset);
    const LogicalBlock rest = block_of(offset + length);
    {
      const rt::WriteLock data(inode.i_data_sem);
      FS_RETURN_IF_ERROR(remove_range_locked(handle, inode, first, rest));
      FS_RETURN_IF_ERROR(shift_left_locked(handle, inode, rest, rest - first));
    }
    return set_sizes(inode, handle, inode.i_size() - length);
  });
}

Status insert_range(Inode& inode, uint64_t offset, uint64_t length) {
  FS_TRACE_SCOPE("ext4_insert_range", inode_ref(inode.ino()));
  if (!block_aligned(offset, length)) { return Errc::kInval; }
  if (inode.block_format() != BlockFormat::kExtents) { return Errc::kOpNotSupp; }
  if (length > kMaxFileBytes - inode.i_size()) { return Errc::kFBig; }
  if (offset >= inode.i_size()) { return Errc::kInval; }
  const DioBarrier barrier(inode);
  FS_RETURN_IF_ERROR(file_update_time(inode));
  const LayoutLock layout(inode, LayoutChange::kInsertRange);
  FS_RETURN_IF_ERROR(drop_pages_from(inode, offset, offset));
  return with_handle(inode, [&](jbd2::Handle& handle) -> Status {
    {
      const rt::WriteLock data(inode.i_data_sem);
      FS_RETURN_IF_ERROR(
          shift_right_locked(handle, inode, block_of(offset), static_cast<uint32_t>(length / kBlockSize)));
    }
    return set_sizes(inode, handle, inode.i_size() + length);
  });
}

}  // namespace daxfs::ext4::internal
