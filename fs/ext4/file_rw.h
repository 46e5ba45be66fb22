// fs/ext4/file_rw.h - read and write on regular files: which way they go.
//
// Kernel: fs/ext4/file.c (ext4_file_read_iter, ext4_file_write_iter, ext4_dax_write_iter,
// ext4_handle_inode_extension).
// Locking: take i_rwsem themselves. DAX read: shared. DAX write: exclusive. Cached read: none; write: exclusive
// (fs/ext4/file_buffered.h). Direct: fs/ext4/file_dio.h.
// Tested by: fs/ext4/file_rw_test.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "fs/base/result.h"
#include "fs/io/direct_io.h"
#include "fs/io/user_buffer.h"

namespace daxfs::ext4 {

class Inode;

// Largest file size (kernel: s_maxbytes): 2^32 - 1 blocks.
inline constexpr uint64_t kMaxFileBytes = ((uint64_t{1} << 32) - 1) * 4096;
// Bytes that this file can have: fewer without extents. REQUIRES: i_rwsem or i_data_sem, any mode.
uint64_t max_file_bytes(const Inode& inode);
// Whether `pos` is more than that, asked without a lock.
bool beyond_max_file_bytes(const Inode& inode, uint64_t pos);

enum RwFlags : unsigned {
  kRwDirect = 1,    // O_DIRECT
  kRwAppend = 2,    // O_APPEND: *pos is set to the size first
  kRwSync = 4,      // O_SYNC
  kRwDataSync = 8,  // O_DSYNC
};

// What a call asks of the open file that it came through.
class OpenFile {
 public:
  // RwFlags as they are now: F_SETFL may change them while a call runs. A call asks once, when it begins.
  virtual unsigned rw_flags() const = 0;
  // sync_file(); also tells, once, of earlier writeback that failed.
  virtual Status sync(uint64_t start, uint64_t end, bool datasync) = 0;

 protected:
  ~OpenFile() = default;
};

// Nothing: the request was left in flight, and its kiocb hears, or has heard, of its end.
using DioResult = std::optional<Result<uint64_t>>;

// Whether a call with these RwFlags is direct I/O.
bool use_direct(const Inode& inode, unsigned flags);

// Reads at *pos and advances it. RETURNS: bytes read; 0 at or beyond EOF.
// Errors: kFault, kIo, kCorrupted; kInval for a direct read of a file without DAX that is not
// aligned to sectors. YIELDS.
Result<uint64_t> file_read(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags);

// Writes at *pos (kRwAppend: at EOF) and advances it. RETURNS: bytes written, fewer than asked if
// the buffer faults or space runs out. Errors: kFBig at or beyond kMaxFileBytes, kNoSpc, kFault,
// kIo, kRoFs, kInval as for reads. With kRwSync or kRwDataSync also what `file` says when it is synced: then *pos
// stays, and the bytes are written all the same. Without a file the inode is synced. YIELDS.
Result<uint64_t> file_write(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags,
                            OpenFile* file = nullptr);

// The same for a call that need not wait, if there is a kiocb: direct I/O may go on after they return.
DioResult file_read_iter(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags, io::Kiocb* kiocb);
DioResult file_write_iter(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags, io::Kiocb* kiocb,
                          OpenFile* file = nullptr);

}  // namespace daxfs::ext4
