// fs/mm/mm.h - a process's address space: its VMAs, its page table, its system calls and its
// accesses.
//
// Kernel: struct mm_struct; mm/mmap.c, mm/mremap.c, mm/mprotect.c, mm/memory.c, mm/madvise.c.
// Locking: mmap_lock for read in faults, GUP and madvise, for write in mmap, munmap, mprotect and
// mremap. Inside it a
//   file's i_mmap_rwsem, inside that ptl. A file's put() is called after mmap_lock is released, as
//   it can evict the inode.
// Invariants:
//   MM6  VMAs are page aligned, not empty, sorted, and do not overlap.
//   MM7  every present PTE lies in a VMA; it is writable only if the VMA is; a private VMA maps no
//   pmem frame writable; a huge mapping lies in one VMA and maps aligned frames.
//   MM8  the counters of mapped frames equal a recount of the page table.
// Not covered: fork, stack growth, mlock, userfaultfd, merging rules of anon_vma.
// Tested by: fs/mm/mmap_test.cc, access_test.cc, fault_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/function_ref.h"
#include "fs/base/raw_lock.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/mm/page_table.h"
#include "fs/mm/tlb_gate.h"
#include "fs/mm/vma.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/shared.h"

namespace daxfs::mm {

class Memory;

// Mappings are placed downwards from here, as Linux does below the stack; so all of them share one
// entry of the page table's root. Nothing grows in place across it.
inline constexpr VirtAddr kMmapTop{kPgdSize};

// Bytes that one call makes present: more is more memory than a machine has here. Without it a sparse file, or the
// zero page, could be mapped for minutes.
inline constexpr uint64_t kPopulateMax = uint64_t{16} << 20;

enum MapFlags : unsigned {
  kMapShared = 1U << 0,
  kMapPrivate = 1U << 1,
  kMapSharedValidate = 1U << 2,  // alone, instead of kMapShared
  kMapFixed = 1U << 3,
  kMapFixedNoReplace = 1U << 4,
  kMapSync = 1U << 5,  // of files, whatever the type; only kMapSharedValidate promises it
  kMapPopulate = 1U << 6,
};

struct MmapArgs {
  VirtAddr addr{0};     // hint, or the place if fixed
  uint64_t length = 0;  // bytes
  unsigned prot = kProtRead | kProtWrite;
  unsigned flags = kMapPrivate;
  VmFile* file = nullptr;  // null: anonymous
  uint64_t offset = 0;     // bytes; of the file
};

enum MremapFlags : unsigned {
  kMremapMayMove = 1U << 0,
  kMremapFixed = 1U << 1,
  kMremapDontUnmap = 1U << 2,  // the old VMA stays, without pages
};

enum class Signal : uint8_t {
  kNone,
  kSegvMaperr,  // no mapping at the address
  kSegvAccerr,  // not with this permission
  kBusAdrerr,   // beyond EOF, or the filesystem could not provide the page
  kBusMceerr,   // poisoned memory
  kKilled,      // out of memory
};

struct AccessResult {
  uint64_t bytes_done = 0;
  Signal signal = Signal::kNone;
  VirtAddr fault_address{0};  // si_addr: the first byte that could not be accessed

  bool ok() const { return signal == Signal::kNone; }
};

// The part of a file that one VMA maps inside some address range; holds a reference to the file.
struct FileRange {
  VirtAddr begin{0};
  VirtAddr end{0};
  PgOff pgoff{0};  // at begin
  bool shared = false;
  bool writable = false;
  bool may_write = false;
  VmFile* file = nullptr;  // null: anonymous. Else the caller owes file->put().
};

class Mm {
 public:
  explicit Mm(Memory& memory, uint64_t id = 0);
  Mm(const Mm&) = delete;
  Mm& operator=(const Mm&) = delete;
  ~Mm();

  Memory& memory() const { return memory_; }
  uint64_t id() const { return id_; }

