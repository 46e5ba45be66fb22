// fs/pmem/device.h - persistent memory: every load, store, flush and fence of the library's medium
// goes through here.
//
// A device is a libpmem2 mapping of a file or of anonymous memory. A *cached* store may reach the
// medium at any time and is certain to be there after flush + fence; a *non-temporal* store needs
// the fence only. Between the two, a crash may keep or lose it (the recorder sees all three kinds
// in order, so that crash states can be built from them).
//
// The device knows which 4 KiB blocks changed since a template was loaded, so that the next run
// restores only those, and which 512-byte sectors carry a media error (poison): reading one fails
// with kIo until it is cleared.
//
// Kernel: drivers/nvdimm/pmem.c (pmem_do_write, poison), arch_wb_cache_pmem, memcpy_flushcache.
// Locking: none. Bytes, bitmaps and poison may be used by many tasks at once; what races on bytes
//   is the caller's (simulated user stores race legitimately). restore, load_image, reset_tracking
//   and set_recorder need a quiet device.
// Invariants:
//   PM1  every store, flush and zeroing lies inside the device: a block number from media is
//        checked before it comes here.
//   PM2  nothing is stored to a block that `changed_blocks` does not name afterwards; so restore
//        leaves exact bytes.
//   PM3  store_clearing_poison takes whole sectors, as clearing a media error does.
//   O15  while freed blocks are watched, nothing is loaded from or stored to one.
// Not covered: torn stores larger than a cache line while other tasks look (a store is one step of
//   the schedule).
// Tested by: fs/pmem/device_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/pmem/bit_set.h"
#include "fs/rt/task.h"
#include "fs/rt/trace.h"

namespace daxfs::pmem {

enum class StoreKind : uint8_t {
  kCached,       // durable after flush and fence
  kNonTemporal,  // durable after fence
};

// Sees every store, flush and fence of a device in order, after the bytes are in place. For crash
// states.
class Recorder {
 public:
  virtual ~Recorder() = default;
  // `bytes` are the new contents of [offset, offset + bytes.size()) and live in the device: copy
  // what you keep.
  virtual void on_store(uint64_t offset, std::span<const std::byte> bytes, StoreKind kind, Site site) = 0;
  virtual void on_flush(uint64_t offset, uint64_t size, Site site) = 0;
  virtual void on_fence(Site site) = 0;
};

class Device {
 public:
  struct OpenOptions {
    bool read_only = false;
    bool private_copy = false;       // stores stay in memory and never reach the file
    std::string* message = nullptr;  // on failure: one sentence for a person, naming the file
  };

  // Maps an existing regular file (or device DAX) whose size is a positive multiple of 4096 bytes.
  // Errors: kNoEnt, kAccess, kIsDir, ... from open(2); kInval for a size we cannot use; kIo if it
  // cannot be mapped.
  static Result<std::unique_ptr<Device>> open(const std::string& path, const OpenOptions& options);
  // Creates a file of zeros with its blocks allocated, and maps it. Errors: kExist, kInval for the
  // size, kNoSpc, ...
  static Result<std::unique_ptr<Device>> create(const std::string& path, uint64_t size, std::string* message = nullptr);
  // Zeroed memory that dies with the device. Errors: kInval for the size, kNoMem.
  static Result<std::unique_ptr<Device>> anonymous(uint64_t size);

  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  uint64_t size() const { return size_; }  // bytes
  uint64_t block_count() const { return size_ / kBlockSize; }
  FsBlock blocks() const { return FsBlock(block_count()); }  // one past the last block
  bool read_only() const { return read_only_; }

  // For checkers, and for reads that cannot meet poison. Not a scheduling point.
  const std::byte* data() const { return base_; }
  std::span<const std::byte> bytes() const { return {base_, size_}; }

  // Copies [offset, offset + out.size()) out. Errors: kInval if that leaves the device, kIo if a
  // byte of it is poisoned (then `out` is untouched). One scheduling point.
  Status read(uint64_t offset, std::span<std::byte> out, Site site = Site::current()) const;
  template <typename T>
  Result<T> read_value(uint64_t offset, Site site = Site::current()) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    FS_RETURN_IF_ERROR(read(offset, std::as_writable_bytes(std::span<T, 1>(&value, 1)), site));
    return value;
  }

