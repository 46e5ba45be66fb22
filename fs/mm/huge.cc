// fs/mm/huge.cc - inserting and removing huge mappings; faults that may be huge.
#include "fs/mm/huge.h"

#include <cinttypes>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {

bool huge_range_fits(const VmFault& vmf) {
  const uint64_t size = vmf.memory().huge_size();
  const uint64_t before = vmf.address.value() % size;
  const bool colour = before == vmf.pgoff.value() * kPageSize % size || historical(Bug::kNoColourCheck);
  return colour && vmf.address - vmf.vma.begin >= before && vmf.vma.end - vmf.address >= size - before;
}

FaultResult insert_pfn_pmd(VmFault& vmf, Pfn pfn, bool write, Site site) {
  FS_TRACE_SCOPE("vmf_insert_pfn_pmd", pte_ref(vmf.mm.id(), vmf.huge_address()));
  Mm& mm = vmf.mm;
  Memory& memory = vmf.memory();
  const VirtAddr address = vmf.huge_address();
  FS_WARN_ON(write && (!vmf.vma.writable() || vmf.vma.is_cow()), "MM7",
             about(pte_ref(mm.id(), address), frame_ref(pfn)),
             "frames from %" PRIu64 " are about to be mapped writable in a VMA that is %s", pfn.value(),
             vmf.vma.writable() ? "private" : "read-only");
  mm.page_table.ensure_pmd(address, site);
  TablePage* const deposit = memory.alloc_table();
  rt::SpinGuard guard(mm.page_table.ptl, site);
  const Pmd old = mm.page_table.load_pmd(address, site);
  if (old.none() || (old.is_table() && historical(Bug::kPmdOverTable))) {
    const Pte first = (write ? Pte::make(pfn).mk_write().mk_dirty() : Pte::make(pfn)).mk_huge();
    mm.page_table.set_huge(address, first, deposit, site);
    mm.account(first, 1);
    return FaultResult::kDone;
  }
  memory.free_table(deposit);
  if (old.is_table()) {
    return FaultResult::kRetry;  // between the two halves of a MAP_SYNC fault a fault of a single page was faster
  }
  if (!write || historical(Bug::kReadOnlyPmdStays)) { return FaultResult::kDone; }
  if (old.pte().pfn() != pfn) {
    FS_WARN_ON(!old.pte().special(), "MM9", about(pte_ref(mm.id(), address), frame_ref(pfn)),
               "frames from %" PRIu64 " are to be made writable where frames from %" PRIu64 " are mapped", pfn.value(),
               old.pte().pfn().value());
    return FaultResult::kDone;
  }
  const VirtAddr at = historical(Bug::kPmdInsertUnaligned) ? vmf.address : address;
  mm.page_table.change_huge(at, old.pte().mk_young().mk_dirty().mk_write(), site);
  return FaultResult::kDone;
}

FaultResult insert_huge_zero_page(VmFault& vmf, Site site) {
  Mm& mm = vmf.mm;
  Memory& memory = vmf.memory();
  const VirtAddr address = vmf.huge_address();
  mm.page_table.ensure_pmd(address, site);
  TablePage* const deposit = memory.alloc_table();
  rt::SpinGuard guard(mm.page_table.ptl, site);
  if (!mm.page_table.load_pmd(address, site).none()) {
    memory.free_table(deposit);
    return FaultResult::kFallback;
  }
  mm.page_table.set_huge(address, Pte::make(memory.zero_pfn()).mk_special(), deposit, site);
  return FaultResult::kDone;
}

bool zap_huge_locked(Mm& mm, VirtAddr address, Site site) {
  if (!mm.page_table.load_pmd_unscheduled(address).huge()) { return false; }
  mm.account(mm.page_table.clear_huge(address, site), -1);
  return true;
}

void split_huge_pmd(Mm& mm, VirtAddr address, Site site) {
  if (!mm.page_table.load_pmd_unscheduled(address).huge()) { return; }
  {
    rt::SpinGuard guard(mm.page_table.ptl, site);
    if (!zap_huge_locked(mm, address, site)) { return; }
  }
  mm.tlb.shootdown();
}

// What can be done for the whole range at once; kFallback: the page's own PTE is to be looked at, and no
// huge mapping is there any more. Kernel: create_huge_pmd, wp_huge_pmd.
FaultResult Mm::huge_fault(Vma& vma, VirtAddr page, bool write, Site site) {
  VmFault vmf{.mm = *this, .vma = vma, .address = page, .pgoff = vma.pgoff_of(page), .write = write};
  const Pmd pmd = page_table.load_pmd(page, site);
  if (pmd.is_table()) { return FaultResult::kFallback; }
  if (pmd.huge() && (!write || pmd.pte().write())) {
    return FaultResult::kDone;  // somebody else's fault was first
  }
  // Copies of private mappings are made page by page.
  if (huge_range_fits(vmf) && (!write || vma.shared)) {
    const FaultResult result = vma.file->huge_fault(vmf);
    if (result != FaultResult::kFallback) { return result; }
  }
  split_huge_pmd(*this, page, site);
  return FaultResult::kFallback;
}

}  // namespace daxfs::mm
