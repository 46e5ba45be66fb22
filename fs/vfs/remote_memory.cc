// fs/vfs/remote_memory.cc - process_vm_readv: memory through pins instead of page tables.
#include <algorithm>
#include <vector>

#include "fs/mm/gup.h"
#include "fs/mm/memory.h"
#include "fs/rt/trace.h"
#include "fs/vfs/process.h"

namespace daxfs::vfs {

namespace {

constexpr uint64_t kPinsMax = 1024;  // at one time; kernel: PVM_MAX_KMALLOC_PAGES, in pointers

}  // namespace

// All pages of a chunk are pinned before the first byte is copied: in between nothing but the pins keeps them.
Result<uint64_t> Process::process_vm_readv(VirtAddr addr, std::span<std::byte> out) {
  FS_TRACE_SCOPE("process_vm_rw", pte_ref(mm_->id(), addr, div_round_up(out.size(), kPageSize)));
  std::vector<mm::PagePin> pins;
  uint64_t done = 0;
  Status end;
  while (done < out.size() && end.ok()) {
    const VirtAddr from = addr + done;
    const uint64_t in_page = from.value() % kPageSize;
    const uint64_t wanted = std::min(div_round_up(in_page + (out.size() - done), kPageSize), kPinsMax);
    while (pins.size() < wanted && end.ok()) {
      Result<mm::PagePin> pin = mm::pin_user_page_remote(*mm_, from + pins.size() * kPageSize, /*write=*/false);
      if (pin.ok()) {
        pins.push_back(std::move(*pin));
      } else {
        end = Errc::kFault;
      }
    }
    for (size_t i = 0; i < pins.size(); ++i) {
      const uint64_t offset = i == 0 ? in_page : 0;
      const auto piece = out.subspan(done, std::min<uint64_t>(kPageSize - offset, out.size() - done));
      if (mm_->memory().read(pins[i].pfn(), offset, piece).ok()) {
        done += piece.size();
      } else {
        end = Errc::kFault;
        break;
      }
    }
    for (mm::PagePin& pin : pins) { pin.release(); }
    pins.clear();
  }
  return done == 0 && !end.ok() ? Result<uint64_t>(end) : Result<uint64_t>(done);
}

}  // namespace daxfs::vfs
