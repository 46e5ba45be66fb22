// fs/ext4/fault.cc - the locks and the handle around a DAX fault.
#include "fs/ext4/fault.h"

#include "fs/base/report.h"
#include "fs/dax/entry.h"
#include "fs/dax/fault.h"
#include "fs/dax/invalidate.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_times.h"
#include "fs/ext4/fsync.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/mm/memory.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

// Does the tree hold a page with a block among [first, first + pages)? Such a page makes the kernel
// give up the 2 MiB page before it looks for blocks.
bool has_small_pages(mm::AddressSpace& mapping, PgOff first, uint64_t pages) {
  const rt::SpinGuard tree(mapping.i_pages.lock());
  const uint64_t last = first.value() + pages - 1;
  lib::XaCursor xas(mapping.i_pages, first.value());
  for (;;) {
    const dax::Entry entry = dax::Entry::from_tree(xas.find(last));
    if (entry.none()) { return false; }
    if (!entry.is_zero()) { return true; }
  }
}

// The kernel tries a 2 MiB page first wherever one would fit into mapping and file, and asks for its
// blocks from the first on. Without huge mappings we map single pages, but allocate the same: the blocks stay
// allocated even where the huge mapping fails. Errors do not matter, the small fault that follows has its own.
// Kernel: dax_iomap_pmd_fault, dax_fault_check_fallback.
void allocate_huge_range(const mm::VmFault& fault, Inode& inode) {
  constexpr uint64_t kPages = kPmdSize / kPageSize;
  if (fault.vma.pages() < kPages || fault.memory().huge_mappings()) { return; }
  const PgOff first(round_down(fault.pgoff.value(), kPages));
  const uint64_t before = (fault.pgoff - first) * kPageSize;
  const bool congruent = fault.address.value() % kPmdSize == before;
  const bool in_vma = fault.address - fault.vma.begin >= before && fault.vma.end - fault.address >= kPmdSize - before;
  const uint64_t pages_in_file = div_round_up(inode.i_size(), kPageSize);
  if (!congruent || !in_vma || first.value() + kPages > pages_in_file ||
      has_small_pages(inode.mapping(), first, kPages)) {
    return;
  }
  io::Iomap iomap;
  const Status begun = iomap_ops().iomap_begin(inode, first.value() * kPageSize, kPmdSize,
                                               io::kIomapWrite | io::kIomapDax | io::kIomapFault, &iomap);
  if (begun.ok() && iomap.is_new()) { dax::drop_hole_entries(inode.mapping(), first, first + (kPages - 1)); }
}

// The handle is started before DAX locks the entry: a write(2) holds a handle while it faults on
// its source, and then waits for the entry. REQUIRES: invalidate lock shared.
mm::FaultResult write_fault(mm::VmFault& fault, Inode& inode, bool pmd) {
  if (!pmd) { allocate_huge_range(fault, inode); }
  auto handle = jbd2::start(inode.volume().journal(), internal::kFileCredits);
  if (!handle.ok()) { return mm::FaultResult::kSigbus; }
  const PgOff first = pmd ? fault.huge_pgoff() : fault.pgoff;
  const uint64_t pages = pmd ? fault.memory().huge_pages() : 1;
  const dax::FaultOutcome out =
      pmd ? dax::iomap_pmd_fault(fault, inode, iomap_ops()) : dax::iomap_fault(fault, inode, iomap_ops());
  const Status stopped = handle->stop();
  if (out.allocated) {
    if (out.result != mm::FaultResult::kDone) {
      // The zero page that was mapped before lies over blocks now. So also if memory went bad as soon as it was the
      // file's: the page is told by SIGBUS then, not shown as zeros.
      dax::drop_hole_entries(inode.mapping(), first, first + (pages - 1));
    }
    drop_stale_hole_pages(inode, first, first + (pages - 1));
  }
  if (!out.needs_sync) {
    return out.result == mm::FaultResult::kDone && !stopped.ok() ? mm::FaultResult::kSigbus : out.result;
  }
  // MAP_SYNC. Kernel: dax_finish_sync_fault.
  const uint64_t pos = first.value() * kPageSize;
  const Status synced = sync_file(inode, pos, pos + pages * kPageSize - 1, /*datasync=*/true);
  if (!stopped.ok() || !synced.ok()) { return mm::FaultResult::kSigbus; }
  return dax::finish_sync_fault(fault, inode.mapping(), out.pfn, pmd);
}

// Kernel: ext4_dax_huge_fault.
mm::FaultResult fault_of_size(mm::VmFault& fault, Inode& inode, bool pmd) {
  const bool write = fault.write && !fault.cow && fault.vma.shared;
  if (write) {
    if (inode.volume().read_only()) { return mm::FaultResult::kSigbus; }
    file_update_time(inode).ignore_error("a time that could not be stored does not stop the access");
  }
  const rt::ReadLock lock(inode.mapping().invalidate_lock);
  if (write) { return write_fault(fault, inode, pmd); }
  return (pmd ? dax::iomap_pmd_fault(fault, inode, iomap_ops()) : dax::iomap_fault(fault, inode, iomap_ops())).result;
}

}  // namespace

mm::FaultResult dax_fault(mm::VmFault& fault, Inode& inode) {
  FS_TRACE_SCOPE("ext4_dax_fault", entry_ref(inode.ino(), fault.pgoff));
  return fault_of_size(fault, inode, /*pmd=*/false);
}

mm::FaultResult dax_huge_fault(mm::VmFault& fault, Inode& inode) {
  FS_TRACE_SCOPE("ext4_dax_huge_fault", entry_ref(inode.ino(), fault.huge_pgoff(), fault.memory().huge_pages()));
  return fault_of_size(fault, inode, /*pmd=*/true);
}

Status mmap_check(Inode& inode, bool sync) {
  if (!inode.is_regular()) { return Errc::kNoDev; }
  if (!inode.is_dax() && sync) { return Errc::kOpNotSupp; }
  return ok_status();
}

}  // namespace daxfs::ext4
