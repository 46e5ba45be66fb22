// fs/ext4/file_times.cc - mtime, ctime, atime.
#include "fs/ext4/file_times.h"

#include "fs/ext4/file_internal.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/super.h"

namespace daxfs::ext4 {

Status file_update_time(Inode& inode) {
  if (!inode.update_times(current_time(), /*mtime=*/true, /*ctime=*/true)) { return ok_status(); }
  return internal::with_handle(inode, [&](jbd2::Handle& handle) { return inode.mark_dirty(handle); });
}

void file_accessed(Inode& inode) {
  constexpr int64_t kDay = 24 * 60 * 60;
  if (inode.volume().read_only()) { return; }
  const InodeAttributes now = inode.attributes();
  const TimeSpec time = current_time();
  const bool stale = now.atime <= now.mtime || now.atime <= now.ctime || time.seconds - now.atime.seconds >= kDay;
  if (stale) { inode.update_times(time, /*mtime=*/false, /*ctime=*/false, /*atime=*/true); }
}

}  // namespace daxfs::ext4
