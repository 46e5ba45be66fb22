// fs/ext4/file_internal.h - steps that the files of ext4's file part share.
// Tested by: fs/ext4/file_rw_test.cc, fs/ext4/fallocate_test.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/super.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4::internal {

// Blocks that one step on one file may change: tree nodes on a path and its splits, bitmaps,
// descriptors, inode, superblock.
inline constexpr unsigned kFileCredits = 64;

// Runs `change` under a handle (the running one, if there is one). RETURNS: its error, or that of
// the handle's end.
template <typename F>
Status with_handle(Inode& inode, F&& change) {
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(inode.volume().journal(), kFileCredits));
  const Status status = std::forward<F>(change)(handle);
  return handle.stop(status);
}

inline LogicalBlock block_of(uint64_t pos) { return LogicalBlock(static_cast<uint32_t>(pos / kBlockSize)); }
inline LogicalBlock block_after(uint64_t pos) {
  return LogicalBlock(static_cast<uint32_t>(div_round_up(pos, kBlockSize)));
}

// Raises the sizes to `size` if they are smaller. RETURNS: whether i_size changed. REQUIRES:
// i_rwsem exclusive. Kernel: ext4_update_inode_size.
inline bool update_inode_size(Inode& inode, uint64_t size) {
  const bool grown = size > inode.i_size();
  if (grown) { inode.set_i_size(size); }
  if (size > inode.i_disksize()) {
    const rt::WriteLock data(inode.i_data_sem);  // writeback moves it, too, and does not hold i_rwsem
    if (size > inode.i_disksize()) { inode.set_i_disksize(size); }
  }
  return grown;
}

}  // namespace daxfs::ext4::internal