  // System calls. All take mmap_lock. YIELD. Errors and their order are those of Linux 6.1 once the
  // descriptor was looked up and the offset found page aligned (kInval here too).
  //   mmap: kInval (length 0, unaligned fixed address, no or two types), kNoMem (too large),
  //   kOverflow (offset + length), kExist (fixed-noreplace), kOpNotSupp (flags under
  //   shared-validate), or what file->mmap_check says.
  Result<VirtAddr> mmap(const MmapArgs& args, Site site = Site::current()) FS_EXCLUDES(mmap_lock);
  //   munmap: kInval.
  Status munmap(VirtAddr addr, uint64_t length, Site site = Site::current()) FS_EXCLUDES(mmap_lock);
  //   mremap: kInval, kFault (no VMA, or more than one), kNoMem.
  Result<VirtAddr> mremap(VirtAddr addr, uint64_t old_length, uint64_t new_length, unsigned flags,
                          VirtAddr new_addr = VirtAddr(0), Site site = Site::current()) FS_EXCLUDES(mmap_lock);
  //   mprotect: kInval, kNoMem (gap; what comes before is changed), kAccess (write to a read-only
  //   file).
  Status mprotect(VirtAddr addr, uint64_t length, unsigned prot, Site site = Site::current()) FS_EXCLUDES(mmap_lock);
  //   madvise(DONTNEED): kInval, kNoMem (gap; the rest is done).
  Status madvise_dontneed(VirtAddr addr, uint64_t length, Site site = Site::current()) FS_EXCLUDES(mmap_lock);
  //   madvise(POPULATE_READ, POPULATE_WRITE): kInval (also: not permitted), kNoMem (gap, memory; behind kPopulateMax),
  //   kFault (SIGBUS), kHwPoison.
  Status populate(VirtAddr addr, uint64_t length, bool write, Site site = Site::current()) FS_EXCLUDES(mmap_lock);

  // What the program does with its memory, page by page: each page's check and bytes are one step.
  // Faults as often as needed. A store makes the PTE dirty. YIELD.
  AccessResult load(VirtAddr addr, std::span<std::byte> out, Site site = Site::current()) FS_EXCLUDES(mmap_lock);
  AccessResult store(VirtAddr addr, std::span<const std::byte> bytes, Site site = Site::current())
      FS_EXCLUDES(mmap_lock);
  // The kernel's copies: how many bytes were copied before the first that cannot be accessed.
  // YIELD.
  uint64_t copy_from_user(VirtAddr from, std::span<std::byte> to, Site site = Site::current()) FS_EXCLUDES(mmap_lock);
  uint64_t copy_to_user(VirtAddr to, std::span<const std::byte> from, Site site = Site::current())
      FS_EXCLUDES(mmap_lock);

  // Makes one page accessible, or says why not. `address` need not be aligned. The caller walks
  // again. YIELDS.
  FaultResult handle_fault(VirtAddr address, bool write, Signal* signal = nullptr, Site site = Site::current())
      FS_EXCLUDES(mmap_lock);
  // The same for callers that hold the lock and found the VMA.
  FaultResult handle_fault_locked(Vma& vma, VirtAddr address, bool write, Site site = Site::current())
      FS_REQUIRES_SHARED(mmap_lock);

  // The first VMA that ends after `address`, or null.
  Vma* find_vma(VirtAddr address) FS_REQUIRES_SHARED(mmap_lock);
  // VMAs that overlap [begin, end), in order. Takes mmap_lock for read around the whole walk; no
  // file may be put inside.
  void for_each_vma(VirtAddr begin, VirtAddr end, FunctionRef<void(Vma&)> visit, Site site = Site::current())
      FS_EXCLUDES(mmap_lock);
  // The first mapped part of [begin, end), or false. For callers that must drop the lock between
  // parts (msync). YIELDS.
  bool next_file_range(VirtAddr begin, VirtAddr end, FileRange* range, Site site = Site::current())
      FS_EXCLUDES(mmap_lock);

  // Anonymous memory of at least `length` bytes for system-call buffers: the same until a larger
  // one is asked for, and shared by all tasks of the process. YIELDS.
  Result<VirtAddr> user_buffer(uint64_t length, Site site = Site::current()) FS_EXCLUDES(mmap_lock);

  // Unmaps everything and puts every file. Afterwards as new. YIELDS.
  void exit_mmap(Site site = Site::current()) FS_EXCLUDES(mmap_lock);
  // As new, whatever an abandoned run left; does not touch files, mappings or frames (Memory::reset
  // does). No tasks may run.
  void reset() FS_NO_THREAD_SAFETY_ANALYSIS;  // no task runs

  // For auditors at rest: no points, no locks.
  void for_each_pte(FunctionRef<void(const Vma&, VirtAddr, Pte)> visit) const;
  void peek_vmas(FunctionRef<void(const Vma&)> visit) const;  // by address
  // Appends one line per violation of MM6, MM7, MM8; true if there is none.
  bool audit(std::vector<std::string>* report) const;
  // The same as an assertion: each kind of violation becomes a finding.
  void check() const;

  struct Counters {
    uint64_t file_pages = 0;  // present PTEs of pmem frames
    uint64_t anon_pages = 0;  // of DRAM frames; the zero page is never counted
  };
  Counters counters() const FS_NO_THREAD_SAFETY_ANALYSIS { return counters_.peek(); }  // at rest
  uint64_t vma_count() const { return vmas_.peek().size(); }

  rt::RwSem mmap_lock;
  PageTable page_table;
  TlbGate tlb;

  // Counts a PTE (or with Pte::huge() a huge mapping) that comes (+1) or goes (-1).
  void account(Pte pte, int change) FS_REQUIRES(page_table.ptl);

