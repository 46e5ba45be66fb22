// fs/jbd2/buffer.h - metadata blocks in memory: a DRAM copy of each 4 KiB block that metadata code looks at.
//
// Nobody reads or writes metadata around these copies: a change is made in DRAM under a Handle (handle.h) and reaches
// the device when the handle stops. So a journal can be put between the two without touching the disk format's code.
//
// Kernel: struct buffer_head and the block device's page cache (fs/buffer.c: sb_bread, sb_getblk, bforget).
// Locking:
//   cache lock    raw lock, no scheduling point: the index, reference and writer counts, triggers.
//   buffer lock   mutex, rank kBuffer (kernel: lock_buffer): reading in, verification, write-back.
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
#include "fs/base/raw_lock.h"
#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/pmem/device.h"
#include "fs/rt/mutex.h"

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
  // Also changes another buffer that every handle with this one has write access to (a bitmap's checksum sits in the
  // group descriptor): runs before the others.
  bool early = false;
};

// Looks at a block once after it was read from the medium (kernel: buffer_verified). Returns kCorrupted for bad bytes.
struct Verifier {
  using Function = Status (*)(void* context, uint64_t argument, FsBlock block, ConstBlockBytes bytes);
  Function function = nullptr;
  void* context = nullptr;
  uint64_t argument = 0;
};

// Makes the bytes of a block that the medium does not hold yet (an uninitialised bitmap).
struct Filler {
  using Function = Status (*)(void* context, uint64_t argument, FsBlock block, BlockBytes bytes);
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
  friend class WriteAccess;

  // Grows: what is known of the bytes. Written under lock_, read without it.
  enum State : uint8_t { kEmpty, kRead, kVerified };

  explicit Buffer(BufferCache* cache) : lock_(rt::Rank::kBuffer, "buffer"), cache_(cache) {}

  State state() const {
    const State state = __atomic_load_n(&state_, __ATOMIC_ACQUIRE);
    internal::order_acquire(&state_);
    return state;
  }
  void set_state(State state) {
    internal::order_release(&state_);
    __atomic_store_n(&state_, state, __ATOMIC_RELEASE);
  }

  alignas(64) std::array<std::byte, kBlockSize> bytes_;  // not zeroed: filled by the first read
  rt::Mutex lock_;
  BufferCache* const cache_;
  State state_ = kEmpty;
  // Guarded by the cache lock:
  FsBlock block_;
  Buffer* next_ = nullptr;  // in the bucket or the free list
  uint32_t references_ = 0;
  uint32_t writers_ = 0;      // handles that have write access
  uint64_t last_writer_ = 0;  // number of the handle that got write access last
  bool dirty_ = false;        // some handle said so since the last write-back
  bool writing_ = false;      // write-back runs: no new writers
  bool forgotten_ = false;    // not in the index any more
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
  // The same for a block whose bytes `filler` makes instead of a read; counts as verified. YIELDS. Errors: the
  // filler's.
  Result<BufferRef> get_filled(FsBlock block, const Filler& filler, Site site = Site::current());
  // The copy of a block that was just allocated: zeroed, not read, counts as verified. YIELDS.
  // Errors: kCorrupted (beyond the device).
  Result<BufferRef> get_new(FsBlock block, Site site = Site::current());
  // Drops the copies of blocks that are being freed: neither found nor written any more (BC3).
  void discard(FsBlock first, uint64_t count);
  // Frees clean copies nobody uses. Kernel: drop_caches on the block device.
  void shrink();

  pmem::Device& device() { return device_; }

 private:
  friend class BufferRef;
  friend class Handle;
  static constexpr size_t kBuckets = 64;
  static constexpr size_t kSlabBuffers = 16;
  static constexpr size_t kCachedMax = 4096;  // 16 MiB, then unused clean copies go
  struct Slab;

  Buffer* find_locked(FsBlock block) FS_REQUIRES(lock_);
  void unlink_locked(Buffer* buffer) FS_REQUIRES(lock_);
  void release_locked(Buffer* buffer) FS_REQUIRES(lock_);
  void shrink_locked() FS_REQUIRES(lock_);
  Buffer* lookup(FsBlock block);
  void put(Buffer* buffer);
  Status read_in(Buffer& buffer, const Verifier& verifier, Site site);
  static size_t bucket(FsBlock block) { return block.value() % kBuckets; }

  pmem::Device& device_;
  RawLock lock_;
  std::array<Buffer*, kBuckets> buckets_ FS_GUARDED_BY(lock_){};
  std::vector<Slab*> slabs_ FS_GUARDED_BY(lock_);
  Buffer* free_ FS_GUARDED_BY(lock_) = nullptr;
  size_t cached_ FS_GUARDED_BY(lock_) = 0;  // in the index
};

}  // namespace daxfs::jbd2
