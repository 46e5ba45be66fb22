// fs/mm/rmap.cc - removing and write-protecting PTEs by file range.
#include "fs/mm/rmap.h"

#include <algorithm>
#include <array>
#include <cinttypes>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/mm/address_space.h"
#include "fs/mm/folio.h"
#include "fs/mm/huge.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
namespace {

// Private copies, and pages of the page cache, whose PTE is gone; their count goes when nobody can use the translation
// any more.
// Kernel: mmu_gather.
struct Gather {
  std::array<Pfn, 64> frames;
  size_t count = 0;
  bool flush = false;

  bool full() const { return count == frames.size(); }
};

// Clears what it can of one table, or the huge mapping, of which no part can stay; returns where to go on.
VirtAddr zap_table(Mm& mm, VirtAddr begin, VirtAddr end, bool even_cows, Gather* gather, Site site) {
  Memory& memory = mm.memory();
  rt::SpinGuard guard(mm.page_table.ptl, site);
  if (zap_huge_locked(mm, begin, site)) {
    gather->flush = true;
    return end;
  }
  return mm.page_table.for_each(begin, end, [&](VirtAddr at, Pte seen) {
    mm.page_table.ptl.assert_held();
    const bool is_copy = !seen.special() && !memory.is_file_frame(seen.pfn());
    const bool is_cached = !seen.special() && memory.page(seen.pfn()).is_cached();
    if (is_copy && !even_cows) { return true; }
    if ((is_copy || is_cached) && gather->full()) { return false; }
    const Pte pte = mm.page_table.get_and_clear(at, site);
    mm.account(pte, -1);
    gather->flush = true;
    // In one step with the PTE: from now on nothing else knows of the store.
    if (is_cached) {
      Page& page = memory.page(pte.pfn());
      if (pte.dirty()) { set_page_dirty(page, site); }
      change_mapcount(page, -1, site);
    }
    if (is_copy || is_cached) { gather->frames[gather->count++] = pte.pfn(); }
    return true;
  });
}

// Calls body(vma, begin, end) for the part of each VMA that maps a page of [first, first + count).
template <typename Body>
void for_each_mapped_part(AddressSpace& mapping, PgOff first, uint64_t count, Body body)
    FS_REQUIRES_SHARED(mapping.i_mmap_rwsem) {
  const PgOff last_end = count == 0 || count > UINT64_MAX - first.value() ? PgOff(UINT64_MAX) : first + count;
  for (Vma* vma = mapping.first_vma(); vma != nullptr; vma = vma->next_in_file) {
    const PgOff begin = std::max(first, vma->pgoff.get());
    const PgOff end = std::min(last_end, vma->pgoff_end());
    if (begin < end) { body(*vma, vma->va_of(begin), vma->va_of(end)); }
  }
}

uint64_t wrprotect_part(Mm& mm, VirtAddr begin, VirtAddr end, Site site) {
  Memory& memory = mm.memory();
  uint64_t changed = 0;
  VirtAddr at = begin;
  while ((at = mm.page_table.next_table(at, end)) < end) {
    const VirtAddr part_end = mm.page_table.pmd_end(at, end);
    rt::SpinGuard guard(mm.page_table.ptl, site);
    const Pmd pmd = mm.page_table.load_pmd_unscheduled(at);
    if (pmd.huge()) {
      if (!historical(Bug::kFsyncLeavesPmdWritable) && !pmd.pte().special() &&
          (pmd.pte().write() || pmd.pte().dirty())) {
        mm.page_table.write_protect(at, true, site);
        ++changed;
      }
      at = part_end;
      continue;
    }
    at = mm.page_table.for_each(at, part_end, [&](VirtAddr address, Pte pte) {
      mm.page_table.ptl.assert_held();
      if (pte.special() || !memory.is_file_frame(pte.pfn()) || !(pte.write() || pte.dirty())) { return true; }
      if (pte.dirty() && memory.page(pte.pfn()).is_cached()) { set_page_dirty(memory.page(pte.pfn()), site); }
      mm.page_table.write_protect(address, true, site);
      ++changed;
      return true;
    });
  }
  if (changed != 0) { mm.tlb.shootdown(); }
  return changed;
}

}  // namespace