  // Stores. REQUIRES: the range lies inside the device (PM1). Errors: kRoFs. Poison in the range
  // stays: the bytes arrive but cannot be read. Each call is one scheduling point; of size 0,
  // nothing at all.
  Status store(uint64_t offset, std::span<const std::byte> bytes, Site site = Site::current());
  Status store_nt(uint64_t offset, std::span<const std::byte> bytes, Site site = Site::current());
  // A cached store that is part of its caller's scheduling point: a user store, whose page-table
  // check and bytes are one step for the rest of the machine.
  Status store_unscheduled(uint64_t offset, std::span<const std::byte> bytes, Site site = Site::current());
  // Zeroes with non-temporal stores.
  Status zero(uint64_t offset, uint64_t size, Site site = Site::current());
  // A non-temporal store of whole sectors that clears their poison. REQUIRES: multiples of
  // kSectorSize (PM3).
  Status store_clearing_poison(uint64_t offset, std::span<const std::byte> bytes, Site site = Site::current());
  template <typename T>
  Status store_value(uint64_t offset, const T& value, Site site = Site::current()) {
    static_assert(std::is_trivially_copyable_v<T>);
    return store(offset, std::as_bytes(std::span<const T, 1>(&value, 1)), site);
  }

  // For those that load by data(): what a tracer hears of it (fs/rt/trace.h).
  void trace_load(uint64_t offset, uint64_t size) const {
    if (rt::tracing()) { trace_loaded(offset, size); }
  }

  // Starts writing back the cache lines of the range. Durable only after a fence. One scheduling
  // point.
  void flush(uint64_t offset, uint64_t size, Site site = Site::current());
  // PERSISTS: everything flushed or stored non-temporally before. One scheduling point.
  void fence(Site site = Site::current());
  // PERSISTS: flush + fence, two scheduling points.
  void persist(uint64_t offset, uint64_t size, Site site = Site::current());

  // Media errors in units of 512-byte sectors; a range that covers part of a sector sets (clears)
  // all of it. Not scheduling points. REQUIRES: inside the device (PM1).
  void set_poison(uint64_t offset, uint64_t size);
  void clear_poison(uint64_t offset, uint64_t size);
  bool poisoned(uint64_t offset, uint64_t size) const {
    return size != 0 && poison_.any() && poison_.any_in(offset / kSectorSize, div_round_up(offset + size, kSectorSize));
  }

  // Blocks that their filesystem gave back and has not handed out again: whoever still touches one
  // (a DMA, a mapping, a forgotten buffer) is found at that moment, not when the block has a new
  // owner. Off by default, as media that gives one block to two files breaks no invariant of ours;
  // the marks are then not kept. Not scheduling points.
  void watch_freed(bool on) {
    watch_freed_ = on;
    freed_.clear_all();
  }
  void mark_freed(FsBlock first, uint64_t count) {
    if (watch_freed_) { freed_.set_range(first.value(), first.value() + count); }
    if (unfenced_.any()) { unfenced_.clear_range(first.value(), first.value() + count); }
  }
  void mark_used(FsBlock first, uint64_t count) {
    if (freed_.any()) { freed_.clear_range(first.value(), first.value() + count); }
  }
  bool freed(uint64_t offset, uint64_t size) const {
    return freed_.any() && size != 0 && freed_.any_in(offset / kBlockSize, div_round_up(offset + size, kBlockSize));
  }
  // O15, for those that reach the bytes by data() or only by their address.
  void require_owned(uint64_t offset, uint64_t size, const char* what, Site site) const {
    if (__builtin_expect(freed(offset, size), 0)) { report_freed(offset, size, what, site); }
  }

  // Whether a block has one owner at most, as on a sound medium: then a frame of two files is a
  // bug (O1, O15). Judges of media that may be damaged turn it off; off for files, which nobody has
  // checked.
  void watch_owners(bool on) { watch_owners_ = on; }
  bool watches_owners() const { return watch_owners_; }

  // For judges of fsync: which user stores (store_unscheduled) no flush and fence followed, and which non-temporal
  // stores no fence. Time is counted in stores, flushes and fences. Off by default; one OS thread only.
  void watch_durability(bool on);
  bool watches_durability() const { return !marks_.empty(); }
  uint64_t watch_time() const { return watch_time_.get(); }
  // A user store that was made at `time` or before is in the block and not durable.
  bool undurable(FsBlock block, uint64_t time) const {
    if (marks_.empty() || !unfenced_.any_in(block.value(), block.value() + 1)) { return false; }
    const DurabilityMark& mark = marks_[block.value()];
    const uint64_t fenced = last_fence_.get();
    const bool waits = mark.first_store.get() <= time && (mark.flushed.get() == 0 || mark.flushed.get() > fenced);
    return waits || (mark.older_store.get() <= time && mark.older_flushed.get() > fenced);
  }
  // Of non-temporal stores that no fence followed, the time of the last one of a task, or in a block; 0: none.
  uint64_t unfenced_store_of(rt::TaskId task) const { return unfenced(stores_of_[static_cast<size_t>(task)]); }
  uint64_t unfenced_store_in(FsBlock block) const {
    return marks_.empty() ? 0 : unfenced(marks_[block.value()].non_temporal);
  }
  uint64_t last_fence() const { return last_fence_.get(); }
  // Bit b of word w is block 64 * w + b: may be undurable.
  std::span<const uint64_t> unfenced_blocks() const { return unfenced_.words(); }

