// fs/io/direct_io.h - direct I/O: pin the user's pages, let the device copy, release the pins.
//
// Each mapped piece of the file becomes bios of up to kBioPages pages. User pages are pinned one
// after the other with GUP (which may fault for the next page while the earlier ones are already
// held: break_layouts has to live with that), the bio completes in irq context at a moment that the
// schedule chooses, and only there the bytes move. Pins are released one by one after the copy.
//
// Kernel: fs/iomap/direct-io.c (iomap_dio_rw, iomap_dio_bio_iter, iomap_dio_complete).
// Locking: caller holds the inode rwsem of the file, shared or exclusive; GUP takes mmap_lock of
// the buffer's process. Invariants:
//   O15  when a bio completes, every pinned page still belongs to the file page it was pinned as.
//   IO2  iomap_dio_rw returns only after every bio it submitted has completed.
// Not covered: asynchronous completion towards the caller (AIO): every call waits.
// Tested by: fs/io/io_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/io/iomap.h"
#include "fs/io/user_buffer.h"

namespace daxfs::io {

// Told in process context when all bytes have moved, before iomap_dio_rw returns.
class DioEndIo {
 public:
  // `size` bytes from `pos` are on the device (0 after an error); `unwritten` if a piece was an
  // unwritten extent. What it returns replaces the result of the call unless that already failed.
  // YIELDS.
  virtual Status end_io(IomapHost& host, uint64_t pos, uint64_t size, Status error,
                        bool unwritten) = 0;

 protected:
  ~DioEndIo() = default;
};

// Reads or writes [pos, pos + buffer.remaining()) around every cache. A read is clipped to i_size;
// holes and unwritten pieces read as zeros. RETURNS: bytes moved. Errors: kFault if any part of the
// buffer cannot be pinned (also after good parts: the whole call fails, as the kernel's does), kIo,
// kNoSpc; kInval unless pos, size and buffer address are multiples of kSectorSize. YIELDS.
Result<uint64_t> iomap_dio_rw(IomapHost& host, IovBuffer& buffer, uint64_t pos, bool write,
                              IomapOps& ops, DioEndIo* end_io, unsigned extra_flags = 0);

}  // namespace daxfs::io
