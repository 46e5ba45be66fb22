// fs/mm/memory.h - all physical frames of the simulated machine: those of the pmem device, and
// DRAM.
//
// Frame numbers: pmem frame N is device block N; the zero page comes next; DRAM frames (private
// copies, anonymous memory) follow. Bytes of pmem move through pmem::Device only, so that stores
// are recorded; bytes of DRAM move plainly, and in both cases ThreadSanitizer does not judge them
// (the simulated program may race).
//
// Kernel: mem_map / memmap_init_zone_device, alloc_page, ___wait_var_event on page->_refcount.
// Locking: the DRAM free list and the table pool have a raw lock of their own.
// Invariants:
//   MM3  after a run nothing is held: every pmem frame idles at 1 with no mapping, every DRAM frame
//   and table page is free.
// Tested by: fs/mm/memory_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fs/base/function_ref.h"
#include "fs/base/raw_lock.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/mm/frame_history.h"
#include "fs/mm/page.h"
#include "fs/pmem/device.h"
#include "fs/rt/shared.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/wait_queue.h"

namespace daxfs::mm {

struct Folio;
struct TablePage;

class Memory {
 public:
  Memory(pmem::Device& device, uint32_t dram_frames_max);
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  pmem::Device& device() { return device_; }
  Pfn zero_pfn() const { return Pfn(pmem_frames_); }
  bool is_pmem(Pfn pfn) const { return pfn.value() < pmem_frames_; }
  // Bytes of a file, not of one process alone; the zero page is neither.
  bool is_file_frame(Pfn pfn) const { return is_pmem(pfn) || page(pfn).is_cached(); }
  uint64_t pmem_frames() const { return pmem_frames_; }

  // How many pages an entry of the second table level stands for, 2^order (kernel: PMD_ORDER, a
  // constant), and whether such an entry may map them itself: see
  // docs/decisions/0022-huge-order.md.
  unsigned huge_order() const { return huge_order_; }
  uint64_t huge_pages() const { return uint64_t{1} << huge_order_; }
  uint64_t huge_size() const { return huge_pages() * kPageSize; }  // bytes
  bool huge_mappings() const { return huge_mappings_; }
  // REQUIRES: order 1..kPmdOrder. Errors: kBusy if a process has page tables of another order.
  Status set_huge(bool mappings, unsigned order);

  Page& page(Pfn pfn) { return pages_[pfn.value()]; }
  const Page& page(Pfn pfn) const { return pages_[pfn.value()]; }
  Pfn pfn(const Page& page) const { return Pfn(static_cast<uint64_t>(&page - pages_.get())); }

  // Of pmem frames.
  FrameHistory& history() { return history_; }
  // What the page cache knows of a DRAM frame (folio.h). REQUIRES: pfn > zero_pfn().
  Folio& folio(Pfn pfn);
  // For oracles, while nothing else runs: visit(page) of each page that is in some file's cache.
  template <typename F>
  void for_each_cached_page(F visit) FS_NO_THREAD_SAFETY_ANALYSIS {
    for (uint64_t n = pmem_frames_ + 1; n < pmem_frames_ + dram_fresh_; ++n) {
      if (pages_[n].is_cached() && pages_[n].mapping != nullptr) { visit(pages_[n]); }
    }
  }
  // Tasks that wait for a folio's lock or writeback, keyed by frame.
  rt::WaitQueue& folio_waiters() { return folio_waiters_; }
  // Frames of the page cache, in the order in which they came (kernel: the inactive file list). fs/cache/reclaim.cc.
  struct Lru {
    rt::SpinLock lock{rt::Rank::kLeaf, "lru_lock"};
    rt::Shared<std::vector<Pfn>, "lru"> frames FS_GUARDED_BY(lock);
  };
  Lru& lru() { return lru_; }

  // A DRAM frame with count 1, which put_page() frees. Contents are zeros, or a byte
  // that no read may show if the caller overwrites them all. Errors: kNoMem.
  Result<Pfn> alloc_dram(bool zeroed = true);
  // Whether alloc_dram() failed since the reset.
  bool dram_ran_out() const { return dram_ran_out_; }
  // The count's owner gives a frame back that nobody else ever saw. REQUIRES: count 1.
  void free_dram(Pfn pfn);
  // The last count is gone. For put_page().
  void recycle_dram(Pfn pfn);

