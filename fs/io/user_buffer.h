// fs/io/user_buffer.h - IovBuffer: where the bytes of a read or write come from or go to.
//
// Either memory of a simulated process (copies take page faults and may stop short) or a plain span
// of the library's caller. A buffer knows how much of it was consumed; copies advance it.
//
// Kernel: struct iov_iter (include/linux/uio.h, lib/iov_iter.c), with a single segment.
// Locking: copies from and to user memory take mmap_lock and may fault: no spinlock, no entry lock,
// no handle held. Not covered: several segments (readv/writev are loops in vfs). Tested by:
// fs/io/io_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fs/base/types.h"

namespace daxfs::mm {
class Mm;
}

namespace daxfs::io {

class IovBuffer {
 public:
  static IovBuffer user(mm::Mm& mm, VirtAddr address, uint64_t size) {
    return IovBuffer(&mm, address, nullptr, nullptr, size);
  }
  // The source of a write.
  static IovBuffer kernel_source(std::span<const std::byte> bytes) {
    return IovBuffer(nullptr, VirtAddr(), bytes.data(), nullptr, bytes.size());
  }
  // The destination of a read.
  static IovBuffer kernel_sink(std::span<std::byte> bytes) {
    return IovBuffer(nullptr, VirtAddr(), nullptr, bytes.data(), bytes.size());
  }

  bool is_user() const { return mm_ != nullptr; }
  mm::Mm& mm() const { return *mm_; }                    // REQUIRES: is_user()
  VirtAddr address() const { return address_ + done_; }  // of the next byte; REQUIRES: is_user()
  uint64_t remaining() const { return size_ - done_; }
  uint64_t consumed() const { return done_; }

  // Copies out.size() bytes (at most remaining()) from the buffer and advances. RETURNS: bytes
  // copied; fewer if the user memory faults. YIELDS.
  size_t copy_in(std::span<std::byte> out);
  // Copies into the buffer and advances; as copy_in. YIELDS.
  size_t copy_out(std::span<const std::byte> in);
  // Stores `size` zeros into the buffer and advances; as copy_in. YIELDS.
  size_t zero_out(uint64_t size);

  // Without copying. REQUIRES: size <= remaining() (or consumed(), for revert).
  void advance(uint64_t size) { done_ += size; }
  void revert(uint64_t size) { done_ -= size; }
  // Forgets what lies more than `size` bytes ahead.
  void truncate(uint64_t size) {
    if (size < remaining()) { size_ = done_ + size; }
  }

  // The bytes themselves; for buffers that are not user memory.
  std::span<const std::byte> source_bytes() const { return {source_ + done_, remaining()}; }
  std::span<std::byte> sink_bytes() const { return {sink_ + done_, remaining()}; }

 private:
  IovBuffer(mm::Mm* mm, VirtAddr address, const std::byte* source, std::byte* sink, uint64_t size)
      : mm_(mm), address_(address), source_(source), sink_(sink), size_(size) {}

  mm::Mm* mm_;
  VirtAddr address_;
  const std::byte* source_;
  std::byte* sink_;
  uint64_t size_;
  uint64_t done_ = 0;
};

}  // namespace daxfs::io
