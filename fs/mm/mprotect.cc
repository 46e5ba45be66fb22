// fs/mm/mprotect.cc - mprotect, madvise(DONTNEED) and populating a range.
//
// Kernel: mm/mprotect.c (mprotect_fixup, change_protection), mm/madvise.c, mm/gup.c
// populate_vma_page_range.
#include <algorithm>

#include "fs/mm/huge.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/mm/rmap.h"
#include "fs/rt/task.h"

namespace daxfs::mm {
namespace {

// What a huge mapping becomes: the next store always asks the file. Kernel: change_huge_pmd (6.1), pmd_modify with the
// protection of a VMA that wants to know of writes.
Pte protect_huge(const Vma& vma, Pte pte) {
  const Pte base = pte.clear_write().clear_protnone();
  return vma.accessible() ? base : base.mk_protnone();
}

// What `pte` becomes under the VMA's new protection.
Pte protect(const Vma& vma, const Memory& memory, Pte pte) {
  const Pte base = pte.clear_write().clear_protnone();
  if (!vma.accessible()) { return base.mk_protnone(); }
  // Without a fault only what is dirty already becomes writable: a shared page whose file knows of
  // it, or a private copy.
  const bool ours =
      vma.shared ? vma.file != nullptr && memory.is_file_frame(pte.pfn()) : !memory.is_file_frame(pte.pfn());
  if (vma.writable() && pte.dirty() && !pte.special() && ours) { return base.mk_write(); }
  return base;
}

}  // namespace

void Mm::change_protection(Vma& vma, Site site) {
  bool changed = false;
  VirtAddr at = vma.begin;
  while ((at = page_table.next_table(at, vma.end)) < vma.end) {
    const VirtAddr chunk_end = page_table.pmd_end(at, vma.end);
    rt::SpinGuard guard(page_table.ptl, site);
    const Pmd pmd = page_table.load_pmd_unscheduled(at);
    if (pmd.huge()) {
      // Huge mappings lie in one VMA: split_vma() took out those that it cut.
      if (protect_huge(vma, pmd.pte()) != pmd.pte()) {
        // In this order the processor cannot make it dirty in between.
        const Pte old = page_table.write_protect(at, false, site);
        page_table.change_huge(at, protect_huge(vma, old), site);
        changed = true;
      }
      at = chunk_end;
      continue;
    }
    at = page_table.for_each(at, chunk_end, [&](VirtAddr address, Pte seen) {
      page_table.ptl.assert_held();
      if (protect(vma, memory_, seen) == seen) { return true; }
      // Taken out first, so that a dirty bit which the processor sets meanwhile is not lost.
      const Pte pte = page_table.get_and_clear(address, site);
      page_table.set(address, protect(vma, memory_, pte), site);
      changed = true;
      return true;
    });
  }
  if (changed) { tlb.shootdown(); }
}

Status Mm::mprotect_locked(VirtAddr begin, VirtAddr end, unsigned prot, Removed* removed, Site site) {
  VirtAddr at = begin;
  Status status;
  while (at < end) {
    Vma* vma = find_vma(at);
    if (vma == nullptr || vma->begin > at) {
      status = Errc::kNoMem;
      break;
    }
    if ((prot & kProtWrite) != 0 && !vma->may_write) {
      status = Errc::kAccess;
      break;
    }
    if (vma->prot != prot) {
      if (vma->begin < at) {
        split_vma(*vma, at, site);
        vma = find_vma(at);
      }
      if (end < vma->end) { split_vma(*vma, end, site); }
      vma->prot = prot;
      change_protection(*vma, site);
    }
    at = vma->end;
  }
  merge_around(begin, std::min(at, end), removed, site);
  return status;
}

Status Mm::mprotect(VirtAddr addr, uint64_t length, unsigned prot, Site site) {
  if (addr.value() % kPageSize != 0) { return Errc::kInval; }
  if (length == 0) { return ok_status(); }
  const uint64_t size = round_up(length, kPageSize);
  if (size < length || addr.value() + size <= addr.value()) { return Errc::kNoMem; }
  if ((prot & ~(kProtRead | kProtWrite | kProtExec)) != 0) { return Errc::kInval; }
  Removed removed;
  mmap_lock.down_write(site);
  const Status status = mprotect_locked(addr, addr + size, prot, &removed, site);
  mmap_lock.up_write(site);
  finish_removed(removed, site);
  return status;
}

Status Mm::madvise_dontneed(VirtAddr addr, uint64_t length, Site site) {
  const uint64_t size = round_up(length, kPageSize);
  if (addr.value() % kPageSize != 0 || size < length || addr.value() + size < addr.value()) { return Errc::kInval; }
  const VirtAddr end = addr + size;
  rt::ReadLock lock(mmap_lock, site);
  VirtAddr at = addr;
  bool gap = false;
  while (at < end) {
    Vma* vma = find_vma(at);
    if (vma == nullptr || vma->begin >= end) { return Errc::kNoMem; }
    gap |= vma->begin > at;
    const VirtAddr begin = std::max(at, vma->begin.get());
    const VirtAddr part_end = std::min(end, vma->end.get());
    // Shared anonymous memory keeps its pages in an object that we do not model, so its PTEs are
    // the only place.
    if (vma->file != nullptr || !vma->shared) { zap_range(*vma, begin, part_end, true, site); }
    at = part_end;
  }
  return gap ? Status(Errc::kNoMem) : ok_status();
}

Status Mm::populate(VirtAddr addr, uint64_t length, bool write, Site site) {
  const uint64_t size = round_up(length, kPageSize);
  if (addr.value() % kPageSize != 0 || size < length || addr.value() + size < addr.value()) { return Errc::kInval; }
  rt::ReadLock lock(mmap_lock, site);
  unsigned faults = 0;  // of the page at `at`
  for (VirtAddr at = addr; at < addr + size;) {
    if (at - addr >= kPopulateMax) { return Errc::kNoMem; }
    Vma* vma = find_vma(at);
    if (vma == nullptr || vma->begin > at) { return Errc::kNoMem; }
    if ((vma->prot & (write ? kProtWrite : kProtRead)) == 0) { return Errc::kInval; }
    if (page_table.load(at, site).allows(write)) {
      at += kPageSize;
      faults = 0;
      continue;
    }
    if (++faults > 2) { rt::relax(site); }  // as in Mm::access_page
    switch (handle_fault_locked(*vma, at, write, site)) {
      case FaultResult::kDone:
      case FaultResult::kRetry:
      case FaultResult::kFallback: break;  // looks again: the fault may have left it to another one
      case FaultResult::kOom: return Errc::kNoMem;
      case FaultResult::kHwpoison: return Errc::kHwPoison;
      case FaultResult::kSigbus:
      case FaultResult::kSigsegv: return Errc::kFault;
    }
  }
  return ok_status();
}

}  // namespace daxfs::mm
