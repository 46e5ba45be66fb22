// fs/mm/huge.h - mappings of 2 MiB (or of Memory::huge_order() pages) by one PMD.
//
// Only files map huge, through VmFile::huge_fault. A huge mapping is never split into single pages that
// stay mapped: who wants a part of it takes all of it out, and the next access faults.
//
// Kernel: mm/huge_memory.c (vmf_insert_pfn_pmd, zap_huge_pmd, __split_huge_pmd for DAX, change_huge_pmd,
//   move_huge_pmd), dax_pmd_load_hole's half below the page table lock, set_huge_zero_page.
// Locking: all take ptl unless they say that it is held.
// Tested by: fs/mm/huge_test.cc.
#pragma once

#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/mm/mm.h"
#include "fs/mm/vma.h"

namespace daxfs::mm {

// Whether the huge range around vmf.address can be mapped by one PMD as far as the VMA is concerned: address and
// file offset have the same colour, and the range lies in the VMA. Kernel: dax_fault_check_fallback.
bool huge_range_fits(const VmFault& vmf);

// Maps the range whose first frame is `pfn` around vmf.address: read-only, or with `write` writable
// and dirty. If the same frames are mapped there already, `write` makes them writable; anything else there is left
// alone, and is MM9 if `write` meets other frames; kRetry where single pages can be mapped. Kernel: insert_pfn_pmd.
FaultResult insert_pfn_pmd(VmFault& vmf, Pfn pfn, bool write, Site site = Site::current());

// Maps the zero page for the whole range. kFallback if anything is mapped there. Kernel: dax_pmd_load_hole.
FaultResult insert_huge_zero_page(VmFault& vmf, Site site = Site::current());

// Takes a huge mapping out, if there is one at `address`. YIELDS. Kernel: __split_huge_pmd on a DAX VMA.
void split_huge_pmd(Mm& mm, VirtAddr address, Site site = Site::current());

// The same for callers that hold ptl and call mm.tlb.shootdown() afterwards. Whether there was one.
bool zap_huge_locked(Mm& mm, VirtAddr address, Site site) FS_REQUIRES(mm.page_table.ptl);

}  // namespace daxfs::mm
