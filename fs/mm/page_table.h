// fs/mm/page_table.h - the page table of a process: PGD[64] x PMD[512] x PTE[512], 64 GiB of user
// addresses.
//
// Walkers may load without a lock; every change is made under `ptl`. Table pages are added on
// demand and stay until the process ends, so a lockless walker never meets a freed one. The
// processor's own updates (young, dirty) need no lock.
//
// Kernel: pgd/pmd/pte levels, page table lock, free_pgtables (here: at exit_mmap only).
// Locking: ptl, the innermost lock of mm.
// Invariants:
//   MM5  a table page given back to the pool holds no entry.
// Not covered: huge PMD entries (Pmd::huge keeps their place); freeing of tables at munmap.
// Tested by: fs/mm/page_table_test.cc.
#pragma once

#include <array>
#include <cstdint>

#include "fs/base/compiler.h"
#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/mm/function_ref.h"
#include "fs/mm/pte.h"
#include "fs/rt/spinlock.h"

namespace daxfs::mm {

class Memory;

inline constexpr uint64_t kTableEntries = 512;
inline constexpr uint64_t kPgdEntries = 64;
inline constexpr uint64_t kPgdSize = kPmdSize * kTableEntries;  // bytes under one PGD entry: 1 GiB
inline constexpr VirtAddr kTaskSize{kPgdSize * kPgdEntries};    // one past the last user address

// Aligned so that a Pmd word has room for its flags below the address.
struct alignas(256) TablePage {
  uint64_t entries[kTableEntries];
  uint32_t used;  // non-zero entries; under ptl
};

class PageTable {
 public:
  PageTable(Memory& memory, uint64_t mm_id);
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;
  ~PageTable();

  // The entry for the page of `address`; none if there is no table. Lockless. One scheduling point
  // (kPteRead).
  Pte load(VirtAddr address, Site site = Site::current()) const;
  // The same without a point: inside a TlbWindow, and for auditors.
  Pte load_unscheduled(VirtAddr address) const;

  // Makes the tables above the page. YIELDS.
  void ensure(VirtAddr address, Site site = Site::current()) FS_EXCLUDES(ptl);

  // Changes: one scheduling point (kPteWrite) each, then the effect. set REQUIRES ensure()d tables.
  void set(VirtAddr address, Pte pte, Site site = Site::current()) FS_REQUIRES(ptl);
  Pte get_and_clear(VirtAddr address, Site site = Site::current()) FS_REQUIRES(ptl);
  // Makes the entry read-only (and clean, if asked); returns what it was.
  Pte write_protect(VirtAddr address, bool clean, Site site = Site::current()) FS_REQUIRES(ptl);

  // The processor sets young (and dirty, for a store) as part of an access. False if the entry is
  // no longer `expected`, apart from these two bits. Not a point: part of the access.
  bool mark_accessed(VirtAddr address, Pte expected, bool write);

  // Visits the entries of [begin, end) that are not none, in address order, with loads that are no
  // points, until a visitor says false; returns the address to go on from, or end. The visitor may
  // change the entry (under ptl). Skips absent tables in one step.
  VirtAddr for_each(VirtAddr begin, VirtAddr end, FunctionRef<bool(VirtAddr, Pte)> visit) const;
  // The first address of [begin, end) that has a table, or end. Lockless.
  VirtAddr next_table(VirtAddr begin, VirtAddr end) const;

  uint32_t table_pages() const { return table_pages_; }
  // Gives every table back (MM5). No walkers may be left.
  void free_tables();
  // Empties everything, whatever an abandoned run left. No points, no checks.
  void reset();

  rt::SpinLock ptl;

 private:
  TablePage* pmd_table(VirtAddr address) const;
  TablePage* pte_table(VirtAddr address) const;
  uint64_t* slot(VirtAddr address) const;
  void give_back(bool check_empty);
  void exchange(VirtAddr address, uint64_t word) FS_REQUIRES(ptl);
  rt::ObjectId object(VirtAddr address) const;

  Memory& memory_;
  const uint64_t mm_id_;
  std::array<TablePage*, kPgdEntries> pgd_{};
  uint32_t table_pages_ = 0;
  uint64_t memory_generation_ = 0;  // tables of an earlier one were taken back by Memory::reset
};

}  // namespace daxfs::mm
