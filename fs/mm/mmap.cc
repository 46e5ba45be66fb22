// fs/mm/mmap.cc - mmap, munmap and the choice of addresses.
//
// Kernel: mm/mmap.c: do_mmap, get_unmapped_area (top down, then bottom up), thp_get_unmapped_area,
// do_munmap.
#include <algorithm>

#include "fs/mm/address_space.h"
#include "fs/mm/memory.h"
#include "fs/mm/mm.h"

namespace daxfs::mm {
namespace {

constexpr VirtAddr kMmapMin{64 * 1024};
constexpr uint64_t kFileBytesMax = INT64_MAX;  // MAX_LFS_FILESIZE

Status check_type(const MmapArgs& args) {
  const bool validate = (args.flags & kMapSharedValidate) != 0;
  const bool shared = (args.flags & kMapShared) != 0;
  const bool is_private = (args.flags & kMapPrivate) != 0;
  if (validate + shared + is_private != 1) { return Errc::kInval; }
  if (args.file == nullptr) { return validate ? Status(Errc::kInval) : ok_status(); }
  if (validate && (args.flags & kMapFixedNoReplace) != 0) { return Errc::kOpNotSupp; }
  return ok_status();
}

bool is_shared(const MmapArgs& args) { return (args.flags & (kMapShared | kMapSharedValidate)) != 0; }

bool is_sync(const MmapArgs& args) { return (args.flags & kMapSync) != 0 && args.file != nullptr; }

}  // namespace

bool Mm::range_is_free(VirtAddr begin, uint64_t length) const {
  const size_t n = vma_index(begin);
  return n == vmas().size() || vmas()[n]->begin >= begin + length;
}

Result<VirtAddr> Mm::find_free(uint64_t length) const {
  // Top down below kMmapTop: the highest gap that fits.
  VirtAddr gap_end = kMmapTop;
  for (size_t n = vma_index(kMmapTop); n <= vmas().size(); --n) {
    // Gap between VMA n - 1 and VMA n, clipped to the area.
    const VirtAddr high = n < vmas().size() ? std::min(vmas()[n]->begin.get(), gap_end) : gap_end;
    const VirtAddr low = n > 0 ? std::max(vmas()[n - 1]->end.get(), kMmapMin) : kMmapMin;
    if (low < high && high - low >= length) { return high - length; }
    if (n == 0) { break; }
  }
  // Bottom up above it.
  VirtAddr at = kMmapTop;
  for (size_t n = vma_index(kMmapTop); n < vmas().size(); ++n) {
    if (vmas()[n]->begin > at && vmas()[n]->begin - at >= length) { return at; }
    at = std::max(at, vmas()[n]->end.get());
  }
  if (kTaskSize - at >= length) { return at; }
  return Errc::kNoMem;
}

Result<VirtAddr> Mm::find_free_for_file(uint64_t length, const VmFile* file, PgOff pgoff) const {
  // A file mapping that could hold a huge page is placed congruent to its offset (what the kernel
  // does for ext4 files).
  const uint64_t huge = memory_.huge_size();
  const uint64_t offset = pgoff.value() * kPageSize;
  const uint64_t aligned = round_up(offset, huge);
  const uint64_t offset_end = offset + length;
  if (file != nullptr && offset_end > aligned && offset_end - aligned >= huge && length + huge > length) {
    const Result<VirtAddr> padded = find_free(length + huge);
    if (padded.ok()) { return *padded + (offset - padded->value()) % huge; }
  }
  return find_free(length);
}

Result<VirtAddr> Mm::choose_address(const MmapArgs& args, uint64_t length) const {
  if (length > kTaskSize.value()) { return Errc::kNoMem; }
  if ((args.flags & (kMapFixed | kMapFixedNoReplace)) != 0) {
    if (args.addr.value() > kTaskSize.value() - length) { return Errc::kNoMem; }
    if (args.addr.value() % kPageSize != 0) { return Errc::kInval; }
    if ((args.flags & kMapFixedNoReplace) != 0 && !range_is_free(args.addr, length)) { return Errc::kExist; }
    return args.addr;
  }
  VirtAddr hint(round_down(args.addr.value(), kPageSize));
  if (hint.value() != 0) {
    hint = std::max(hint, kMmapMin);
    if (hint.value() <= kTaskSize.value() - length && range_is_free(hint, length)) { return hint; }
  }
  return find_free_for_file(length, args.file, PgOff(args.offset / kPageSize));
}

Result<VirtAddr> Mm::mmap_locked(const MmapArgs& args, uint64_t length, Removed* removed, Site site) {
  FS_ASSIGN_OR_RETURN(const VirtAddr addr, choose_address(args, length));
  if (args.file != nullptr &&
      (length > kFileBytesMax || args.offset / kPageSize > (kFileBytesMax - length) / kPageSize)) {
    return Errc::kOverflow;
  }
  FS_RETURN_IF_ERROR(check_type(args));
  const bool shared = is_shared(args);
  if (args.file != nullptr) { FS_RETURN_IF_ERROR(args.file->mmap_check(args.prot, shared, is_sync(args))); }

  if ((args.flags & kMapFixed) != 0) { unmap_locked(addr, addr + length, removed, site); }
  Vma* vma = new_vma();
  vma->begin = addr;
  vma->end = addr + length;
  vma->prot = args.prot & (kProtRead | kProtWrite | kProtExec);
  vma->shared = shared;
  vma->sync = is_sync(args) && shared;
  vma->may_write = args.file == nullptr || !shared || args.file->may_write();
  vma->file = args.file;
  vma->pgoff = PgOff((args.file != nullptr ? args.offset : addr.value()) / kPageSize);
  if (vma->file != nullptr) { vma->file->get(); }
  insert_vma(*vma, site);
  merge_around(addr, addr + length, removed, site);
  return addr;
}

Result<VirtAddr> Mm::mmap(const MmapArgs& args, Site site) {
  if (args.offset % kPageSize != 0 || args.length == 0) { return Errc::kInval; }
  const uint64_t length = round_up(args.length, kPageSize);
  if (length < args.length) { return Errc::kNoMem; }
  Removed removed;
  mmap_lock.down_write(site);
  Result<VirtAddr> addr = mmap_locked(args, length, &removed, site);
  mmap_lock.up_write(site);
  finish_removed(removed, site);

  if (addr.ok() && (args.flags & kMapPopulate) != 0) {
    // A private writable mapping gets its copies now; a shared one is only read. Failure shows at
    // the first access.
    const bool write = (args.prot & kProtWrite) != 0 && !is_shared(args);
    populate(*addr, length, write, site).ignore_error("MAP_POPULATE promises nothing");
  }
  return addr;
}

Status Mm::munmap(VirtAddr addr, uint64_t length, Site site) {
  if (addr.value() % kPageSize != 0 || addr > kTaskSize || length > kTaskSize - addr || length == 0) {
    return Errc::kInval;
  }
  Removed removed;
  mmap_lock.down_write(site);
  unmap_locked(addr, addr + round_up(length, kPageSize), &removed, site);
  mmap_lock.up_write(site);
  finish_removed(removed, site);
  return ok_status();
}

}  // namespace daxfs::mm
