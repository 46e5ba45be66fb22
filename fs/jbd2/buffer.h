// fs/jbd2/buffer.h - metadata blocks in memory: a DRAM copy of each 4 KiB block that metadata code looks at.
//
// Nobody reads or writes metadata around these copies: a change is made in DRAM under a Handle (handle.h) and reaches
// the device when the handle stops. So a journal can be put between the two without touching the disk format's code.
//
// Kernel: struct buffer_head and the block device's page cache (fs/buffer.c: sb_bread, sb_getblk, bforget).
// Locking:
//   cache lock    leaf spinlock: the index, reference counts, slabs.
//   buffer lock   mutex, rank kBuffer (kernel: lock_buffer): reading in, verification, writer count, write-back.
//   The bytes themselves are guarded by whatever lock of the disk format owns the structure in them (group lock,
//   i_data_sem, directory rwsem); different structures of one block may be changed by different tasks at once.
// Invariants:
//   BC1  bytes change only between get_write_access and the stop of the handle that asked for it.
//   BC2  at the end of a cache no reference is left.
//   BC3  a forgotten buffer is never written: its block may belong to somebody else by now.
// Tested by: fs/jbd2/jbd2_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/pmem/device.h"
#include "fs/rt/mutex.h"
#include "fs/rt/spinlock.h"

namespace daxfs::jbd2 {

class BufferCache;
class Handle;

using BlockBytes = std::span<std::byte, kBlockSize>;
using ConstBlockBytes = std::span<const std::byte, kBlockSize>;

// Fills in the checksum of a block just before it is written. Must outlive the cache: plain function, context and a
// number (a seed, an inode number), no closure. Runs once a handle, however often the block was dirtied in it.
struct ChecksumTrigger {
  using Function = void (*)(void* context, uint64_t argument, FsBlock block, BlockBytes bytes);
  Function function = nullptr;
  void* context = nullptr;
  uint64_t argument = 0;
};

// Looks at a block once after it was read from the medium (kernel: buffer_verified). Returns kCorrupted for bad bytes.
struct Verifier {
  using Function = Status (*)(void* context, uint64_t argument, FsBlock block, ConstBlockBytes bytes);
  Function function = nullptr;
  void* context = nullptr;
  uint64_t argument = 0;
};

class Buffer {
 public:
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  FsBlock block() const { return block_; }
  ConstBlockBytes data() const { return ConstBlockBytes(bytes_); }
  // The on-disk structure at `offset`. REQUIRES: T is trivially copyable, packed, and fits.
  template <typename T>
  const T* as(size_t offset = 0) const {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) == 1);
    return reinterpret_cast<const T*>(bytes_.data() + offset);
  }

 private:
  friend class BufferCache;
  friend class BufferRef;
  friend class Handle;
  friend class Journal;
  friend class WriteAccess;

  Buffer() = default;

  enum class State : uint8_t { kEmpty, kValid };

  alignas(64) std::array<std::byte, kBlockSize> bytes_;  // not zeroed: filled by the first read
  rt::Mutex lock_;
  FsBlock block_;
  Buffer* next_in_bucket_ = nullptr;  // cache lock
  BufferCache* cache_ = nullptr;
  uint32_t references_ = 0;  // cache lock
  bool referenced_lately_ = false;  // cache lock; second chance of the shrinker
  bool forgotten_ = false;          // cache lock
  // Guarded by lock_:
  State state_ = State::kEmpty;
  bool verified_ = false;
  bool dirty_ = false;      // differs from the device
  uint32_t writers_ = 0;    // handles that have write access
  ChecksumTrigger trigger_;
};

// One counted use of a buffer; move-only.
class [[nodiscard]] BufferRef {
 public:
  BufferRef() = default;
  BufferRef(BufferRef&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  BufferRef& operator=(BufferRef&& other) noexcept {
    if (this != &other) {
      reset();
      buffer_ = std::exchange(other.buffer_, nullptr);
    }
    return *this;
  }
  BufferRef(const BufferRef&) = delete;
  BufferRef& operator=(const BufferRef&) = delete;
  ~BufferRef() { reset(); }

  explicit operator bool() const { return buffer_ != nullptr; }
  Buffer& operator*() const { return *buffer_; }
  Buffer* operator->() const { return buffer_; }
  Buffer* get() const { return buffer_; }
  BufferRef dup() const;
  void reset();

 private:
  friend class BufferCache;
  explicit BufferRef(Buffer* buffer) : buffer_(buffer) {}
  Buffer* buffer_ = nullptr;
};

class BufferCache {
 public:
  explicit BufferCache(pmem::Device& device);
  BufferCache(const BufferCache&) = delete;
  BufferCache& operator=(const BufferCache&) = delete;
  ~BufferCache();

  // The block's copy, read from the device on first use. YIELDS.
  // Errors: kIo (poison), kCorrupted (block beyond the device, or `verifier` refuses it).
  Result<BufferRef> get(FsBlock block, const Verifier& verifier = {}, Site site = Site::current());
  // The copy of a block that was just allocated: zeroed, not read, counts as verified. YIELDS.
  // Errors: kCorrupted (beyond the device).
  Result<BufferRef> get_new(FsBlock block, Site site = Site::current());
  // Drops the copies of blocks that are being freed: neither found nor written any more (BC3).
  void discard(FsBlock first, uint64_t count);
  // Frees clean copies nobody uses. Kernel: drop_caches on the block device.
  void shrink();

  pmem::Device& device() { return device_; }
  size_t cached() const { return cached_; }

 private:
  friend class BufferRef;
  friend class Handle;
  static constexpr size_t kBucketsMin = 64;
  static constexpr size_t kSlabBuffers = 16;
  static constexpr size_t kCachedMax = 4096;  // 16 MiB, then unused clean copies are reused
  struct Slab;

  Buffer* find_locked(FsBlock block) FS_REQUIRES(lock_);
  Buffer* take_locked(FsBlock block) FS_REQUIRES(lock_);
  void unlink_locked(Buffer* buffer) FS_REQUIRES(lock_);
  void shrink_locked() FS_REQUIRES(lock_);
  void grow_locked() FS_REQUIRES(lock_);
  Buffer* lookup(FsBlock block);
  void put(Buffer* buffer);
  size_t bucket(FsBlock block) const { return block.value() & (buckets_.size() - 1); }

  pmem::Device& device_;
  rt::SpinLock lock_;
  std::vector<Buffer*> buckets_ FS_GUARDED_BY(lock_);
  std::vector<std::unique_ptr<Slab>> slabs_ FS_GUARDED_BY(lock_);
  Buffer* free_ FS_GUARDED_BY(lock_) = nullptr;
  size_t cached_ = 0;
};

}  // namespace daxfs::jbd2
