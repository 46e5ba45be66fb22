// fs/ext4/file_dio.h - direct reads and writes of regular files without DAX.
//
// Kernel: fs/ext4/file.c (ext4_dio_read_iter, ext4_dio_write_iter, ext4_dio_write_checks,
// ext4_overwrite_io).
// Locking: take i_rwsem themselves. Read: shared. Write: shared for an aligned
// overwrite inside EOF, otherwise exclusive. With the mount option dioread_nolock, as until 4.18 (ext4_ext_direct_IO):
// reads take no lock at all; an aligned overwrite of one extent takes i_rwsem, then i_data_sem shared, then gives up
// i_rwsem, and exchanges them back when it is done or left in flight. Who takes blocks away makes a DioBarrier.
// Tested by: fs/ext4/file_rw_test.cc, fs/vfs/aio_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/ext4/file_rw.h"
#include "fs/io/direct_io.h"
#include "fs/io/user_buffer.h"

namespace daxfs::ext4 {

class Inode;

// As file_read and file_write (file_rw.h) with kRwDirect, but without access times, and O_SYNC only for a request that
// is left in flight; *pos changes only for kRwAppend. Without a kiocb they wait; with one they may. Extending and
// unaligned writes always do. YIELD.
DioResult dio_read(Inode& inode, io::IovBuffer& buffer, uint64_t pos, unsigned flags, io::Kiocb* kiocb);
DioResult dio_write(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags, io::Kiocb* kiocb,
                    OpenFile* file = nullptr);

}  // namespace daxfs::ext4
