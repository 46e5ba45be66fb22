// fs/mm/fault.h - how a fault handler puts its frame into the page table.
//
// Kernel: vmf_insert_mixed, vmf_insert_mixed_mkwrite, finish_fault.
// Locking: all take ptl. The caller holds mmap_lock for read and what keeps the frame valid (the
// DAX entry lock). Invariants:
//   MM9  nobody makes a PTE writable that maps another frame, apart from the zero page.
// Tested by: fs/mm/fault_test.cc.
#pragma once

#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/mm/vma.h"

namespace daxfs::mm {

struct Page;

// Maps `pfn` at vmf.address: read-only, or with `write` writable and dirty. The zero page is mapped
// special. If something is mapped there already: the same frame and `write` makes it writable; a
// different frame is left alone, and is MM9 if `write`. Takes no reference.
FaultResult insert_pfn(VmFault& vmf, Pfn pfn, bool write, Site site = Site::current());

// Maps a page of the page cache at vmf.address: read-only, or with `write` writable and dirty; takes a reference
// for the PTE. If something is mapped there already: the same page and `write` makes it writable, anything else is left
// alone.
// REQUIRES: the folio locked and of vmf's file and page. Kernel: finish_fault, do_set_pte.
FaultResult insert_page(VmFault& vmf, Page& page, bool write, Site site = Site::current());
// What goes with a PTE of the page cache that was taken out: its dirty bit, its reference. REQUIRES: ptl since.
void unmap_page(Page& page, Pte pte, Site site = Site::current());

// Maps vmf.cow_page, filled by the caller, writable; if something is mapped already the copy is
// dropped. Takes over the frame and sets vmf.cow_done.
FaultResult finish_cow_fault(VmFault& vmf, Site site = Site::current());

}  // namespace daxfs::mm
