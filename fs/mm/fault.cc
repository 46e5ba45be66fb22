// fs/mm/fault.cc - page faults: finding the VMA, anonymous memory, file pages, copy on write;
// installing PTEs.
//
// Kernel: mm/memory.c: handle_mm_fault, do_anonymous_page, do_fault, do_wp_page, insert_pfn,
// finish_fault.
#include "fs/mm/fault.h"

#include <cinttypes>

#include "fs/base/report.h"
#include "fs/mm/folio.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/rt/point.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
namespace {

Signal signal_of(FaultResult result) {
  switch (result) {
    case FaultResult::kDone:
    case FaultResult::kRetry:
    case FaultResult::kFallback: return Signal::kNone;
    case FaultResult::kSigbus: return Signal::kBusAdrerr;
    case FaultResult::kSigsegv: return Signal::kSegvAccerr;
    case FaultResult::kHwpoison: return Signal::kBusMceerr;
    case FaultResult::kOom: return Signal::kKilled;
  }
  return Signal::kBusAdrerr;
}

// The PTE for a fresh mapping of `pfn`.
Pte fresh_pte(const Memory& memory, Pfn pfn, bool write) {
  const Pte pte = Pte::make(pfn);
  if (pfn == memory.zero_pfn()) { return pte.mk_special(); }
  return write ? pte.mk_write().mk_dirty() : pte;
}

}  // namespace

FaultResult insert_pfn(VmFault& vmf, Pfn pfn, bool write, Site site) {
  FS_TRACE_SCOPE("vmf_insert_mixed", pte_ref(vmf.mm.id(), vmf.address));
  Memory& memory = vmf.memory();
  FS_WARN_ON(write && (!vmf.vma.writable() || (vmf.vma.is_cow() && memory.is_file_frame(pfn))), "MM7",
             about(pte_ref(vmf.mm.id(), vmf.address), frame_ref(pfn)),
             "frame %" PRIu64 " is about to be mapped writable in a VMA that is %s", pfn.value(),
             vmf.vma.writable() ? "private" : "read-only");
  Mm& mm = vmf.mm;
  if (!mm.page_table.ensure(vmf.address, site)) { return FaultResult::kRetry; }
  rt::SpinGuard guard(mm.page_table.ptl, site);
  const Pte old = mm.page_table.load(vmf.address, site);
  if (old.none()) {
    const Pte pte = fresh_pte(memory, pfn, write);
    mm.page_table.set(vmf.address, pte, site);
    mm.account(pte, 1);
    return FaultResult::kDone;
  }
  if (!write) { return FaultResult::kDone; }
  if (old.pfn() != pfn) {
    FS_WARN_ON(old.pfn() != memory.zero_pfn(), "MM9", about(pte_ref(mm.id(), vmf.address), frame_ref(pfn)),
               "frame %" PRIu64 " is to be made writable where frame %" PRIu64 " is mapped", pfn.value(),
               old.pfn().value());
    return FaultResult::kDone;
  }
  mm.page_table.set(vmf.address, old.mk_young().mk_dirty().mk_write(), site);
  return FaultResult::kDone;
}

FaultResult insert_page(VmFault& vmf, Page& page, bool write, Site site) {
  FS_TRACE_SCOPE("finish_fault", pte_ref(vmf.mm.id(), vmf.address));
  Mm& mm = vmf.mm;
  const Pfn pfn = page_pfn(page);
  FS_WARN_ON(write && (!vmf.vma.writable() || vmf.vma.is_cow()), "MM7",
             about(pte_ref(mm.id(), vmf.address), frame_ref(pfn)),
             "frame %" PRIu64 " is about to be mapped writable in a VMA that is %s", pfn.value(),
             vmf.vma.writable() ? "private" : "read-only");
  if (!mm.page_table.ensure(vmf.address, site)) { return FaultResult::kRetry; }
  rt::SpinGuard guard(mm.page_table.ptl, site);
  const Pte old = mm.page_table.load(vmf.address, site);
  if (old.none()) {
    get_page(page, site);
    change_mapcount(page, 1, site);
    const Pte pte = fresh_pte(vmf.memory(), pfn, write);
    mm.page_table.set(vmf.address, pte, site);
    mm.account(pte, 1);
    return FaultResult::kDone;
  }
  if (write && !old.write() && old.pfn() == pfn) {
    mm.page_table.set(vmf.address, old.mk_young().mk_dirty().mk_write(), site);
  }
  return FaultResult::kDone;
}

