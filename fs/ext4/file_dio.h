// fs/ext4/file_dio.h - direct reads and writes of regular files without DAX.
//
// Kernel: fs/ext4/file.c (ext4_dio_read_iter, ext4_dio_write_iter, ext4_dio_write_checks,
// ext4_overwrite_io). Locking: take i_rwsem themselves. Read: shared. Write: shared for an aligned
// overwrite inside EOF, otherwise exclusive.
// Tested by: fs/ext4/file_rw_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/io/user_buffer.h"

namespace daxfs::ext4 {

class Inode;

// As file_read and file_write (file_rw.h) with kRwDirect, but without O_SYNC and access times; *pos changes only for
// kRwAppend. YIELD.
Result<uint64_t> dio_read(Inode& inode, io::IovBuffer& buffer, uint64_t pos, unsigned flags);
Result<uint64_t> dio_write(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags);

}  // namespace daxfs::ext4
