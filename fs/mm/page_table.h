// fs/mm/page_table.h - the page table of a process: PGD[64] x PMD[512] x PTE[512], 64 GiB of user
// addresses.
//
// A PMD maps 2 MiB itself (huge) or names a table of PTEs. On a machine whose huge pages are smaller
// (Memory::huge_order() n < 9) a level is unfolded: PGD[64] x directory[512] x PMD[2^(9-n)] x
// PTE[2^n].
//
// Walkers may load without a lock; every change is made under `ptl`. Table pages are added on
// demand and stay until the process ends; with huge mappings an empty one also goes when all it
// covers is unmapped, so that a later mapping there can be huge. Table pages come from a pool that is never
// returned: a lockless walker may meet one that was given back, and finds out when it looks
// again inside its TlbWindow. The processor's own updates (young, dirty) need no lock.
//
// Each huge mapping has a table of PTEs deposited beside its PMD, withdrawn when the mapping
// goes, as architectures do whose arch_needs_pgtable_deposit() says so.
//
// Kernel: pgd/pmd/pte levels, page table lock, free_pgtables, pgtable_trans_huge_deposit.
// Locking: ptl, the innermost lock of mm.
// Invariants:
//   MM5  a table page given back to the pool holds no entry and no deposit.
//   MM10 a table has as many deposits as huge mappings.
//   MM11 a huge mapping is made and changed at its first address.
//   MM12 a PTE that is set is present: flags without a frame come of changing what another task has cleared.
// Not covered: freeing of tables at munmap without huge mappings.
// Tested by: fs/mm/page_table_test.cc, fs/mm/huge_test.cc.
#pragma once

#include <array>
#include <cstdint>

#include "fs/base/compiler.h"
#include "fs/base/function_ref.h"
#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/base/types.h"
#include "fs/mm/pte.h"
#include "fs/rt/shared.h"
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
  rt::Shared<uint32_t, "table entries"> used;       // non-zero entries; under ptl
  rt::Shared<uint32_t, "table deposits"> deposits;  // length of the list below; under ptl
  TablePage* deposited;                             // of a table of PMDs: waiting PTE tables. Of one of these: the next
};

class PageTable {
 public:
  PageTable(Memory& memory, uint64_t mm_id);
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;
  ~PageTable();

  // The entry for the page of `address`; none if there is no table. Of a huge mapping: what it says of
  // this page, with Pte::huge(). Lockless. One scheduling point (kPteRead).
  Pte load(VirtAddr address, Site site = Site::current()) const;
  // The same without a point: inside a TlbWindow, and for auditors.
  Pte load_unscheduled(VirtAddr address) const;

  // Makes the tables above the page. False if a huge mapping is in the way. Kernel: pte_alloc. YIELDS.
  bool ensure(VirtAddr address, Site site = Site::current()) FS_EXCLUDES(ptl);

  // Changes: one scheduling point (kPteWrite) each, then the effect. set REQUIRES ensure()d tables.
  void set(VirtAddr address, Pte pte, Site site = Site::current()) FS_REQUIRES(ptl);
  Pte get_and_clear(VirtAddr address, Site site = Site::current()) FS_REQUIRES(ptl);
  // Makes the entry read-only (and clean, if asked); returns what it was.
  Pte write_protect(VirtAddr address, bool clean, Site site = Site::current()) FS_REQUIRES(ptl);

  // --- The level above. Points as for PTEs.
  Pmd load_pmd(VirtAddr address, Site site = Site::current()) const;
  Pmd load_pmd_unscheduled(VirtAddr address) const;
  // Makes the tables above the PMD. YIELDS.
  void ensure_pmd(VirtAddr address, Site site = Site::current()) FS_EXCLUDES(ptl);
  // REQUIRES: ensure_pmd()ed and none. Takes over `deposit`, an empty table.
  void set_huge(VirtAddr address, Pte first, TablePage* deposit, Site site = Site::current()) FS_REQUIRES(ptl);
  // Other permissions for the huge mapping that is there.
  void change_huge(VirtAddr address, Pte first, Site site = Site::current()) FS_REQUIRES(ptl);
  // Removes it with its deposit; returns what it was. REQUIRES: huge.
  Pte clear_huge(VirtAddr address, Site site = Site::current()) FS_REQUIRES(ptl);
  // Moves it with its deposit. REQUIRES: `to` is ensure_pmd()ed and none.
  void move_huge(VirtAddr from, VirtAddr to, Site site = Site::current()) FS_REQUIRES(ptl);
  // Takes empty tables of PTEs out whose whole range lies in [begin, end), and chains them by
  // `deposited`. The caller gives them back when nobody can be inside any more. REQUIRES: no VMA
  // there.
  TablePage* unlink_empty(VirtAddr begin, VirtAddr end, Site site = Site::current()) FS_EXCLUDES(ptl);
  void give_back_chain(TablePage* first);

  // The processor sets young (and dirty, for a store) as part of an access. False if the entry is
  // no longer `expected`, apart from these two bits. Not a point: part of the access.
  bool mark_accessed(VirtAddr address, Pte expected, bool write);

  // Visits the entries of [begin, end) that are not none, in address order, with loads that are no
  // points, until a visitor says false; returns the address to go on from, or end. The visitor may
  // change the entry (under ptl). Skips absent tables in one step. A huge mapping is visited page by
  // page.
  VirtAddr for_each(VirtAddr begin, VirtAddr end, FunctionRef<bool(VirtAddr, Pte)> visit) const;
  // The first address of [begin, end) that has a table or a huge mapping, or end. Lockless.
  VirtAddr next_table(VirtAddr begin, VirtAddr end) const;
  // Where the range of this address' PMD begins, and where it or [.., end) ends.
  VirtAddr pmd_begin(VirtAddr address) const;
  VirtAddr pmd_end(VirtAddr address, VirtAddr end) const;

  uint32_t table_pages() const { return table_pages_; }
  // MM10, at rest: the first address under a table that breaks it, or nothing.
  bool deposits_match(VirtAddr* where) const;
  // Gives every table back (MM5). No walkers may be left.
  void free_tables();
  // Empties everything, whatever an abandoned run left. No points, no checks.
  void reset();

  rt::SpinLock ptl;

 private:
  TablePage* upper_table(VirtAddr address) const;
  TablePage* pmd_table(VirtAddr address) const;
  uint64_t* pmd_slot(VirtAddr address) const;
  TablePage* pte_table(VirtAddr address) const;
  uint64_t* translation(VirtAddr address) const;
  Pte view(Pmd huge, VirtAddr address) const;
  uint64_t pmd_index(VirtAddr address) const;
  uint64_t pte_index(VirtAddr address) const;
  bool unfolded() const;
  TablePage* add_table(TablePage* parent, uint64_t* word) FS_REQUIRES(ptl);
  void ensure_pmd_locked(VirtAddr address) FS_REQUIRES(ptl);
  void give_back(bool check_empty);
  void give_back_table(TablePage* table, unsigned level, bool check_empty);
  void exchange(VirtAddr address, uint64_t word) FS_REQUIRES(ptl);
  void require_first(VirtAddr address) const;  // MM11
  rt::ObjectId object(VirtAddr address) const;

  Memory& memory_;
  const uint64_t mm_id_;
  std::array<TablePage*, kPgdEntries> pgd_{};
  uint32_t table_pages_ = 0;
  uint64_t memory_generation_ = 0;  // tables of an earlier one were taken back by Memory::reset
};

}  // namespace daxfs::mm