void unmap_page(Page& page, Pte pte, Site site) {
  if (pte.dirty()) { set_page_dirty(page, site); }
  change_mapcount(page, -1, site);
  put_page(page, site);
}

FaultResult finish_cow_fault(VmFault& vmf, Site site) {
  FS_TRACE_SCOPE("finish_fault", pte_ref(vmf.mm.id(), vmf.address));
  Mm& mm = vmf.mm;
  vmf.cow_done = true;
  if (mm.page_table.ensure(vmf.address, site)) {
    rt::SpinGuard guard(mm.page_table.ptl, site);
    if (mm.page_table.load(vmf.address, site).none()) {
      const Pte pte = fresh_pte(vmf.memory(), vmf.cow_page, true);
      mm.page_table.set(vmf.address, pte, site);
      mm.account(pte, 1);
      return FaultResult::kDone;
    }
  }
  vmf.memory().free_dram(vmf.cow_page);
  return FaultResult::kDone;
}

FaultResult Mm::handle_fault(VirtAddr address, bool write, Signal* signal, Site site) {
  Signal ignored = Signal::kNone;
  Signal& out = signal != nullptr ? *signal : ignored;
  FS_TRACE_SCOPE("do_user_addr_fault", pte_ref(id(), address));
  rt::ReadLock lock(mmap_lock, site);
  Vma* vma = find_vma(address);
  if (vma == nullptr || vma->begin > address) {
    out = Signal::kSegvMaperr;
    return FaultResult::kSigsegv;
  }
  if (write ? !vma->writable() : !vma->accessible()) {
    out = Signal::kSegvAccerr;
    return FaultResult::kSigsegv;
  }
  const FaultResult result = handle_fault_locked(*vma, address, write, site);
  out = signal_of(result);
  return result;
}

FaultResult Mm::handle_fault_locked(Vma& vma, VirtAddr address, bool write, Site site) {
  const VirtAddr page(round_down(address.value(), kPageSize));
  if (vma.file != nullptr && memory_.huge_mappings()) {
    const FaultResult result = huge_fault(vma, page, write, site);
    if (result != FaultResult::kFallback) { return result; }
  }
  const Pte pte = page_table.load(page, site);
  if (pte.huge()) {
    return FaultResult::kRetry;  // somebody else's huge fault was first; it may lack a permission
  }
  if (pte.none()) {
    return vma.file == nullptr ? anonymous_fault(vma, page, write, site) : file_fault(vma, page, write, site);
  }
  if (write && !pte.write()) { return write_protect_fault(vma, page, pte, site); }
  return FaultResult::kDone;  // somebody else's fault was first
}

FaultResult Mm::anonymous_fault(Vma& vma, VirtAddr page, bool write, Site site) {
  Pfn pfn = memory_.zero_pfn();
  if (write) {
    const Result<Pfn> frame = memory_.alloc_dram();
    if (!frame.ok()) { return FaultResult::kOom; }
    pfn = *frame;
  }
  page_table.ensure(page, site);
  {
    rt::SpinGuard guard(page_table.ptl, site);
    if (page_table.load(page, site).none()) {
      const Pte pte = fresh_pte(memory_, pfn, write);
      page_table.set(page, pte, site);
      account(pte, 1);
      return FaultResult::kDone;
    }
  }
  if (write) { memory_.free_dram(pfn); }
  return FaultResult::kDone;
}

