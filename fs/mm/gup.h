// fs/mm/gup.h - pins user pages for direct I/O and for process_vm_readv.
//
// Kernel: mm/gup.c, pin_user_pages_fast, pin_user_pages_remote.
// The fast path walks without a lock: load the PTE, test the permission, take a reference, read the
// PTE again and give the reference back if it changed. Between the load and the take anything may
// happen; between the take and the second read there is no scheduling point, as interrupts are off
// there and a TLB shootdown waits (tlb_gate.h). The slow path faults the page in under mmap_lock
// and takes the reference under ptl. Historical bugs: kDioPinNoRevalidate (no second read),
// kGupIgnoresWrite (a device PTE's write bit is not tested). Tested by: fs/mm/gup_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/mm/page.h"

namespace daxfs::mm {

class Mm;

// `write`: the device will write to memory. Errors: kFault if the page cannot be had with that
// permission, kNoMem, kHwPoison. The caller must release the pin by name. Takes and drops
// mmap_lock. YIELDS.
Result<PagePin> pin_user_page(Mm& mm, VirtAddr address, bool write, Site site = Site::current());

// The same without the fast path: whose page tables these are may not run here.
Result<PagePin> pin_user_page_remote(Mm& mm, VirtAddr address, bool write, Site site = Site::current());

}  // namespace daxfs::mm
