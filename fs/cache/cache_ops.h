// fs/cache/cache_ops.h - what the page cache asks of the disk format whose pages it keeps.
//
// Kernel: struct address_space_operations.
// Locking: each function is called with the folio locked.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/mm/address_space.h"
#include "fs/mm/page.h"

namespace daxfs::cache {

class CacheOps {
 public:
  // Starts to read the page. It becomes kUptodate or kError, and is unlocked: now, or by the interrupt that ends the
  // read.
  // The caller's reference lasts until then. YIELDS. Kernel: read_folio.
  virtual void read_page(mm::AddressSpace& mapping, mm::Page& page) = 0;
  // Writes a page that reclaim wants, if that needs no allocation; else makes it dirty again. REQUIRES:
  // clear_dirty_for_io() said that it was dirty. Unlocks. YIELDS. Kernel: writepage.
  virtual void write_page(mm::AddressSpace& mapping, mm::Page& page) = 0;
  // The page has left the file with its buffer: room that was reserved for it is free again. YIELDS.
  // Kernel: invalidate_folio.
  virtual void invalidate_page(mm::AddressSpace& mapping, mm::Page& page) = 0;

 protected:
  ~CacheOps() = default;
};

}  // namespace daxfs::cache