FaultResult Mm::file_fault(Vma& vma, VirtAddr page, bool write, Site site) {
  VmFault vmf{.mm = *this, .vma = vma, .address = page, .pgoff = vma.pgoff_of(page), .write = write};
  if (!write || vma.shared) { return vma.file->fault(vmf); }

  // A store to a private mapping: the file gives its bytes, the page is ours.
  const Result<Pfn> frame = memory_.alloc_dram(false);
  if (!frame.ok()) { return FaultResult::kOom; }
  vmf.cow = true;
  vmf.cow_page = *frame;
  const FaultResult result = vma.file->fault(vmf);
  if (!vmf.cow_done) {
    if (result == FaultResult::kDone) { return finish_cow_fault(vmf, site); }
    memory_.free_dram(*frame);
  }
  return result;
}

FaultResult Mm::write_protect_fault(Vma& vma, VirtAddr page, Pte pte, Site site) {
  if (vma.shared && vma.file != nullptr) {
    VmFault vmf{.mm = *this, .vma = vma, .address = page, .pgoff = vma.pgoff_of(page), .write = true};
    vmf.orig_pte = pte;
    return vma.file->pfn_mkwrite(vmf);
  }
  if (pte.special() || memory_.is_file_frame(pte.pfn())) { return copy_on_write(page, pte, site); }
  // A copy that is ours already (its permission came and went): nobody else maps it, as processes
  // do not fork.
  rt::SpinGuard guard(page_table.ptl, site);
  const Pte now = page_table.load(page, site);
  if (same_mapping(now, pte)) { page_table.set(page, now.mk_young().mk_dirty().mk_write(), site); }
  return FaultResult::kDone;
}

// Nothing holds the file's frame while it is copied, so the copy goes through the translation, as an access of the
// program would: a frame that was taken away is never read. Kernel: __wp_page_copy_user.
bool Mm::copy_mapped(VirtAddr page, Pte pte, std::span<std::byte> to, bool* poisoned, Site site) {
  const bool pmem = memory_.is_pmem(pte.pfn());
  rt::point(rt::PointKind::kUserLoad,
            rt::object_id(pmem ? rt::ObjectClass::kPmem : rt::ObjectClass::kFrame, pte.pfn().value(), 0), site);
  TlbWindow window(tlb);
  if (!same_mapping(page_table.load_unscheduled(page), pte)) { return false; }
  *poisoned = pmem && memory_.device().poisoned(pte.pfn().value() * kPageSize, kPageSize);
  if (*poisoned) { return false; }
  memory_.user_read(pte.pfn(), 0, to, site);
  return true;
}

FaultResult Mm::copy_on_write(VirtAddr page, Pte pte, Site site) {
  const bool from_zero = pte.special();
  bool poisoned = false;
  const Result<Pfn> frame = memory_.alloc_dram(from_zero);
  if (!frame.ok()) { return FaultResult::kOom; }
  if (!from_zero && !copy_mapped(page, pte, memory_.dram_bytes(*frame), &poisoned, site)) {
    memory_.free_dram(*frame);
    return poisoned ? FaultResult::kHwpoison : FaultResult::kDone;
  }
  {
    rt::SpinGuard guard(page_table.ptl, site);
    const Pte now = page_table.load(page, site);
    if (same_mapping(now, pte)) {
      account(page_table.get_and_clear(page, site), -1);
      tlb.shootdown();
      if (!pte.special() && memory_.page(pte.pfn()).is_cached()) { unmap_page(memory_.page(pte.pfn()), pte, site); }
      const Pte copy = fresh_pte(memory_, *frame, true);
      page_table.set(page, copy, site);
      account(copy, 1);
      return FaultResult::kDone;
    }
  }
  memory_.free_dram(*frame);
  return FaultResult::kDone;
}

}  // namespace daxfs::mm
