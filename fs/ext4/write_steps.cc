// fs/ext4/write_steps.cc - the checks before a write, the new size after it.
#include "fs/ext4/write_steps.h"

#include <utility>

#include "fs/base/historical.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/orphan.h"
#include "fs/ext4/truncate.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

// Cuts off what a write that did not get far enough allocated beyond EOF. Kernel:
// ext4_truncate_failed_write.
void truncate_failed_write(Inode& inode) {
  const DioBarrier barrier(inode);  // reads without the inode lock may be at these blocks
  rt::WriteLock lock(inode.mapping().invalidate_lock);
  drop_file_behind(inode, inode.i_size());
  truncate_blocks(inode).ignore_error("the write's own result is what the caller hears");
}

// Kernel: xfs_free_eofblocks.
Status free_eof_blocks(Inode& inode) {
  FS_TRACE_SCOPE("ext4_free_eofblocks", inode_ref(inode.ino()));
  const rt::WriteLock lock(inode.mapping().invalidate_lock);
  FS_ASSIGN_OR_RETURN(const auto behind, next_extent(inode, internal::block_after(inode.i_size())));
  if (!behind.has_value()) { return ok_status(); }
  drop_file_behind(inode, inode.i_size());
  return truncate_blocks(inode);
}

}  // namespace

void release_file(Inode& inode) FS_NO_THREAD_SAFETY_ANALYSIS {  // a lock that may not be had
  if (!inode.volume().options().trim_eof || inode.volume().read_only() || !inode.is_regular()) { return; }
  // Bug kReleaseTrimsUnderDio (e4229d6b0bc9): what a direct write has allocated behind the end is taken for left over.
  if (historical(Bug::kReleaseTrimsUnderDio)) {
    free_eof_blocks(inode).ignore_error("they stay where they are");
    return;
  }
  if (!inode.i_rwsem.try_down_write()) { return; }  // who has the lock may need them
  {
    const DioBarrier barrier(inode);
    free_eof_blocks(inode).ignore_error("they stay where they are");
  }
  inode.i_rwsem.up_write();
}

Result<uint64_t> generic_write_checks(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags) {
  if (inode.volume().read_only()) { return Errc::kRoFs; }
  if ((inode.flags() & kFlagImmutable) != 0) { return Errc::kPerm; }
  if (buffer.remaining() == 0) { return uint64_t{0}; }
  if ((flags & kRwAppend) != 0) { *pos = inode.i_size(); }
  const uint64_t max_bytes = max_file_bytes(inode);
  if (*pos >= max_bytes) { return Errc::kFBig; }
  buffer.truncate(max_bytes - *pos);
  return buffer.remaining();
}

Status orphan_add_for_extension(Inode& inode) {
  return internal::with_handle(inode,
                               [&](jbd2::Handle& handle) { return orphan_add(inode.volume(), handle, inode.ino()); });
}

Result<uint64_t> handle_inode_extension(Inode& inode, uint64_t pos, uint64_t count, Result<uint64_t> done) {
  const uint64_t written = done.ok() ? *done : 0;
  // Blocks behind the last one written were allocated for nothing (all of them, after an error).
  const bool cut = div_round_up(pos + written, kBlockSize) < div_round_up(pos + count, kBlockSize) || written == 0;
  const Status status = internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
    if (written != 0) { internal::update_inode_size(inode, pos + written); }
    FS_RETURN_IF_ERROR(inode.mark_dirty(handle));
    if (cut || inode.links() == 0) { return ok_status(); }
    return orphan_del(inode.volume(), handle, inode.ino());
  });
  if (cut) { truncate_failed_write(inode); }
  if (done.ok() && !status.ok()) { return status; }
  return done;
}

}  // namespace daxfs::ext4
