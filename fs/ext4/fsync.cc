// fs/ext4/fsync.cc - durability of one file.
#include "fs/ext4/fsync.h"

#include "fs/ext4/file_pages.h"
#include "fs/ext4/flusher.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/super.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

// Metadata is written through when its handle stops, so what is left are stores through mappings,
// and the fence that makes non-temporal stores of write(2) durable.
Status sync_file(Inode& inode, uint64_t start, uint64_t end, bool /*datasync*/) {
  if (inode.volume().read_only()) { return ok_status(); }
  FS_TRACE_SCOPE("ext4_sync_file", inode_ref(inode.ino()));
  Status status;
  if (inode.is_regular()) {
    status = flush_file_range(inode, start, end);
    if (Flusher* const flusher = inode.flusher()) { flusher->sync_inode(inode); }
  }
  inode.device().fence();
  return status;
}

}  // namespace daxfs::ext4