void zap_range(Vma& vma, VirtAddr begin, VirtAddr end, bool even_cows, Site site) {
  Mm& mm = *vma.mm;
  VirtAddr at = begin;
  while ((at = mm.page_table.next_table(at, end)) < end) {
    Gather gather;
    at = zap_table(mm, at, mm.page_table.pmd_end(at, end), even_cows, &gather, site);
    if (gather.flush) { mm.tlb.shootdown(); }
    for (size_t n = 0; n < gather.count; ++n) { put_page(mm.memory().page(gather.frames[n]), site); }
  }
}

void unmap_mapping_range(AddressSpace& mapping, PgOff first, uint64_t count, bool even_cows, Site site) {
  FS_TRACE_SCOPE("unmap_mapping_pages", entry_ref(mapping.host().ino(), first, count));
  rt::ReadLock lock(mapping.i_mmap_rwsem, site);
  for_each_mapped_part(mapping, first, count,
                       [&](Vma& vma, VirtAddr begin, VirtAddr end) { zap_range(vma, begin, end, even_cows, site); });
}

uint64_t wrprotect_mapping_range(AddressSpace& mapping, PgOff first, uint64_t count, Site site) {
  FS_TRACE_SCOPE("dax_entry_mkclean", entry_ref(mapping.host().ino(), first, count));
  uint64_t changed = 0;
  rt::ReadLock lock(mapping.i_mmap_rwsem, site);
  for_each_mapped_part(mapping, first, count, [&](Vma& vma, VirtAddr begin, VirtAddr end) {
    if (vma.shared) { changed += wrprotect_part(*vma.mm, begin, end, site); }
  });
  return changed;
}

void collect_frame_users(AddressSpace& mapping, PgOff index, Pfn pfn, std::vector<FrameUser>* users, Site site) {
  FS_TRACE_SCOPE("collect_procs", frame_ref(pfn));
  Memory& memory = mapping.memory();
  rt::ReadLock lock(mapping.i_mmap_rwsem, site);
  for_each_mapped_part(mapping, index, 1, [&](Vma& vma, VirtAddr address, VirtAddr) {
    // What the processor would find at the address decides, not what the page is said to be: one VMA may map the frame
    // by a huge page and the next by a single one. Under ptl, as an mprotect has the PTE out for a moment.
    rt::SpinGuard guard(vma.mm->page_table.ptl, site);
    const Pte pte = vma.mm->page_table.load(address, site);
    if (!pte.present() || pte.special() || !memory.is_pmem(pte.pfn())) { return; }
    FS_WARN_ON(pte.pfn() != pfn, "MF1", about(pte_ref(vma.mm->id(), address), frame_ref(pfn)),
               "process %" PRIu64 " hears that frame %" PRIu64 " is bad, at an address that maps frame %" PRIu64,
               vma.mm->id(), pfn.value(), pte.pfn().value());
    const unsigned mapped = pte.huge() ? memory.huge_order() : 0;
    // Bug kFailureSizeOfPage (ae1139ece126): the size is the page's, not that of each mapping of it.
    const unsigned order = historical(Bug::kFailureSizeOfPage) ? 0 : mapped;
    FS_WARN_ON(order != mapped, "MF3", about(pte_ref(vma.mm->id(), address), frame_ref(pfn)),
               "process %" PRIu64 " hears of a mapping of %u pages; its own has %u", vma.mm->id(), 1U << order,
               1U << mapped);
    users->push_back({vma.mm->id(), address, order, vma.mm});
  });
}

void check_frame_unmapped(AddressSpace& mapping, PgOff index, Pfn pfn, Site site) {
  rt::ReadLock lock(mapping.i_mmap_rwsem, site);
  for_each_mapped_part(mapping, index, 1, [&](Vma& vma, VirtAddr address, VirtAddr) {
    const Pte pte = vma.mm->page_table.load_unscheduled(address);
    FS_WARN_ON(pte.present() && !pte.special() && pte.pfn() == pfn, "MF2",
               about(pte_ref(vma.mm->id(), address), frame_ref(pfn)),
               "process %" PRIu64 " still maps frame %" PRIu64 ", which is bad", vma.mm->id(), pfn.value());
  });
}

}  // namespace daxfs::mm
