// fs/vfs/memory_calls.cc - mmap and what follows from it.
#include <algorithm>
#include <array>
#include <optional>

#include "fs/base/flags.h"
#include "fs/dax/memory_failure.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/fallocate.h"
#include "fs/mm/gup.h"
#include "fs/vfs/abi.h"
#include "fs/vfs/process.h"

namespace daxfs::vfs {
namespace {

constexpr uint32_t kMmapGrowsDown = 0x100;
constexpr uint32_t kMmapHugeTlb = 0x40000;
static_assert(distinct_bits({kMmapGrowsDown, kMmapHugeTlb, kMmapSync, kMmapFixedNoReplace}));
// What MAP_SHARED_VALIDATE lets pass for ext4: everything that is older than it, and MAP_SYNC.
constexpr uint32_t kMmapOld = 0x7f970 | 0x7c000000;
constexpr uint32_t kMmapKnown = kMmapType | kMmapOld | kMmapSync | kMmapFixedNoReplace;

unsigned map_flags(uint32_t flags) {
  unsigned translated = 0;
  switch (flags & kMmapType) {
    case kMmapShared: translated = mm::kMapShared; break;
    case kMmapPrivate: translated = mm::kMapPrivate; break;
    case kMmapSharedValidate: translated = mm::kMapSharedValidate; break;
    default: break;  // no type: mm answers EINVAL
  }
  if ((flags & kMmapFixed) != 0) { translated |= mm::kMapFixed; }
  if ((flags & kMmapFixedNoReplace) != 0) { translated |= mm::kMapFixedNoReplace; }
  if ((flags & kMmapSync) != 0) { translated |= mm::kMapSync; }
  // Locking a DAX mapping is no more than populating it.
  const bool populate = (flags & (kMmapPopulate | kMmapNonBlock)) == kMmapPopulate || (flags & kMmapLocked) != 0;
  if (populate) { translated |= mm::kMapPopulate; }
  return translated;
}

bool page_aligned(VirtAddr addr) { return addr.value() % kPageSize == 0; }

// Keeps a reference that Mm::next_file_range handed out.
class RangeFile {
 public:
  explicit RangeFile(mm::VmFile* file) : file_(file) {}
  RangeFile(const RangeFile&) = delete;
  RangeFile& operator=(const RangeFile&) = delete;
  ~RangeFile() {
    if (file_ != nullptr) { file_->put(); }
  }

