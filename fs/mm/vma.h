// fs/mm/vma.h - one mapping of a process, the file behind it, and the fault it hands to that file.
//
// Kernel: struct vm_area_struct, vm_operations_struct, struct vm_fault, vm_fault_t.
// Locking: a VMA is changed with mmap_lock held for write and, while it is on a file's list,
// i_mmap_rwsem of that file
//   for write; either of the two held for read is enough to read it.
// Tested by: fs/mm/mmap_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/mm/page_table.h"
#include "fs/rt/shared.h"

namespace daxfs::mm {

class AddressSpace;
class Memory;
class Mm;
struct VmFault;

enum ProtBits : unsigned { kProtNone = 0, kProtRead = 1, kProtWrite = 2, kProtExec = 4 };

enum class FaultResult : uint8_t {
  kDone,     // a PTE is installed, or there was nothing to do: walk again
  kRetry,    // conditions changed: walk again. No lock was dropped.
  kSigbus,   // beyond EOF, media error, no space
  kSigsegv,  // no mapping, or not with this permission
  kOom,
  kHwpoison,
  kFallback,  // for a huge fault: do it with single pages
};

// What a file VMA maps: a counted open file.
class VmFile {
 public:
  virtual ~VmFile() = default;
  virtual AddressSpace& mapping() = 0;

  // No PTE at vmf.address, or (vmf.cow) the source of a private copy is wanted: copy the file page
  // into vmf.cow_page and call finish_cow_fault() while whatever keeps the source valid is still
  // held. mmap_lock is held for read. YIELDS.
  virtual FaultResult fault(VmFault& vmf) = 0;
  // A store met the read-only PTE vmf.orig_pte of a shared writable mapping. Ends with
  // insert_pfn(.., write) or insert_page(.., write). mmap_lock is held for read. YIELDS.
  virtual FaultResult pfn_mkwrite(VmFault& vmf) = 0;
  // The huge range around vmf.address lies in the VMA (huge_range_fits), and no page of it is mapped by itself:
  // nothing is mapped, or a huge mapping that is read-only while vmf.write. Ends with an insert of huge.h;
  // kFallback if only single pages will do. mmap_lock is held for read. YIELDS.
  virtual FaultResult huge_fault(VmFault& /*vmf*/) { return FaultResult::kFallback; }

  // The reference that a VMA holds. put() is called without any mm lock: it may evict the inode.
  // YIELDS.
  virtual void get() = 0;
  virtual void put() = 0;

  // Whether the file can be mapped so: kAccess for the open mode, kNoDev, kOpNotSupp for MAP_SYNC.
  virtual Status mmap_check(unsigned prot, bool shared, bool sync) = 0;
  // False for a file open for reading only: a shared mapping of it can never become writable.
  virtual bool may_write() const { return true; }
};

struct Vma {
  Mm* mm = nullptr;
  rt::Shared<VirtAddr, "vm_start"> begin;  // page aligned, as is end
  rt::Shared<VirtAddr, "vm_end"> end;
  rt::Shared<unsigned, "vm_page_prot"> prot = kProtNone;
  bool shared = false;
  bool sync = false;                              // MAP_SYNC
  bool may_write = true;                          // mprotect may add kProtWrite
  rt::Shared<VmFile*, "vm_file"> file = nullptr;  // null: anonymous
  // File page at begin; for anonymous memory the page number of begin when it was mapped.
  rt::Shared<PgOff, "vm_pgoff"> pgoff;
  rt::Shared<Vma*, "shared.rb"> next_in_file = nullptr;  // on AddressSpace's list
  rt::Shared<Vma*, "shared.rb"> prev_in_file = nullptr;

  // All but mm, place and links, which other processes change under i_mmap_rwsem (kernel: vm_area_dup).
  void copy_kind(const Vma& other) {
    prot = other.prot;
    shared = other.shared;
    sync = other.sync;
    may_write = other.may_write;
    file = other.file;
  }

  uint64_t pages() const { return (end - begin) / kPageSize; }
  PgOff pgoff_end() const { return pgoff + pages(); }
  bool contains(VirtAddr address) const { return begin <= address && address < end; }
  PgOff pgoff_of(VirtAddr address) const { return pgoff + (address - begin) / kPageSize; }
  // REQUIRES: pgoff <= index <= pgoff_end().
  VirtAddr va_of(PgOff index) const { return begin + (index - pgoff) * kPageSize; }
  bool writable() const { return (prot & kProtWrite) != 0; }
  bool accessible() const { return prot != kProtNone; }
  bool is_cow() const { return !shared; }
};

// One fault on its way through the file. Lives on the faulting task's stack.
struct VmFault {
  Mm& mm;
  Vma& vma;
  VirtAddr address;  // page aligned
  PgOff pgoff;       // of that page in the file
  bool write = false;
  bool cow = false;       // a store to a private mapping: the file is only read, into cow_page
  Pfn cow_page{0};        // DRAM frame; valid if cow
  bool cow_done = false;  // finish_cow_fault() installed it (or dropped it: another fault was first)
  Pte orig_pte{};         // for pfn_mkwrite: what the store met

  Memory& memory() const;
  // The first address and file page of the huge range. REQUIRES: huge_range_fits().
  VirtAddr huge_address() const;
  PgOff huge_pgoff() const;
};

}  // namespace daxfs::mm
