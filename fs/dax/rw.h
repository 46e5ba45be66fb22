// fs/dax/rw.h - read and write system calls on DAX files, and zeroing of partial blocks.
//
// Kernel: fs/dax.c (dax_iomap_rw, dax_iomap_iter, dax_zero_range).
// Locking: caller holds the inode rwsem (write: exclusive, read: shared); no handle, because
// copying takes page faults. Invariants:
//   DW1  iomap_begin for a DAX write yields a written block.
// Tested by: fs/dax/rw_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/io/iomap.h"
#include "fs/io/user_buffer.h"

namespace daxfs::dax {

// Copies between the buffer and [pos, pos + buffer.remaining()). A read is clipped to i_size.
// Changes no inode field: size and times are the caller's. Bytes written are durable after the next
// fence. RETURNS: bytes copied, fewer if the buffer faults or space runs out after a part. Errors,
// if nothing was copied: kFault, kNoSpc, kIo (poison; the call fails for the whole piece). YIELDS.
Result<uint64_t> iomap_rw(io::IomapHost& host, io::IovBuffer& buffer, uint64_t pos, bool write, io::IomapOps& ops,
                          unsigned extra_flags = 0);

// Zeroes the bytes of [pos, pos + length) that have written blocks. YIELDS.
Status zero_range(io::IomapHost& host, uint64_t pos, uint64_t length, io::IomapOps& ops);

}  // namespace daxfs::dax