 private:
  // VMAs that were unmapped under mmap_lock, chained by next_in_file; their files are put after it.
  struct Removed {
    Vma* first = nullptr;
    Vma* last = nullptr;
  };

  // mm.cc
  const std::vector<Vma*>& vmas() const { return vmas_.get(); }
  size_t vma_index(VirtAddr address) const;  // of the first VMA that ends after `address`
  Vma* next_vma(const Vma& vma) const;
  Vma* new_vma();
  void recycle_vma(Vma* vma);
  void finish_removed(const Removed& removed, Site site) FS_EXCLUDES(mmap_lock);

  // vma_edit.cc: all REQUIRE mmap_lock for write, and take the file's i_mmap_rwsem themselves.
  void insert_vma(Vma& vma, Site site) FS_REQUIRES(mmap_lock);
  void resize_vma(Vma& vma, VirtAddr begin, VirtAddr end, Site site) FS_REQUIRES(mmap_lock);
  void split_vma(Vma& vma, VirtAddr at, Site site) FS_REQUIRES(mmap_lock);
  void remove_vma(Vma& vma, Removed* removed, Site site) FS_REQUIRES(mmap_lock);
  bool merge_with_next(Vma& vma, Removed* removed, Site site) FS_REQUIRES(mmap_lock);
  void merge_around(VirtAddr begin, VirtAddr end, Removed* removed, Site site) FS_REQUIRES(mmap_lock);
  void unmap_locked(VirtAddr begin, VirtAddr end, Removed* removed, Site site) FS_REQUIRES(mmap_lock);

  // mmap.cc
  bool range_is_free(VirtAddr begin, uint64_t length) const;
  Result<VirtAddr> find_free(uint64_t length) const;
  Result<VirtAddr> find_free_for_file(uint64_t length, const VmFile* file, PgOff pgoff) const;
  Result<VirtAddr> choose_address(const MmapArgs& args, uint64_t length) const;
  Result<VirtAddr> mmap_locked(const MmapArgs& args, uint64_t length, Removed* removed, Site site)
      FS_REQUIRES(mmap_lock);

  // mremap.cc
  struct MremapArgs;
  Result<VirtAddr> mremap_locked(const MremapArgs& args, Removed* removed, Site site) FS_REQUIRES(mmap_lock);
  Result<Vma*> vma_to_resize(VirtAddr addr, uint64_t old_length, uint64_t new_length) FS_REQUIRES(mmap_lock);
  VirtAddr move_vma(Vma& vma, VirtAddr addr, uint64_t old_length, VirtAddr new_addr, uint64_t new_length,
                    bool unmap_old, Removed* removed, Site site) FS_REQUIRES(mmap_lock);
  void move_ptes(Vma& vma, VirtAddr from, VirtAddr to, uint64_t length, Site site) FS_REQUIRES(mmap_lock);
  bool move_huge(VirtAddr from, VirtAddr to, VirtAddr end, Site site) FS_REQUIRES(mmap_lock);

  // mprotect.cc
  Status mprotect_locked(VirtAddr begin, VirtAddr end, unsigned prot, Removed* removed, Site site)
      FS_REQUIRES(mmap_lock);
  void change_protection(Vma& vma, Site site) FS_REQUIRES(mmap_lock);

  // fault.cc
  FaultResult huge_fault(Vma& vma, VirtAddr page, bool write, Site site);  // huge.cc
  FaultResult anonymous_fault(Vma& vma, VirtAddr page, bool write, Site site);
  FaultResult file_fault(Vma& vma, VirtAddr page, bool write, Site site);
  FaultResult write_protect_fault(Vma& vma, VirtAddr page, Pte pte, Site site);
  FaultResult copy_on_write(VirtAddr page, Pte pte, Site site);
  bool copy_mapped(VirtAddr page, Pte pte, std::span<std::byte> to, bool* poisoned, Site site);

  // access.cc
  Signal access_page(VirtAddr address, std::byte* out, const std::byte* in, size_t size, Site site);

  Memory& memory_;
  const uint64_t id_;
  rt::Shared<std::vector<Vma*>, "mm_mt"> vmas_;  // sorted by address; guarded by mmap_lock
  RawLock pool_lock_;
  std::vector<std::unique_ptr<Vma>> vma_pool_ FS_GUARDED_BY(pool_lock_);
  std::vector<Vma*> vma_free_ FS_GUARDED_BY(pool_lock_);
  VirtAddr user_buffer_ FS_GUARDED_BY(pool_lock_){0};
  uint64_t user_buffer_length_ FS_GUARDED_BY(pool_lock_) = 0;
  rt::Shared<Counters, "rss_stat"> counters_ FS_GUARDED_BY(page_table.ptl);
};

}  // namespace daxfs::mm