 private:
  mm::VmFile* file_;
};

ext4::Inode& mapped_inode(mm::VmFile& file) { return static_cast<File&>(file).inode(); }

}  // namespace

Result<VirtAddr> Process::mmap(VirtAddr addr, uint64_t length, uint32_t prot, uint32_t flags, int fd, uint64_t offset) {
  if (offset % kPageSize != 0) { return Errc::kInval; }
  mm::MmapArgs args{
      .addr = addr, .length = length, .prot = prot, .flags = map_flags(flags), .file = nullptr, .offset = offset};
  if ((flags & kMmapAnonymous) != 0) { return mm_->mmap(args); }
  FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
  if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
  if ((flags & kMmapHugeTlb) != 0) { return Errc::kInval; }
  args.file = &*file;
  const bool validate = (flags & kMmapType) == kMmapSharedValidate;
  if (validate && (flags & ~kMmapKnown) != 0) {
    // Refused where the type is looked at, behind length and address.
    args.flags &= ~unsigned{mm::kMapSharedValidate};
    const auto mapped = mm_->mmap(args);
    return mapped.error() == Errc::kInval && length != 0 && page_aligned(addr) ? Errc::kOpNotSupp : mapped.error();
  }
  if ((flags & kMmapGrowsDown) != 0) {
    const bool shared = (flags & kMmapType) != kMmapPrivate;
    FS_RETURN_IF_ERROR(file->mmap_check(prot, shared, validate && (flags & kMmapSync) != 0));
    return Errc::kInval;
  }
  return mm_->mmap(args);
}

Status Process::munmap(VirtAddr addr, uint64_t length) { return mm_->munmap(addr, length); }

Result<VirtAddr> Process::mremap(VirtAddr addr, uint64_t old_length, uint64_t new_length, uint32_t flags,
                                 VirtAddr new_addr) {
  if ((flags & ~(kRemapMayMove | kRemapFixed | kRemapDontUnmap)) != 0) { return Errc::kInval; }
  unsigned translated = 0;
  if ((flags & kRemapMayMove) != 0) { translated |= mm::kMremapMayMove; }
  if ((flags & kRemapFixed) != 0) { translated |= mm::kMremapFixed; }
  if ((flags & kRemapDontUnmap) != 0) { translated |= mm::kMremapDontUnmap; }
  return mm_->mremap(addr, old_length, new_length, translated, new_addr);
}

Status Process::mprotect(VirtAddr addr, uint64_t length, uint32_t prot) {
  constexpr uint32_t kProtSem = 8;  // allowed, and means nothing
  return mm_->mprotect(addr, length, prot & ~kProtSem);
}

Status Process::check_mapped(VirtAddr begin, VirtAddr end) {
  VirtAddr covered = begin;
  mm_->for_each_vma(begin, end, [&](mm::Vma& vma) {
    if (vma.begin <= covered && covered < vma.end) { covered = vma.end; }
  });
  return covered >= end ? ok_status() : Status(Errc::kNoMem);
}

// MADV_HWPOISON: memory_failure of each page, without bad sectors: so the pages are usable afterwards, as measured with
// 6.1. Only frames of files count; what happens to anonymous memory is not modelled. Kernel: madvise_inject_error.
Status Process::inject_memory_error(VirtAddr addr, uint64_t length, uint32_t advice, mm::AccessResult* signal) {
  for (VirtAddr at = addr; at < addr + length; at = at + kPageSize) {
    FS_ASSIGN_OR_RETURN(mm::PagePin pin, mm::pin_user_page(*mm_, at, /*write=*/false));
    const Pfn pfn = pin.pfn();
    // Dropped before the failure is handled: it must do without.
    pin.release();
    if (advice == kAdviseSoftOffline) { return Errc::kIo; }
    if (pfn == fs_.memory().zero_pfn()) { return Errc::kBusy; }
    if (!fs_.memory().is_pmem(pfn)) { continue; }
    std::vector<mm::FrameUser> users;
    FS_RETURN_IF_ERROR(dax::memory_failure(fs_.memory(), pfn, &users));
    const bool mine = std::any_of(users.begin(), users.end(),
                                  [&](const mm::FrameUser& user) { return user.mm == mm_ && user.address == at; });
    if (mine && signal != nullptr && signal->ok()) {
      signal->signal = mm::Signal::kBusMceerr;
      signal->fault_address = at;
    }
  }
  return ok_status();
}

namespace {

// Where the page is, and that it is bad, in one step for the rest of the machine: a moment later the block may be
// somebody else's.
Result<Pfn> poison_page(ext4::Inode& inode, uint64_t offset) {
  if (!inode.is_regular() || !inode.is_dax()) { return Errc::kOpNotSupp; }
  if (offset / kBlockSize > UINT32_MAX) { return Errc::kNxio; }
  const LogicalBlock block(static_cast<uint32_t>(offset / kBlockSize));
  const rt::ReadLock lock(inode.i_data_sem);
  FS_ASSIGN_OR_RETURN(const std::optional<ext4::ExtentRun> run, ext4::next_extent_locked(inode, block));
  if (!run || !run->contains(block) || run->unwritten) { return Errc::kNxio; }
  const Pfn pfn(run->block_of(block).value());
  inode.device().set_poison(pfn.value() * kPageSize, kPageSize);
  inode.volume().memory().page(pfn).set_hwpoison(false);  // it is not known yet
  return pfn;
}

}  // namespace

Status Process::memory_failure(int fd, uint64_t offset, std::vector<mm::FrameUser>* users) {
  Pfn pfn;
  {
    FS_ASSIGN_OR_RETURN(const FileRef file, fds_.get(fd));
    if ((file->flags() & kOpenPath) != 0) { return Errc::kBadf; }
    FS_ASSIGN_OR_RETURN(pfn, poison_page(file->inode(), offset));
  }
  // From here on nothing keeps the file: the machine check knows a frame.
  return dax::memory_failure(fs_.memory(), pfn, users);
}

Status Process::madvise(VirtAddr addr, uint64_t length, uint32_t advice, mm::AccessResult* signal) {
  switch (advice) {
    case kAdviseNormal:
    case kAdviseRandom:
    case kAdviseSequential:
    case kAdviseWillNeed:
    case kAdviseDontNeed:
    case kAdviseFree:
    case kAdviseRemove:
    case kAdviseHugePage:
    case kAdviseNoHugePage:
    case kAdviseCold:
    case kAdvisePageOut:
    case kAdvisePopulateRead:
    case kAdvisePopulateWrite:
    case kAdviseHwPoison:
    case kAdviseSoftOffline:
    case kAdviseDontFork:
    case kAdviseDoFork:
    case kAdviseMergeable:
    case kAdviseUnmergeable:
    case kAdviseDontDump:
    case kAdviseDoDump:
    case kAdviseWipeOnFork:
    case kAdviseKeepOnFork:
    case kAdviseDontNeedLocked:
    case kAdviseCollapse: break;
    default: return Errc::kInval;
  }
  if (!page_aligned(addr)) { return Errc::kInval; }
  const uint64_t rounded = round_up(length, kPageSize);
  if (length != 0 && rounded == 0) { return Errc::kInval; }
  if (addr.value() + rounded < addr.value()) { return Errc::kInval; }
  if (rounded == 0) { return ok_status(); }
  if (advice == kAdviseHwPoison || advice == kAdviseSoftOffline) {
    return inject_memory_error(addr, length, advice, signal);
  }
  return madvise_range(addr, rounded, advice);
}

Status Process::madvise_range(VirtAddr addr, uint64_t length, uint32_t advice) {
  switch (advice) {
    case kAdviseDontNeed:
    case kAdviseDontNeedLocked: return mm_->madvise_dontneed(addr, length);  // nothing is locked
    case kAdviseRemove: return madvise_remove(addr, length);
    case kAdvisePopulateRead: return mm_->populate(addr, length, /*write=*/false);
    case kAdvisePopulateWrite: return mm_->populate(addr, length, /*write=*/true);
    case kAdviseFree:
    case kAdviseWipeOnFork: {
      bool refused = false;
      mm_->for_each_vma(addr, addr + length, [&](mm::Vma& vma) { refused |= vma.file != nullptr || vma.shared; });
      return refused ? Status(Errc::kInval) : check_mapped(addr, addr + length);
    }
    case kAdviseCollapse: {  // of no DAX mapping, and of none that is smaller than a huge page: hugepage_vma_check
      bool mapped = false;
      mm_->for_each_vma(addr, addr + length, [&](mm::Vma&) { mapped = true; });
      return mapped ? Errc::kInval : Errc::kNoMem;
    }
    default: return check_mapped(addr, addr + length);  // hints
  }
}

Status Process::madvise_remove(VirtAddr addr, uint64_t length) {
  VirtAddr at = addr;
  const VirtAddr end = addr + length;
  Status unmapped;
  mm::FileRange range;
  while (at < end && mm_->next_file_range(at, end, &range)) {
    const RangeFile reference(range.file);
    if (range.begin > at) { unmapped = Errc::kNoMem; }
    if (range.file == nullptr && !range.shared) { return Errc::kInval; }
    if (!range.shared || !range.may_write) { return Errc::kAccess; }
    if (range.file == nullptr) {  // shared anonymous memory is a file of its own
      static constexpr std::array<std::byte, kPageSize> kZeros{};
      for (VirtAddr page = range.begin; page < range.end; page = page + kPageSize) { mm_->store(page, kZeros); }
      at = range.end;
      continue;
    }
    FS_RETURN_IF_ERROR(ext4::fallocate(mapped_inode(*range.file), ext4::kFallocPunchHole | ext4::kFallocKeepSize,
                                       range.pgoff.value() * kPageSize, range.end - range.begin));
    at = range.end;
  }
  return at < end ? Status(Errc::kNoMem) : unmapped;
}

Status Process::msync(VirtAddr addr, uint64_t length, uint32_t flags) {
  if ((flags & ~(kMsyncAsync | kMsyncInvalidate | kMsyncSync)) != 0) { return Errc::kInval; }
  if (!page_aligned(addr)) { return Errc::kInval; }
  if ((flags & kMsyncAsync) != 0 && (flags & kMsyncSync) != 0) { return Errc::kInval; }
  const VirtAddr end = addr + round_up(length, kPageSize);
  if (end < addr) { return Errc::kNoMem; }
  VirtAddr at = addr;
  Status unmapped;
  mm::FileRange range;
  while (at < end) {
    if (!mm_->next_file_range(at, end, &range)) { return Errc::kNoMem; }
    const RangeFile reference(range.file);
    if (range.begin > at) { unmapped = Errc::kNoMem; }
    at = range.end;
    if ((flags & kMsyncSync) == 0 || range.file == nullptr || !range.shared) { continue; }
    const uint64_t start = range.pgoff.value() * kPageSize;
    FS_RETURN_IF_ERROR(static_cast<File&>(*range.file)
                           .sync(start, start + (range.end - range.begin) - 1,
                                 /*datasync=*/true));
  }
  return unmapped;
}

}  // namespace daxfs::vfs
