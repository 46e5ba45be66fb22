// fs/io/bio.h - one request to the device: pinned user pages, and a completion in irq context.
//
// The bytes move when the completion runs, not at submission: the device is slow and the schedule
// decides how slow. So whatever happens to the pinned pages in between, happens under a running
// DMA.
//
// Kernel: struct bio (include/linux/blk_types.h), iomap_dio_bio_end_io (fs/iomap/direct-io.c).
// Locking: add_page and submit in process context; complete runs in irq context and takes no lock
// but those of put_page. Invariants:
//   O15  a page under DMA still belongs to the file page that it was pinned as.
//   IO3  a bio carries at most kBioPages segments, each within its page.
// Not covered: the kernel wakes the submitter before it releases the pages; here the pages are
// released first, so that
//   bios can live on the submitter's stack.
// Tested by: fs/io/io_test.cc.
#pragma once

#include <array>
#include <cstdint>

#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/mm/gup.h"
#include "fs/mm/memory.h"
#include "fs/mm/page.h"

namespace daxfs::io {

inline constexpr unsigned kBioPages = 8;

class Bio {
 public:
  using EndIo = void (*)(void* context, Bio& bio);

  Bio() = default;
  Bio(const Bio&) = delete;
  Bio& operator=(const Bio&) = delete;

  // Aims the bio at `device_offset`; `write` moves bytes from the pages to the device.
  void init(mm::Memory& memory, uint64_t device_offset, bool write, EndIo end_io, void* context);

  bool full() const { return count_ == kBioPages; }
  bool empty() const { return count_ == 0; }
  uint32_t size() const { return size_; }  // bytes
  Status status() const { return status_; }

  // Takes over the pin. REQUIRES: !full(), offset + length within the page.
  void add_page(mm::PagePin&& pin, uint32_t offset, uint32_t length);

  // The pages are the page cache's own, which keeps track of what changed. Without this, pages of files that the device
  // wrote to become dirty before their pins go (kernel: bio_set_pages_dirty, bio_check_pages_dirty).
  void keep_pages_clean() { dirties_pages_ = false; }

  // Hands the bio to the device. `end_io` is called once, in irq context, when the bytes have moved
  // and all pins are released. The bio must live until then. YIELDS.
  void submit(Site site = Site::current());

 private:
  struct Segment {
    mm::PagePin pin;
    uint32_t offset = 0;
    uint32_t length = 0;
  };

  static void complete_in_irq(void* self);
  void complete();
  void transfer(Segment& segment, uint64_t device_offset);

  mm::Memory* memory_ = nullptr;
  uint64_t device_offset_ = 0;
  EndIo end_io_ = nullptr;
  void* context_ = nullptr;
  bool write_ = false;
  bool dirties_pages_ = true;
  unsigned count_ = 0;
  uint32_t size_ = 0;
  Status status_;
  std::array<Segment, kBioPages> segments_;
};

}  // namespace daxfs::io