  // Bit b of word w is block 64 * w + b: changed since load_image, restore or reset_tracking.
  std::span<const uint64_t> changed_blocks() const { return changed_.words(); }
  void reset_tracking() { changed_.clear_all(); }
  // Copies the changed blocks back from `pristine`, clears all poison, resets the tracking. Neither
  // recorded nor a scheduling point. REQUIRES: pristine.size() == size(), and equal to what the
  // device held when tracking began.
  void restore(std::span<const std::byte> pristine);
  // Replaces all bytes (zeros behind the image if it is smaller), clears all poison, resets the
  // tracking.
  // REQUIRES: image.size() <= size().
  void load_image(std::span<const std::byte> image);

  // Null for none. The device does not own it.
  void set_recorder(Recorder* recorder) { recorder_ = recorder; }
  Recorder* recorder() const { return recorder_; }

 private:
  void trace_loaded(uint64_t offset, uint64_t size) const;
  // `bytes` empty: zeros.
  void trace_stored(uint64_t offset, uint64_t size, std::span<const std::byte> bytes) const;
  struct Mapping;  // libpmem2's objects and functions; null for no file behind the bytes

  Device(std::unique_ptr<Mapping> mapping, std::byte* base, uint64_t size, bool read_only);

  bool contains(uint64_t offset, uint64_t size) const { return size <= size_ && offset <= size_ - size; }
  void require_inside(uint64_t offset, uint64_t size, const char* what) const;
  FS_COLD void report_freed(uint64_t offset, uint64_t size, const char* what, Site site) const;
  Status store_kind(uint64_t offset, std::span<const std::byte> bytes, StoreKind kind, Site site);
  void place(uint64_t offset, std::span<const std::byte> bytes, StoreKind kind, Site site);
  void mark_changed(uint64_t offset, uint64_t size) {
    changed_.set_range(offset / kBlockSize, div_round_up(offset + size, kBlockSize));
  }

  std::byte* const base_;
  const uint64_t size_;
  const bool read_only_;
  Recorder* recorder_ = nullptr;
  BitSet changed_;  // one bit a block
  BitSet poison_;   // one bit a sector
  BitSet freed_;    // one bit a block

  // A number of the watch itself: it orders nothing, so that TSan judges the stores and not who counts them.
  class Count {
   public:
    uint64_t get() const { return __atomic_load_n(&value_, __ATOMIC_RELAXED); }
    void set(uint64_t value) { __atomic_store_n(&value_, value, __ATOMIC_RELAXED); }
    uint64_t next() { return __atomic_add_fetch(&value_, 1, __ATOMIC_RELAXED); }

   private:
    uint64_t value_ = 0;
  };
  uint64_t unfenced(const Count& store) const { return store.get() > last_fence_.get() ? store.get() : 0; }
  // What watch_durability keeps of a block: of user stores if its bit is in unfenced_.
  struct DurabilityMark {
    Count first_store;    // since the last flush before it
    Count flushed;        // 0: not yet
    Count older_store;    // the first of those that were flushed when a store came again,
    Count older_flushed;  // and when: they need a fence only
    Count non_temporal;   // the last such store; they need a fence only
  };
  void note_user_store(uint64_t offset, uint64_t size);
  void note_flush(uint64_t offset, uint64_t size);
  void note_non_temporal(uint64_t offset, uint64_t size);
  void forget_stores();
  std::vector<DurabilityMark> marks_;  // empty: nobody watches
  BitSet unfenced_;                    // one bit a block
  Count watch_time_;
  Count last_fence_;
  std::array<Count, rt::kMaxTasks> stores_of_{};  // the last non-temporal one
  bool watch_freed_ = false;
  bool watch_owners_ = true;
  std::unique_ptr<Mapping> mapping_;
};

}  // namespace daxfs::pmem
