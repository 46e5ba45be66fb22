// fs/mm/mm.cc - life of an address space, and looking VMAs up.
#include "fs/mm/mm.h"

#include <algorithm>
#include <memory>

#include "fs/base/flags.h"
#include "fs/base/report.h"
#include "fs/mm/address_space.h"
#include "fs/mm/memory.h"

namespace daxfs::mm {

static_assert(distinct_bits({kProtRead, kProtWrite, kProtExec}));
static_assert(distinct_bits({kMapShared, kMapPrivate, kMapSharedValidate, kMapFixed, kMapFixedNoReplace, kMapSync,
                             kMapPopulate}));
static_assert(distinct_bits({kMremapMayMove, kMremapFixed, kMremapDontUnmap}));

Memory& VmFault::memory() const { return mm.memory(); }
VirtAddr VmFault::huge_address() const { return VirtAddr(round_down(address.value(), memory().huge_size())); }
PgOff VmFault::huge_pgoff() const { return pgoff - (address - huge_address()) / kPageSize; }

Mm::Mm(Memory& memory, uint64_t id)
    : mmap_lock(rt::Rank::kMmap, "mmap_lock"), page_table(memory, id), memory_(memory), id_(id) {}

Mm::~Mm() = default;

size_t Mm::vma_index(VirtAddr address) const {
  const auto it =
      std::upper_bound(vmas().begin(), vmas().end(), address, [](VirtAddr a, const Vma* vma) { return a < vma->end; });
  return static_cast<size_t>(it - vmas().begin());
}

Vma* Mm::find_vma(VirtAddr address) {
  const size_t n = vma_index(address);
  return n < vmas().size() ? vmas()[n] : nullptr;
}

Vma* Mm::next_vma(const Vma& vma) const {
  const size_t n = vma_index(vma.end);
  return n < vmas().size() ? vmas()[n] : nullptr;
}

Vma* Mm::new_vma() {
  RawGuard guard(pool_lock_);
  if (vma_free_.empty()) {
    vma_pool_.push_back(std::make_unique<Vma>());
    vma_free_.reserve(vma_pool_.capacity());
    vma_free_.push_back(vma_pool_.back().get());
  }
  Vma* vma = vma_free_.back();
  vma_free_.pop_back();
  *vma = Vma{};
  vma->mm = this;
  return vma;
}

void Mm::recycle_vma(Vma* vma) {
  RawGuard guard(pool_lock_);
  vma_free_.push_back(vma);
}

void Mm::finish_removed(const Removed& removed, Site site) {
  // Without any lock of ours: the last reference to an unlinked file evicts its inode.
  for (Vma* vma = removed.first; vma != nullptr;) {
    Vma* next = vma->next_in_file;
    if (vma->file != nullptr) { vma->file->put(); }
    recycle_vma(vma);
    vma = next;
  }
}

void Mm::for_each_vma(VirtAddr begin, VirtAddr end, FunctionRef<void(Vma&)> visit, Site site) {
  rt::ReadLock lock(mmap_lock, site);
  for (size_t n = vma_index(begin); n < vmas().size() && vmas()[n]->begin < end; ++n) { visit(*vmas()[n]); }
}

bool Mm::next_file_range(VirtAddr begin, VirtAddr end, FileRange* range, Site site) {
  rt::ReadLock lock(mmap_lock, site);
  Vma* vma = find_vma(begin);
  if (vma == nullptr || vma->begin >= end) { return false; }
  range->begin = std::max(begin, vma->begin.get());
  range->end = std::min(end, vma->end.get());
  range->pgoff = vma->pgoff_of(range->begin);
  range->shared = vma->shared;
  range->writable = vma->writable();
  range->may_write = vma->may_write;
  range->file = vma->file;
  if (range->file != nullptr) { range->file->get(); }
  return true;
}

Result<VirtAddr> Mm::user_buffer(uint64_t length, Site site) {
  const uint64_t size = round_up(std::max<uint64_t>(length, 1), kPageSize);
  {
    RawGuard guard(pool_lock_);
    if (user_buffer_length_ >= size) { return user_buffer_; }
  }
  FS_ASSIGN_OR_RETURN(const VirtAddr fresh, mmap({.length = size}, site));
  // The smaller one stays until exit: another task may be in the middle of a call that uses it.
  RawGuard guard(pool_lock_);
  user_buffer_ = fresh;
  user_buffer_length_ = size;
  return fresh;
}

void Mm::exit_mmap(Site site) {
  Removed removed;
  {
    rt::WriteLock lock(mmap_lock, site);
    unmap_locked(VirtAddr(0), kTaskSize, &removed, site);
    page_table.free_tables();
    const Counters left = counters();
    FS_WARN_ON(left.file_pages != 0 || left.anon_pages != 0, "MM8",
               "an address space ends with %llu file and %llu anonymous pages counted",
               static_cast<unsigned long long>(left.file_pages), static_cast<unsigned long long>(left.anon_pages));
    RawGuard guard(pool_lock_);
    user_buffer_length_ = 0;
  }
  finish_removed(removed, site);
}

void Mm::reset() {
  vmas_.write().clear();
  vma_free_.clear();
  for (const auto& vma : vma_pool_) { vma_free_.push_back(vma.get()); }
  page_table.reset();
  tlb.reset();
  counters_ = Counters{};
  user_buffer_ = VirtAddr(0);
  user_buffer_length_ = 0;
  std::destroy_at(&mmap_lock);
  std::construct_at(&mmap_lock, rt::Rank::kMmap, "mmap_lock");
}

void Mm::account(Pte pte, int change) {
  if (!pte.present() || pte.special()) { return; }
  Counters& counters = counters_.write();
  uint64_t& count = memory_.is_file_frame(pte.pfn()) ? counters.file_pages : counters.anon_pages;
  const uint64_t pages = pte.huge() ? memory_.huge_pages() : 1;
  count += pages * static_cast<uint64_t>(static_cast<int64_t>(change));
}

}  // namespace daxfs::mm
