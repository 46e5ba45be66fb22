// fs/ext4/fsync.h - fsync, fdatasync and msync of one file.
//
// Kernel: fs/ext4/fsync.c (ext4_sync_file), mm/filemap.c (file_write_and_wait_range).
// Tested by: fs/ext4/fault_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"

namespace daxfs::ext4 {

class Inode;

// PERSISTS bytes [start, end] (end included, ~0: the whole rest) and the metadata that leads to
// them; with !datasync all of the inode's metadata. YIELDS.
Status sync_file(Inode& inode, uint64_t start, uint64_t end, bool datasync);

}  // namespace daxfs::ext4
