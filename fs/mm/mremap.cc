// fs/mm/mremap.cc - mremap: shrink, grow in place, move.
//
// Kernel: mm/mremap.c: mremap_to, vma_to_resize, move_vma, move_page_tables.
// Not covered: MREMAP_DONTUNMAP of shared anonymous memory leaves nothing behind.
#include <algorithm>

#include "fs/mm/address_space.h"
#include "fs/mm/huge.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"

namespace daxfs::mm {

struct Mm::MremapArgs {
  VirtAddr addr;
  uint64_t old_length;  // whole pages, as new_length
  uint64_t new_length;
  unsigned flags;
  VirtAddr new_addr;
};

Result<Vma*> Mm::vma_to_resize(VirtAddr addr, uint64_t old_length, uint64_t new_length) {
  Vma* vma = find_vma(addr);
  if (vma == nullptr || vma->begin > addr) { return Errc::kFault; }
  // Length 0 makes a second mapping of the same pages, which only a shared one can have.
  if (old_length == 0 && !vma->shared) { return Errc::kInval; }
  if (old_length > vma->end - addr) { return Errc::kFault; }
  if (new_length == old_length) { return vma; }
  const uint64_t pgoff = vma->pgoff_of(addr).value();
  if (pgoff + new_length / kPageSize < pgoff) { return Errc::kInval; }
  return vma;
}

// A huge mapping moves as a whole, or is given up: its pages are faulted in again. True if it is gone from
// `from`. Kernel: move_page_tables, move_huge_pmd.
bool Mm::move_huge(VirtAddr from, VirtAddr to, VirtAddr end, Site site) {
  if (!page_table.load_pmd_unscheduled(from).huge()) { return false; }
  const bool whole = page_table.pmd_begin(from) == from && page_table.pmd_begin(to) == to &&
                     page_table.pmd_end(from, end) - from == memory_.huge_size();
  if (whole) {
    page_table.ensure_pmd(to, site);
    rt::SpinGuard guard(page_table.ptl, site);
    if (page_table.load_pmd_unscheduled(to).none()) {
      page_table.move_huge(from, to, site);
      tlb.shootdown();
      return true;
    }
  }
  split_huge_pmd(*this, from, site);
  return true;
}

void Mm::move_ptes(Vma& vma, VirtAddr from, VirtAddr to, uint64_t length, Site site) {
  // Under ptl for the whole of one table; the page table has one lock, so source and target need no
  // order.
  VirtAddr at = from;
  while ((at = page_table.next_table(at, from + length)) < from + length) {
    const VirtAddr chunk_end = page_table.pmd_end(at, from + length);
    if (move_huge(at, to + (at - from), from + length, site)) {
      at = chunk_end;
      continue;
    }
    // A chunk of the source may straddle two tables of the target.
    page_table.ensure(to + (at - from), site);
    page_table.ensure(to + (chunk_end - kPageSize - from), site);
    rt::SpinGuard guard(page_table.ptl, site);
    at = page_table.for_each(at, chunk_end, [&](VirtAddr source, Pte) {
      page_table.ptl.assert_held();
      const Pte pte = page_table.get_and_clear(source, site);
      tlb.shootdown();
      page_table.set(to + (source - from), pte, site);
      return true;
    });
  }
}

VirtAddr Mm::move_vma(Vma& vma, VirtAddr addr, uint64_t old_length, VirtAddr new_addr, uint64_t new_length,
                      bool unmap_old, Removed* removed, Site site) {
  Vma* moved = new_vma();
  moved->copy_kind(vma);
  moved->pgoff = vma.pgoff_of(addr);
  moved->begin = new_addr;
  moved->end = new_addr + new_length;
  if (moved->file != nullptr) { moved->file->get(); }
  insert_vma(*moved, site);
  if (old_length != 0) {
    const uint64_t length = std::min(old_length, new_length);
    if (vma.file == nullptr) {
      move_ptes(vma, addr, new_addr, length, site);
    } else {
      // An rmap walker that saw the new VMA before and the old one after the move would miss the
      // pages.
      rt::WriteLock lock(vma.file->mapping().i_mmap_rwsem, site);
      move_ptes(vma, addr, new_addr, length, site);
    }
    if (unmap_old) { unmap_locked(addr, addr + old_length, removed, site); }
  }
  merge_around(new_addr, new_addr + new_length, removed, site);
  return new_addr;
}

Result<VirtAddr> Mm::mremap_locked(const MremapArgs& args, Removed* removed, Site site) {
  Vma* vma = find_vma(args.addr);
  if (vma == nullptr || vma->begin > args.addr) { return Errc::kFault; }
  uint64_t old_length = args.old_length;
  const bool unmap_old = (args.flags & kMremapDontUnmap) == 0;

  if ((args.flags & (kMremapFixed | kMremapDontUnmap)) != 0) {
    if (args.new_addr.value() % kPageSize != 0 || args.new_length > kTaskSize.value() ||
        args.new_addr.value() > kTaskSize.value() - args.new_length) {
      return Errc::kInval;
    }
    // The ranges must not overlap.
    if (args.addr + old_length > args.new_addr && args.new_addr + args.new_length > args.addr) { return Errc::kInval; }
    if ((args.flags & kMremapFixed) != 0) {
      unmap_locked(args.new_addr, args.new_addr + args.new_length, removed, site);
    }
    if (old_length > args.new_length) {
      if (old_length > kTaskSize - args.addr) { return Errc::kInval; }
      unmap_locked(args.addr + args.new_length, args.addr + old_length, removed, site);
      old_length = args.new_length;
    }
    FS_ASSIGN_OR_RETURN(vma, vma_to_resize(args.addr, old_length, args.new_length));
    VirtAddr target = args.new_addr;
    if ((args.flags & kMremapFixed) == 0) {  // then it is a hint
      const MmapArgs hint{.addr = args.new_addr,
                          .length = args.new_length,
                          .file = vma->file,
                          .offset = vma->pgoff_of(args.addr).value() * kPageSize};
      FS_ASSIGN_OR_RETURN(target, choose_address(hint, args.new_length));
    }
    return move_vma(*vma, args.addr, old_length, target, args.new_length, unmap_old, removed, site);
  }

  if (old_length >= args.new_length) {
    if (old_length > args.new_length) {
      if (old_length > kTaskSize - args.addr) { return Errc::kInval; }
      unmap_locked(args.addr + args.new_length, args.addr + old_length, removed, site);
    }
    return args.addr;
  }
  FS_ASSIGN_OR_RETURN(vma, vma_to_resize(args.addr, old_length, args.new_length));
  const uint64_t growth = args.new_length - old_length;
  if (old_length == vma->end - args.addr && growth <= kTaskSize - vma->end && range_is_free(vma->end, growth) &&
      (vma->end > kMmapTop || vma->end + growth <= kMmapTop)) {
    resize_vma(*vma, vma->begin, vma->end + growth, site);
    merge_around(vma->begin, vma->end, removed, site);
    return args.addr;
  }
  if ((args.flags & kMremapMayMove) == 0) { return Errc::kNoMem; }
  if (args.new_length > kTaskSize.value()) { return Errc::kNoMem; }
  FS_ASSIGN_OR_RETURN(const VirtAddr target, find_free_for_file(args.new_length, vma->file, vma->pgoff_of(args.addr)));
  return move_vma(*vma, args.addr, old_length, target, args.new_length, unmap_old, removed, site);
}

Result<VirtAddr> Mm::mremap(VirtAddr addr, uint64_t old_length, uint64_t new_length, unsigned flags, VirtAddr new_addr,
                            Site site) {
  if ((flags & ~(kMremapMayMove | kMremapFixed | kMremapDontUnmap)) != 0) { return Errc::kInval; }
  if ((flags & kMremapDontUnmap) != 0 && ((flags & kMremapMayMove) == 0 || old_length != new_length)) {
    return Errc::kInval;
  }
  if ((flags & kMremapFixed) != 0 && (flags & kMremapMayMove) == 0) { return Errc::kInval; }
  if (addr.value() % kPageSize != 0) { return Errc::kInval; }
  const MremapArgs args{addr, round_up(old_length, kPageSize), round_up(new_length, kPageSize), flags, new_addr};
  if (args.new_length == 0) { return Errc::kInval; }
  Removed removed;
  mmap_lock.down_write(site);
  Result<VirtAddr> result = mremap_locked(args, &removed, site);
  mmap_lock.up_write(site);
  finish_removed(removed, site);
  return result;
}

}  // namespace daxfs::mm
