// fs/ext4/iomap_ops.h - ext4's answer to "where are these bytes of the file".
//
// Kernel: fs/ext4/inode.c (ext4_iomap_ops, ext4_iomap_overwrite_ops, ext4_iomap_report_ops,
// ext4_iomap_alloc). Locking: lookups take i_data_sem shared; allocation starts a journal handle
// (nested when the caller has one) and takes
//   i_data_sem exclusive. Neither is held on return.
// Invariants:
//   EF1  a direct overwrite under the shared inode lock finds every block written.
// Tested by: fs/ext4/file_rw_test.cc.
#pragma once

#include "fs/io/iomap.h"

namespace daxfs::ext4 {

class Inode;

// Read, write and fault. With kIomapWrite and kIomapDax blocks are allocated zeroed and written;
// with kIomapDirect unwritten below EOF (converted when the bytes are there), written beyond it.
io::IomapOps& iomap_ops();
// Direct writes that found every block allocated and written before they gave up the exclusive
// inode lock.
io::IomapOps& iomap_overwrite_ops();
// The same without the inode lock: the caller holds i_data_sem.
io::IomapOps& iomap_nolock_ops();
// Only looks.
io::IomapOps& iomap_report_ops();

// After blocks [first, last] were made written: blocks next to them in the same extent may have
// become written zeros with them (the 32 KiB rule of map_blocks), while mappings show the zero page
// there. Drops those, but not [first, last]. Linux leaves them, and a later write there does not
// show. No entry lock held. YIELDS.
void drop_stale_hole_pages(Inode& inode, PgOff first, PgOff last);

}  // namespace daxfs::ext4
