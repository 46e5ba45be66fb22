// fs/mm/vma_edit.cc - inserting, splitting, merging and removing VMAs.
//
// Kernel: __split_vma, vma_merge, vma_adjust, do_munmap.
// Every change of a VMA that is on a file's list happens under that file's i_mmap_rwsem, because
// rmap walkers read begin, end and pgoff without mmap_lock.
#include <algorithm>
#include <cinttypes>

#include "fs/base/report.h"
#include "fs/mm/address_space.h"
#include "fs/mm/huge.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/mm/rmap.h"

namespace daxfs::mm {
namespace {

bool can_merge(const Vma& low, const Vma& high) {
  if (low.end != high.begin || low.prot != high.prot || low.shared != high.shared) { return false; }
  if (low.sync != high.sync || low.may_write != high.may_write || low.file != high.file) { return false; }
  // Each shared anonymous mapping is an object of its own.
  if (low.file == nullptr && low.shared) { return false; }
  return low.pgoff_end() == high.pgoff;
}

}  // namespace

void Mm::insert_vma(Vma& vma, Site site) {
  const size_t n = vma_index(vma.begin);
  FS_BUG_ON(vma.begin >= vma.end || vma.begin.value() % kPageSize != 0 || vma.end.value() % kPageSize != 0 ||
                (n < vmas().size() && vmas()[n]->begin < vma.end),
            "MM6", "VMA [%" PRIx64 ", %" PRIx64 ") is malformed or overlaps another", vma.begin.value(),
            vma.end.value());
  vmas_.write().insert(vmas().begin() + static_cast<ptrdiff_t>(n), &vma);
  if (vma.file == nullptr) { return; }
  AddressSpace& mapping = vma.file->mapping();
  rt::WriteLock lock(mapping.i_mmap_rwsem, site);
  mapping.link_vma(vma);
}

void Mm::resize_vma(Vma& vma, VirtAddr begin, VirtAddr end, Site site) {
  const auto resize = [&] {
    // Wraps when begin moves down, as it should.
    vma.pgoff += (begin.value() - vma.begin.value()) / kPageSize;
    vma.begin = begin;
    vma.end = end;
  };
  FS_BUG_ON(begin > vma.begin, "MM6", "a VMA's begin moves up: split it");
  if (vma.file == nullptr) { return resize(); }
  rt::WriteLock lock(vma.file->mapping().i_mmap_rwsem, site);
  resize();
}

void Mm::split_vma(Vma& vma, VirtAddr at, Site site) {
  Vma* high = new_vma();
  const auto split = [&] {
    *high = vma;
    high->begin = at;
    high->pgoff = vma.pgoff_of(at);
    high->next_in_file = high->prev_in_file = nullptr;
    vma.end = at;
  };
  if (vma.file == nullptr) {
    split();
  } else {
    vma.file->get();
    // One critical section: an rmap walker must not see a moment at which neither half covers a
    // page.
    AddressSpace& mapping = vma.file->mapping();
    rt::WriteLock lock(mapping.i_mmap_rwsem, site);
    // Kernel: vma_adjust_trans_huge.
    if (page_table.pmd_begin(at) != at) { split_huge_pmd(*this, at, site); }
    split();
    mapping.link_vma(*high);
  }
  const size_t n = vma_index(at);
  vmas_.write().insert(vmas().begin() + static_cast<ptrdiff_t>(n), high);
}

void Mm::remove_vma(Vma& vma, Removed* removed, Site site) {
  if (vma.file != nullptr) {
    AddressSpace& mapping = vma.file->mapping();
    rt::WriteLock lock(mapping.i_mmap_rwsem, site);
    mapping.unlink_vma(vma);
  }
  const size_t n = vma_index(vma.begin);
  vmas_.write().erase(vmas().begin() + static_cast<ptrdiff_t>(n));
  vma.next_in_file = nullptr;
  (removed->last == nullptr ? removed->first : removed->last->next_in_file.write()) = &vma;
  removed->last = &vma;
}

bool Mm::merge_with_next(Vma& vma, Removed* removed, Site site) {
  Vma* next = next_vma(vma);
  if (next == nullptr || !can_merge(vma, *next)) { return false; }
  const VirtAddr end = next->end;
  if (vma.file == nullptr) {
    remove_vma(*next, removed, site);
    vma.end = end;
    return true;
  }
  AddressSpace& mapping = vma.file->mapping();
  {
    rt::WriteLock lock(mapping.i_mmap_rwsem, site);
    mapping.unlink_vma(*next);
    vma.end = end;
  }
  // Both cover the upper half now; the table of the process forgets the second one.
  vmas_.write().erase(std::find(vmas().begin(), vmas().end(), next));
  next->next_in_file = nullptr;
  (removed->last == nullptr ? removed->first : removed->last->next_in_file.write()) = next;
  removed->last = next;
  return true;
}

void Mm::merge_around(VirtAddr begin, VirtAddr end, Removed* removed, Site site) {
  size_t n = begin.value() == 0 ? 0 : vma_index(begin - 1);
  while (n < vmas().size() && vmas()[n]->begin < end) {
    if (!merge_with_next(*vmas()[n], removed, site)) { ++n; }
  }
}

void Mm::unmap_locked(VirtAddr begin, VirtAddr end, Removed* removed, Site site) {
  size_t n = vma_index(begin);
  if (n < vmas().size() && vmas()[n]->begin < begin) {
    split_vma(*vmas()[n], begin, site);
    ++n;
  }
  const size_t last = vma_index(end);
  if (last < vmas().size() && vmas()[last]->begin < end) { split_vma(*vmas()[last], end, site); }
  const bool had = n < vmas().size() && vmas()[n]->begin < end;
  while (n < vmas().size() && vmas()[n]->begin < end) {
    Vma& vma = *vmas()[n];
    // While it is still on the file's list, so that no rmap walk can miss a PTE in between.
    zap_range(vma, vma.begin, vma.end, true, site);
    remove_vma(vma, removed, site);
  }
  if (had && memory_.huge_mappings()) {
    // A mapping that comes here later may be huge. Kernel: free_pgtables.
    TablePage* const tables = page_table.unlink_empty(begin, end, site);
    if (tables != nullptr) {
      tlb.shootdown();
      page_table.give_back_chain(tables);
    }
  }
}

}  // namespace daxfs::mm
