// fs/dax/fault.h - page faults of DAX mappings.
//
// Kernel: fs/dax.c (dax_iomap_pte_fault, dax_iomap_pmd_fault, dax_fault_iter, dax_load_hole, dax_insert_entry,
// dax_finish_sync_fault). Locking: caller holds mmap_lock shared, the file's invalidate lock shared
// and, for a write, a journal handle; the
//   handle is outside the entry lock. Takes the entry lock, under it iomap_begin, then the tree
//   lock and page table lock.
// Invariants:
//   DF1  iomap_begin for a write fault yields a written block.
// Tested by: fs/dax/fault_test.cc, fs/dax/huge_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/io/iomap.h"
#include "fs/mm/vma.h"

namespace daxfs::dax {

struct FaultOutcome {
  mm::FaultResult result = mm::FaultResult::kDone;
  Status error;             // why it is kSigbus: kNoSpc lets the caller retry after freeing space
  bool needs_sync = false;  // MAP_SYNC over metadata that is not durable: nothing is mapped yet;
                            // fsync, then finish_sync_fault
  Pfn pfn;                  // what to map then
  bool allocated = false;   // iomap_begin made the block; neighbours may have become written, too
};

// Installs the page of a read, write or copy-on-write fault. Beyond the page that holds EOF:
// kSigbus. YIELDS.
FaultOutcome iomap_fault(mm::VmFault& fault, io::IomapHost& host, io::IomapOps& ops);

// Installs the whole huge range around the address, if it lies in the file and its blocks are contiguous and
// aligned as the machine wants it, or (to be read) has no blocks at all. kFallback: single pages must do; blocks may
// have been allocated all the same. kRetry: a single page was mapped meanwhile. Beyond the page that holds EOF:
// kSigbus. REQUIRES: mm::huge_range_fits(fault). YIELDS.
FaultOutcome iomap_pmd_fault(mm::VmFault& fault, io::IomapHost& host, io::IomapOps& ops);

// Second half of a MAP_SYNC write fault: maps `pfn` (with `pmd`: the range from it on) writable if the entry did not
// change since; else the fault is retried by the access itself. The caller has made the metadata durable. YIELDS.
mm::FaultResult finish_sync_fault(mm::VmFault& fault, mm::AddressSpace& mapping, Pfn pfn, bool pmd = false);

}  // namespace daxfs::dax
