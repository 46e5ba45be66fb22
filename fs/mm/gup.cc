// fs/mm/gup.cc - get_user_pages for one page, fast and slow.
#include "fs/mm/gup.h"

#include "fs/base/historical.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/rt/point.h"
#include "fs/rt/task.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
namespace {

bool may_pin(const Memory& memory, Pte pte, bool write) {
  if (!pte.present() || pte.protnone() || pte.special()) { return false; }
  if (historical(Bug::kGupIgnoresWrite) && memory.is_pmem(pte.pfn())) { return true; }
  return pte.allows(write);
}

// Empty if the slow path must try.
PagePin pin_fast(Mm& mm, VirtAddr address, bool write, Site site) {
  FS_TRACE_SCOPE("get_user_pages_fast", pte_ref(mm.id(), address));
  Memory& memory = mm.memory();
  const Pte pte = mm.page_table.load(address, site);
  if (!may_pin(memory, pte, write)) { return PagePin(); }
  Page& page = memory.page(pte.pfn());
  rt::point(rt::PointKind::kRef, rt::object_id(rt::ObjectClass::kFrame, pte.pfn().value()), site);
  // The PTE may be gone by now, and the frame with it.
  if (historical(Bug::kDioPinNoRevalidate) || (historical(Bug::kGupHugeNoRevalidate) && pte.huge())) {
    return try_get_page_unscheduled(page) ? PagePin::adopt(page, site) : PagePin();
  }
  {
    // No point in here. Whoever clears the PTE afterwards waits for the window before it looks at
    // the count; whoever cleared it before is seen by the first check, so that not even a passing
    // reference disturbs it.
    TlbWindow window(mm.tlb);
    const Pte now = mm.page_table.load_unscheduled(address);
    if (!same_mapping(now, pte)) {
      FS_TRACE_READ(pte_ref(mm.id(), address), now.word());
      return PagePin();
    }
    if (!try_get_page_unscheduled(page)) { return PagePin(); }
    if (same_mapping(mm.page_table.load_unscheduled(address), pte)) { return PagePin::adopt(page, site); }
  }
  put_page(page, site);
  return PagePin();
}

Errc error_of(FaultResult result) {
  switch (result) {
    case FaultResult::kOom: return Errc::kNoMem;
    case FaultResult::kHwpoison: return Errc::kHwPoison;
    default: return Errc::kFault;
  }
}

Result<PagePin> pin_slow(Mm& mm, VirtAddr address, bool write, Site site) {
  FS_TRACE_SCOPE("get_user_pages_unlocked", pte_ref(mm.id(), address));
  rt::ReadLock lock(mm.mmap_lock, site);
  Vma* vma = mm.find_vma(address);
  if (vma == nullptr || vma->begin > address) { return Errc::kFault; }
  if ((vma->prot & (write ? kProtWrite : kProtRead)) == 0) { return Errc::kFault; }
  for (unsigned faults = 0;; ++faults) {
    if (faults > 1) { rt::relax(site); }  // as in Mm::access_page
    {
      rt::SpinGuard guard(mm.page_table.ptl, site);
      const Pte pte = mm.page_table.load(address, site);
      if (pte.allows(write)) {
        Page& page = mm.memory().page(pte.pfn());
        get_page(page, site);
        return PagePin::adopt(page, site);
      }
    }
    const FaultResult result = mm.handle_fault_locked(*vma, address, write, site);
    switch (result) {
      case FaultResult::kDone:
      case FaultResult::kRetry:
      case FaultResult::kFallback: break;
      default: return error_of(result);
    }
  }
}

}  // namespace

Result<PagePin> pin_user_page(Mm& mm, VirtAddr address, bool write, Site site) {
  const VirtAddr page(round_down(address.value(), kPageSize));
  if (page >= kTaskSize) { return Errc::kFault; }
  PagePin pin = pin_fast(mm, page, write, site);
  if (!pin.empty()) { return pin; }
  return pin_slow(mm, page, write, site);
}

Result<PagePin> pin_user_page_remote(Mm& mm, VirtAddr address, bool write, Site site) {
  const VirtAddr page(round_down(address.value(), kPageSize));
  if (page >= kTaskSize) { return Errc::kFault; }
  return pin_slow(mm, page, write, site);
}

}  // namespace daxfs::mm
