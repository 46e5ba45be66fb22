// fs/mm/address_space.cc - the list of VMAs that map a file.
#include "fs/mm/address_space.h"

#include <cinttypes>

#include "fs/base/report.h"
#include "fs/mm/mm.h"
#include "fs/mm/vma.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {

AddressSpace::AddressSpace(Memory& memory, MappingHost& host)
    : invalidate_lock(rt::Rank::kInvalidate, "invalidate_lock"),
      i_mmap_rwsem(rt::Rank::kMmapTree, "i_mmap_rwsem"),
      memory_(memory),
      host_(host) {}

void AddressSpace::link_vma(Vma& vma) {
  vma.next_in_file = nullptr;
  vma.prev_in_file = last_vma_;
  if (last_vma_ != nullptr) {
    last_vma_->next_in_file = &vma;
  } else {
    __atomic_store_n(&first_vma_, &vma, __ATOMIC_RELAXED);
  }
  last_vma_ = &vma;
  FS_TRACE_NAME(pte_ref(vma.mm->id(), vma.begin, vma.pages()), "", entry_ref(host_.ino(), vma.pgoff, vma.pages()));
}

void AddressSpace::unlink_vma(Vma& vma) {
  if (vma.prev_in_file != nullptr) {
    vma.prev_in_file->next_in_file = vma.next_in_file;
  } else {
    __atomic_store_n(&first_vma_, vma.next_in_file, __ATOMIC_RELAXED);
  }
  if (vma.next_in_file != nullptr) {
    vma.next_in_file->prev_in_file = vma.prev_in_file;
  } else {
    last_vma_ = vma.prev_in_file;
  }
  vma.next_in_file = vma.prev_in_file = nullptr;
}

void AddressSpace::assert_unmapped(Site site) const {
  FS_WARN_ON(mapped(), "MM4", "inode %" PRIu32 " is evicted while it is mapped (%s:%u)", host_.ino().value(),
             site.file_name(), site.line());
}

}  // namespace daxfs::mm
