// fs/ext4/orphan.h - the orphan list on the medium: inodes to finish (delete or truncate) after a crash.
//
// The list is chained through i_dtime, newest first, from s_last_orphan. While an inode is listed its i_dtime belongs
// to this file.
//
// Kernel: fs/ext4/orphan.c (ext4_orphan_add, ext4_orphan_del, ext4_orphan_cleanup).
// Locking: the volume's orphan mutex, under a handle.
// Invariants:
//   OR1  the list in memory and the chain on the medium name the same inodes in the same order.
// Not covered: the orphan_file feature.
// Tested by: fs/ext4/orphan_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4 {

class Volume;

// Lists the inode; nothing to do if it is listed. YIELDS. Errors: kCorrupted, kIo, kRoFs.
Status orphan_add(Volume& volume, jbd2::Handle& handle, Ino ino);
// Takes it off and sets its i_dtime to 0; nothing to do if it is not listed. YIELDS.
Status orphan_del(Volume& volume, jbd2::Handle& handle, Ino ino);
bool orphan_listed(Volume& volume, Ino ino);

// Reads the chain into memory at mount. Errors: kCorrupted (loop, bad number), kIo.
Status orphan_load(Volume& volume);
// Processes all of them, newest first. REQUIRES: rw mount, inode layer present.
Status orphan_cleanup(Volume& volume, Status (*process)(Volume&, Ino));

}  // namespace daxfs::ext4
