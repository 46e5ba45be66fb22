// fs/cache/reclaim.h - memory is short: pages of files leave it, oldest first.
//
// A page goes when it is not locked, not being written, not used lately, and nobody has a reference but the tree.
// Mapped pages are unmapped first, dirty ones written. A page that a device may write to (a pin) keeps its buffer and
// stays: a reference alone does not tell a pin from a PTE, so pins are counted apart (thread 003; kernel: FOLL_PIN,
// folio_maybe_dma_pinned).
//
// Kernel: mm/vmscan.c (shrink_folio_list, pageout, __remove_mapping).
// Locking: folio locks by trylock, so that it may be called wherever memory is allocated.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include "fs/base/site.h"
#include "fs/mm/memory.h"
#include "fs/rt/workqueue.h"

namespace daxfs::cache {

// Looks at up to `scan` pages. RETURNS: how many it freed. YIELDS.
unsigned shrink_pages(mm::Memory& memory, unsigned scan, Site site = Site::current());

// A task of its own that reclaims when it is woken; it runs when the schedule lets it, so at any event of the others.
// Kernel: kswapd, wakeup_kswapd.
class Kswapd {
 public:
  // `scan`: pages that it looks at each time.
  Kswapd(mm::Memory& memory, unsigned scan) : memory_(memory), scan_(scan) {}
  Kswapd(const Kswapd&) = delete;
  Kswapd& operator=(const Kswapd&) = delete;

  void wake() { queue_.queue(work_); }  // YIELDS
  // Until it is done with what it was woken for. May sleep. YIELDS.
  void stop() {
    if (!queue_.idle()) { queue_.flush(); }
  }

 private:
  static void run(void* self);

  mm::Memory& memory_;
  const unsigned scan_;
  rt::Workqueue queue_{"kswapd"};
  rt::Work work_{&Kswapd::run, this};
};

}  // namespace daxfs::cache
