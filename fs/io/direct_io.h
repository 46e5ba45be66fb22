// fs/io/direct_io.h - direct I/O: pin the user's pages, let the device copy, release the pins.
//
// Each mapped piece of the file becomes bios of up to kBioPages pages. User pages are pinned one
// after the other with GUP (which may fault for the next page while the earlier ones are already
// held: break_layouts has to live with that), the bio completes in irq context at a moment that the
// schedule chooses, and only there the bytes move. Pins are released one by one after the copy.
//
// A call may leave its request in flight (asynchronous I/O): then the last bio to complete ends it,
// in irq context, or in a work queue if ending it means what must not be done in irq context.
//
// Kernel: fs/iomap/direct-io.c (iomap_dio_rw, iomap_dio_bio_iter, iomap_dio_complete,
// iomap_dio_complete_work).
// Locking: caller holds the inode rwsem of the file, shared or exclusive; GUP takes mmap_lock of
// the buffer's process. Invariants:
//   O15  when a bio completes, every pinned page still belongs to the file page it was pinned as.
//   IO2  iomap_dio_rw returns only after every bio it submitted has completed.
// Tested by: fs/io/io_test.cc, fs/vfs/aio_test.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "fs/base/result.h"
#include "fs/io/iomap.h"
#include "fs/io/user_buffer.h"

namespace daxfs::rt {
class Workqueue;
}

namespace daxfs::io {

// What a disk format has to do with a request. Outlives the request; calls come in this order.
class DioEndIo {
 public:
  // The pages of the buffer are pinned, no block has been looked up: only with DioCall::pin_first. YIELDS.
  virtual void pinned() {}
  // The walk comes to another piece that bytes will be written to.
  virtual void note_piece(const Iomap& /*iomap*/) {}
  // Only of a request left in flight, in irq context: all bios have completed. RETURNS: whether the rest needs a
  // context that may sleep.
  virtual bool bios_done() { return false; }
  // `size` bytes from `pos` are on the device (0 after an error). What it returns replaces the result of the call,
  // unless that already failed. Process context, or what bios_done() asked for. YIELDS.
  virtual Status end_io(uint64_t pos, uint64_t size, Status error) = 0;
  // Nobody waits for anything of this request any more; also after an error. Context of end_io.
  virtual void finished() {}

 protected:
  ~DioEndIo() = default;
};

// Who hears of the end of a request that was left in flight. Kernel: struct kiocb, ki_complete.
class Kiocb {
 public:
  // Once; in irq context or in a work queue. Must not sleep.
  virtual void complete(Result<uint64_t> result) = 0;

 protected:
  ~Kiocb() = default;
};

struct DioCall {
  IomapHost& host;
  IovBuffer& buffer;
  uint64_t pos;
  bool write;
  IomapOps& ops;
  DioEndIo* end_io = nullptr;
  Kiocb* kiocb = nullptr;               // null: the call waits
  rt::Workqueue* done_queue = nullptr;  // with kiocb
  bool pin_first = false;               // REQUIRES: at most kPinFirstBytes from a page boundary on
};

// What a request pins before it looks for blocks, at most.
inline constexpr uint64_t kPinFirstBytes = uint64_t{24} * kPageSize;

// Reads or writes [pos, pos + buffer.remaining()) around every cache. A read is clipped to i_size;
// holes and unwritten pieces read as zeros. RETURNS: bytes moved; nothing if the request was left in flight, then
// `kiocb` hears of its end, perhaps before this returns. Errors: kFault if any part of the
// buffer cannot be pinned (also after good parts: the whole call fails, as the kernel's does), kIo,
// kNoSpc; kInval unless pos, size and buffer address are multiples of kSectorSize. YIELDS.
std::optional<Result<uint64_t>> iomap_dio_submit(const DioCall& call);

// The same without a kiocb.
Result<uint64_t> iomap_dio_rw(IomapHost& host, IovBuffer& buffer, uint64_t pos, bool write, IomapOps& ops,
                              DioEndIo* end_io);

}  // namespace daxfs::io
