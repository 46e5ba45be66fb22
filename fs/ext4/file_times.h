// fs/ext4/file_times.h - times that reads, writes and page faults leave behind.
//
// Kernel: file_update_time, file_modified, touch_atime (fs/inode.c), ext4_dirty_inode.
// Locking: no spinlock held; starts a journal handle of its own when mtime or ctime changed.
// Tested by: fs/ext4/file_rw_test.cc.
#pragma once

#include "fs/base/result.h"

namespace daxfs::ext4 {

class Inode;

// Stamps mtime and ctime and writes the inode, if they are not the current time already. YIELDS.
Status file_update_time(Inode& inode);

// relatime: stamps atime if it is not newer than mtime and ctime, or a day old. In memory only; the
// next change of the inode writes it.
void file_accessed(Inode& inode);

}  // namespace daxfs::ext4
