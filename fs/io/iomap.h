// fs/io/iomap.h - the interface a disk format implements so that dax and io can find the blocks of
// a file.
//
// An iomap says where the bytes [offset, offset + length) of a file live. The caller walks a range
// by asking `iomap_begin` for the piece at its position, works on that piece and reports with
// `iomap_end` how much it did.
//
// Kernel: include/linux/iomap.h (struct iomap, struct iomap_ops); fs/iomap/iter.c.
// Locking: whoever calls iomap_begin with kWrite holds the inode rwsem (system calls) or the
// invalidate lock shared
//   (faults); iomap_begin itself may start a journal handle and take i_data_sem.
// Invariants:
//   IO1  an iomap handed out covers the position that was asked for and is not empty.
// Tested by: fs/io/io_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/mm/address_space.h"
#include "fs/pmem/device.h"

namespace daxfs::io {

struct Iomap {
  enum class Type : uint8_t { kHole, kDelalloc, kMapped, kUnwritten };
  // Bits of `flags`.
  static constexpr uint8_t kNew = 1;     // blocks of this piece were allocated by this very call
  static constexpr uint8_t kDirty = 2;   // metadata that describes the piece is not durable yet
  static constexpr uint8_t kShared = 4;  // blocks belong to other files too (unused by ext4)

  Type type = Type::kHole;
  uint8_t flags = 0;
  uint64_t offset = 0;  // in the file, bytes; may lie before the position asked for
  uint64_t length = 0;  // bytes
  FsBlock block;        // physical block of `offset`; only for kMapped and kUnwritten

  bool is_new() const { return (flags & kNew) != 0; }
  bool is_dirty() const { return (flags & kDirty) != 0; }
  bool mapped() const { return type == Type::kMapped; }
  uint64_t end() const { return offset + length; }
  bool covers(uint64_t pos) const { return length != 0 && pos >= offset && pos - offset < length; }
  // Where byte `pos` of the file lies on the device. REQUIRES: covers(pos), kMapped or kUnwritten.
  uint64_t device_offset(uint64_t pos) const { return block.value() * kBlockSize + (pos - offset); }
};

// What iomap_begin is asked for; bits.
enum IomapFlags : unsigned {
  kIomapWrite = 1,    // allocate what is missing
  kIomapZero = 2,     // zeroing: holes and unwritten pieces need no work
  kIomapReport = 4,   // only looking (fiemap, seek)
  kIomapFault = 8,    // on behalf of a page fault
  kIomapDirect = 16,  // direct I/O
  kIomapDax = 64,
};

// The inode as dax and io see it.
class IomapHost : public mm::MappingHost {
 public:
  virtual mm::AddressSpace& mapping() = 0;
  virtual pmem::Device& device() = 0;

 protected:
  ~IomapHost() override = default;
};

class IomapOps {
 public:
  // Finds (with kIomapWrite: allocates) the piece at `pos`, at most `length` bytes are of interest.
  // Errors: kNoSpc, kIo, kCorrupted, kNotBlk (direct I/O has to end here, without an error). YIELDS.
  virtual Status iomap_begin(IomapHost& host, uint64_t pos, uint64_t length, unsigned flags, Iomap* iomap) = 0;
  // Called once for each successful iomap_begin. `written` bytes of [pos, pos + length) were used.
  // YIELDS.
  virtual Status iomap_end(IomapHost& host, uint64_t pos, uint64_t length, uint64_t written, unsigned flags,
                           const Iomap& iomap) = 0;

 protected:
  ~IomapOps() = default;
};

// Calls iomap_begin and asserts IO1 on what it returned.
Status begin_checked(IomapOps& ops, IomapHost& host, uint64_t pos, uint64_t length, unsigned flags, Iomap* iomap);

}  // namespace daxfs::io
