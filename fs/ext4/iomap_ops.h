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

// Read, write and fault. With kIomapWrite and kIomapDax blocks are allocated zeroed and written;
// with kIomapDirect unwritten below EOF (converted when the bytes are there), written beyond it.
io::IomapOps& iomap_ops();
// Direct writes that found every block allocated and written before they gave up the exclusive
// inode lock.
io::IomapOps& iomap_overwrite_ops();
// Only looks.
io::IomapOps& iomap_report_ops();

}  // namespace daxfs::ext4
