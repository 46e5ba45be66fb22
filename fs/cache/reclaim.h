// fs/cache/reclaim.h - memory is short: pages of files leave it, oldest first.
//
// A page goes when it is not locked, not being written, not used lately, and nobody has a reference but the tree.
// Mapped
// pages are unmapped first, dirty ones written. A page that a device may write to (a pin) keeps its buffer and stays: a
// reference alone does not tell a pin from a PTE, so pins are counted apart (thread 003; kernel: FOLL_PIN,
// folio_maybe_dma_pinned).
//
// Kernel: mm/vmscan.c (shrink_folio_list, pageout, __remove_mapping).
// Locking: folio locks by trylock, so that it may be called wherever memory is allocated.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include "fs/base/site.h"
#include "fs/mm/memory.h"

namespace daxfs::cache {

// Looks at up to `scan` pages. RETURNS: how many it freed. YIELDS.
unsigned shrink_pages(mm::Memory& memory, unsigned scan, Site site = Site::current());

}  // namespace daxfs::cache
