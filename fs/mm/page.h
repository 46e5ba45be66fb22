// fs/mm/page.h - struct page of a frame: reference count, the file page it belongs to, flags; and
// the pin.
//
// A pmem frame's count idles at 1 while a file owns it or nobody does; a DRAM frame's count is 1
// per owner and 0 while it is free. A count above idle is a pin: somebody (direct I/O) uses the
// frame through its physical address.
//
// Kernel: struct page, page_ref_count, get_page, put_devmap_managed_page (6.1); FOLL_PIN.
// Locking: refcount is atomic. mapping and index of a pmem frame are guarded by the lock on the DAX
// entry that holds it; who starts from a frame reads mapping without it (read_page_mapping), so it
// is stored by set_page_mapping. hwpoison is set under the same lock. Invariants:
//   MM1  a PagePin is released exactly once, by name.
//   MM2  a pmem frame's count never falls below its idle 1, a DRAM frame's not below 0; nobody
//   takes from count 0.
// Not covered: compound pages; mapcount.
// Tested by: fs/mm/page_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/compiler.h"
#include "fs/base/site.h"
#include "fs/base/types.h"

namespace daxfs::mm {

class AddressSpace;
class Memory;

struct Page {
  enum Flag : uint16_t {
    kPmem = 1U << 0,      // idles at count 1, never freed
    kReserved = 1U << 1,  // the zero page: idles at count 1, never freed
  };

  AddressSpace* mapping = nullptr;  // pmem: whose entry holds the frame; null if none (and for DRAM)
  PgOff index{0};                   // page of that file
  Memory* memory = nullptr;         // constant
  int32_t refcount = 0;             // by the functions below only
  uint16_t flags = 0;               // constant
  bool hwpoison = false;            // by the functions below only
  bool cached = false;              // DRAM: held by the page cache (folio.h), else anonymous memory; constant
                                    // while it is in use

  bool is_pmem() const { return (flags & kPmem) != 0; }
  bool is_zero_page() const { return (flags & kReserved) != 0; }
  // Asked of frames that may be free or somebody else's by now, too.
  bool is_cached() const { return __atomic_load_n(&cached, __ATOMIC_RELAXED); }
  void set_cached(bool on) { __atomic_store_n(&cached, on, __ATOMIC_RELAXED); }
  // Memory of one process alone: a private copy, or memory without a file.
  bool is_anonymous() const { return !is_pmem() && !is_zero_page() && !is_cached(); }
  // memory_failure took the frame from every process, and nobody gets it while its sectors are bad. They may have been
  // cured since. Kernel: PageHWPoison.
  bool is_hwpoison() const { return __atomic_load_n(&hwpoison, __ATOMIC_RELAXED); }
  void set_hwpoison(bool on) { __atomic_store_n(&hwpoison, on, __ATOMIC_RELAXED); }
};

Pfn page_pfn(const Page& page);

// For whoever decides by the count: one scheduling point, then the read.
int read_page_ref(const Page& page, Site site = Site::current());

// Which file's entry holds the frame, asked without any lock: for whoever has nothing but a frame (memory_failure). Who
// wants to use the answer is in an RCU read section from before the call on: until its end the inode is not freed, even
// if it is evicted. One scheduling point.
AddressSpace* read_page_mapping(const Page& page, Site site = Site::current());
// The same for who holds the tree lock of the file that it expects. Not a scheduling point.
inline AddressSpace* page_mapping(const Page& page) { return __atomic_load_n(&page.mapping, __ATOMIC_ACQUIRE); }
// REQUIRES: tree lock of the file that holds the frame, or is to hold it. Not a scheduling point.
void set_page_mapping(Page& page, AddressSpace* mapping, PgOff index);

// For assertions and reports, which may have no lock: where two files fight for a frame, that is their finding and not
// a data race. Not a scheduling point.
FS_NO_TSAN inline PgOff page_index(const Page& page) { return page.index; }
inline int page_ref_count(const Page& page) { return __atomic_load_n(&page.refcount, __ATOMIC_SEQ_CST); }

// One scheduling point, then the change. get_page REQUIRES that the caller's own count or lock
// keeps the frame alive.
void get_page(Page& page, Site site = Site::current());
// A pmem frame that becomes idle wakes those that wait for it; a DRAM frame whose last count goes
// is freed.
void put_page(Page& page, Site site = Site::current());

// Takes a count unless the frame is free. Not a scheduling point: fast GUP's window must not
// contain one.
bool try_get_page_unscheduled(Page& page);

// One pin of a frame, as get_user_pages hands it out. Move-only.
class [[nodiscard]] PagePin {
 public:
  PagePin() = default;
  // Adopts a count that was taken already, and remembers whom the frame belongs to now.
  static PagePin adopt(Page& page, Site site = Site::current()) { return PagePin(page, site); }

  PagePin(PagePin&& other) noexcept
      : page_(other.page_), mapping_(other.mapping_), index_(other.index_), prepared_(other.prepared_) {
    other.page_ = nullptr;
  }
  PagePin& operator=(PagePin&& other) noexcept;
  ~PagePin() {
    if (page_ != nullptr) { report_unreleased(); }
  }

  bool empty() const { return page_ == nullptr; }
  // REQUIRES: !empty().
  Page& page() const { return *page_; }
  Pfn pfn() const { return page_pfn(*page_); }
  AddressSpace* mapping() const { return mapping_; }  // whose page it was when it was pinned

  // False if the frame now belongs to another (file, index) than when it was pinned, or to nobody.
  // Oracle O15: must hold when a DMA through the pin completes. Whether the block is free is asked
  // when the pin is taken and released, and by the device. Not a scheduling point.
  FS_NO_TSAN bool still_owned() const {
    if (!page_->is_pmem()) { return true; }  // a truncated page of the cache lives on until its last pin goes
    const AddressSpace* const mapping = page_->mapping;
    const PgOff index = page_->index;  // copied: TSan sees into the function operator==
    return mapping == mapping_ && index == index_;
  }

  // Drops the count. Afterwards empty. REQUIRES: !empty(). One scheduling point.
  void release(Site site = Site::current());

 private:
  // The owner is looked at for the oracle only: when a pin races with removal (the bugs it is there
  // to find), that is the oracle's finding and not a data race.
  FS_NO_TSAN PagePin(Page& page, Site site) : page_(&page), mapping_(page.mapping), index_(page.index) {
    require_owned(page, "pin", site);
    prepared_ = note_pinned(page);
  }
  // O15: the frame's block is not free. RETURNS: whether it is a page of the cache with a buffer. Not a scheduling
  // point.
  static bool note_pinned(const Page& page);
  void note_released(const Page& page) const;
  bool lost_buffer(const Page& page) const;
  static void require_owned(const Page& page, const char* what, Site site);
  void report_unreleased() const;

  Page* page_ = nullptr;
  AddressSpace* mapping_ = nullptr;
  PgOff index_{0};
  bool prepared_ = false;  // a page of the cache, with a buffer when it was pinned
};

}  // namespace daxfs::mm
