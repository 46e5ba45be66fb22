// fs/dax/layout.h - finds pages of a file that somebody holds a pin on, before their blocks are
// taken away.
//
// Kernel: fs/dax.c (dax_layout_busy_page_range).
// Locking: caller holds the invalidate lock exclusive, so that no fault can map a page again
// between unmap and scan. Tested by: fs/dax/layout_test.cc.
#pragma once

#include <cstdint>

#include "fs/mm/address_space.h"
#include "fs/mm/page.h"

namespace daxfs::dax {

inline constexpr uint64_t kToEnd = ~uint64_t{0};

// Unmaps [start, end] (bytes, end included; kToEnd: the whole rest) from every process and returns
// the first page of it whose reference count is above idle, null if there is none. The page is not
// referenced: it is a page of the device and cannot go away. YIELDS.
mm::Page* layout_busy_page_range(mm::AddressSpace& mapping, uint64_t start, uint64_t end);
inline mm::Page* layout_busy_page(mm::AddressSpace& mapping) { return layout_busy_page_range(mapping, 0, kToEnd); }

}  // namespace daxfs::dax
