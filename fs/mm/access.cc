// fs/mm/access.cc - the program's loads and stores, and the kernel's copies from and to user
// memory.
//
// One scheduling point per attempt at a page; after it the PTE check, the accessed bits and the
// bytes are one step, as with a processor and its TLB (tlb_gate.h). A failed check faults and tries
// again; a livelock is the engine's to notice.
#include <algorithm>

#include "fs/mm/memory.h"
#include "fs/mm/mm.h"
#include "fs/rt/point.h"
#include "fs/rt/task.h"
#include "fs/rt/trace.h"

namespace daxfs::mm {
namespace {

struct Progress {
  uint64_t done = 0;
  Signal signal = Signal::kNone;
};

// Splits [address, address + size) at page borders: step(address, offset into the whole, size)
// until one fails.
template <typename Step>
Progress for_pages(VirtAddr address, uint64_t size, Step step) {
  Progress progress;
  while (progress.done < size) {
    const VirtAddr at = address + progress.done;
    const uint64_t in_page = at.value() % kPageSize;
    const uint64_t count = std::min(kPageSize - in_page, size - progress.done);
    progress.signal = step(at, progress.done, count);
    if (progress.signal != Signal::kNone) { break; }
    progress.done += count;
  }
  return progress;
}

AccessResult result_of(VirtAddr address, const Progress& progress) {
  return {progress.done, progress.signal, address + progress.done};
}

// What the access touches, as far as one can tell before it happens: the frame's bytes, or the
// empty PTE.
rt::ObjectId access_object(const Mm& mm, VirtAddr page) {
  const Pte pte = mm.page_table.load_unscheduled(page);
  if (pte.none()) { return rt::object_id(rt::ObjectClass::kPte, mm.id() << 32 | page.value() >> kPageShift); }
  return rt::object_id(mm.memory().is_pmem(pte.pfn()) ? rt::ObjectClass::kPmem : rt::ObjectClass::kFrame,
                       pte.pfn().value());
}

}  // namespace

Signal Mm::access_page(VirtAddr address, std::byte* out, const std::byte* in, size_t size, Site site) {
  const bool write = in != nullptr;
  const VirtAddr page(round_down(address.value(), kPageSize));
  const size_t offset = address.value() % kPageSize;
  for (unsigned faults = 0;; ++faults) {
    // A fault that changed nothing: another task is between taking the page away and unmapping it.
    if (faults > 1) { rt::relax(site); }
    rt::point(write ? rt::PointKind::kUserStore : rt::PointKind::kUserLoad, access_object(*this, page), site);
    {
      TlbWindow window(tlb);
      const Pte pte = page_table.load_unscheduled(page);
      FS_TRACE_READ(pte_ref(id(), page), pte.word());
      if (pte.allows(write) && page_table.mark_accessed(page, pte, write)) {
        if (!write) {
          memory_.user_read(pte.pfn(), offset, {out, size}, site);
          return Signal::kNone;
        }
        return memory_.user_write(pte.pfn(), offset, {in, size}, site).ok() ? Signal::kNone : Signal::kBusAdrerr;
      }
    }
    Signal signal = Signal::kNone;
    handle_fault(address, write, &signal, site);
    if (signal != Signal::kNone) { return signal; }
  }
}

AccessResult Mm::load(VirtAddr addr, std::span<std::byte> out, Site site) {
  return result_of(addr, for_pages(addr, out.size(), [&](VirtAddr at, uint64_t done, uint64_t count) {
                     return access_page(at, out.data() + done, nullptr, count, site);
                   }));
}

AccessResult Mm::store(VirtAddr addr, std::span<const std::byte> bytes, Site site) {
  return result_of(addr, for_pages(addr, bytes.size(), [&](VirtAddr at, uint64_t done, uint64_t count) {
                     return access_page(at, nullptr, bytes.data() + done, count, site);
                   }));
}

uint64_t Mm::copy_from_user(VirtAddr from, std::span<std::byte> to, Site site) {
  return load(from, to, site).bytes_done;
}

uint64_t Mm::copy_to_user(VirtAddr to, std::span<const std::byte> from, Site site) {
  return store(to, from, site).bytes_done;
}

}  // namespace daxfs::mm