  // The bytes of a DRAM frame that the caller owns alone (a fresh copy).
  std::span<std::byte> dram_bytes(Pfn pfn) { return {dram(pfn), kPageSize}; }

  // Bytes within one frame. Errors: kIo if poisoned, kInval past the frame. pmem: one scheduling
  // point (the device's).
  Status read(Pfn pfn, size_t offset, std::span<std::byte> out, Site site = Site::current());
  Status write(Pfn pfn, size_t offset, std::span<const std::byte> bytes, Site site = Site::current());
  // Zeros into a DRAM frame that others may see. Not a scheduling point.
  void zero_dram(Pfn pfn, size_t offset, size_t size);
  // The same without a scheduling point and without looking at poison: for a user access, whose PTE
  // check and effect are one step.
  void user_read(Pfn pfn, size_t offset, std::span<std::byte> out, Site site);
  // Errors: kRoFs of the device.
  Status user_write(Pfn pfn, size_t offset, std::span<const std::byte> bytes, Site site);

  // Sleeps until page_ref_count(page) == 1. The two callbacks run around every real sleep, on the
  // waiting task, to drop and retake locks; if the frame is idle already neither runs: a caller
  // that must look again because locks were dropped learns it from its own callback, and must look
  // again even if it did not run (historical kBreakLayoutsLostRetry). YIELDS.
  void wait_page_idle(Page& page, FunctionRef<void()> before_sleep, FunctionRef<void()> after_sleep,
                      Site site = Site::current());
  // Wakes them. put_page() calls it.
  void wake_page_idle(Page& page, Site site = Site::current());

  // Tasks that wait for the lock of a DAX entry and came from a frame: unlike those on AddressSpace::entry_waiters they
  // hold nothing that keeps the file in memory while they sleep. Keyed as those, with the mapping as owner (compared,
  // never followed).
  rt::WaitQueue& frame_waiters() { return frame_waiters_; }

  // Back to the state after construction, whatever an abandoned run left. No tasks may run. Costs
  // about the pmem frames.
  void reset();
  // Appends one line per frame or table page that is still in use; true if there is none (MM3). No
  // tasks may run.
  bool audit_idle(std::vector<std::string>* report) const;
  // The same as an assertion: the first line becomes a finding.
  void check_idle() const;

  uint32_t dram_in_use() const { return dram_in_use_; }
  uint32_t tables_in_use() const { return tables_in_use_; }

  // Zeroed page-table pages from a pool. Never fails. For PageTable. free_table REQUIRES all
  // entries zero.
  uint64_t generation() const { return generation_; }  // counts resets
  TablePage* alloc_table();
  void free_table(TablePage* table);

 private:
  struct Unmapper {
    size_t bytes;
    void operator()(std::byte* base) const;
  };

  void reset_lru();
  void trace_dram(Pfn pfn, size_t offset, std::span<const std::byte> before, std::span<const std::byte> now) const;
  std::byte* dram(Pfn pfn) const { return dram_.get() + (pfn.value() - pmem_frames_) * kPageSize; }

  pmem::Device& device_;
  const uint64_t pmem_frames_;
  const uint32_t dram_frames_;  // including the zero page
  std::unique_ptr<Page[]> pages_;
  FrameHistory history_;
  std::unique_ptr<std::byte, Unmapper> dram_;

  mutable RawLock pool_lock_;
  std::vector<uint32_t> dram_free_ FS_GUARDED_BY(pool_lock_);  // given back, last first
  uint32_t dram_fresh_ FS_GUARDED_BY(pool_lock_) = 1;          // first DRAM frame never handed out
  uint32_t dram_in_use_ = 0;
  bool dram_ran_out_ = false;
  std::vector<std::unique_ptr<TablePage>> tables_ FS_GUARDED_BY(pool_lock_);
  std::vector<TablePage*> tables_free_ FS_GUARDED_BY(pool_lock_);
  uint32_t tables_in_use_ = 0;
  unsigned huge_order_ = kPmdOrder;
  bool huge_mappings_ = false;
  uint64_t generation_ = 0;

  std::unique_ptr<Folio[]> folios_;  // by DRAM frame
  Lru lru_;
  rt::WaitQueue idle_queue_;  // keyed by frame
  rt::WaitQueue folio_waiters_;
  rt::WaitQueue frame_waiters_;
};

}  // namespace daxfs::mm
