// fs/mm/rmap.h - from a range of a file to every PTE, in every process, that maps it.
//
// Kernel: unmap_mapping_pages, zap_page_range, pfn_mkclean_range / dax_entry_mkclean, collect_procs.
// Locking: i_mmap_rwsem for read, inside it ptl. Callers hold invalidate_lock or the DAX entry lock
// as they need.
// Invariants:
//   MF1  a process that hears of a bad frame is told an address at which it maps that frame.
//   MF3  and the size by which it maps it there.
//   MF2  a bad frame is mapped by nobody once memory_failure has unmapped it.
// Tested by: fs/mm/rmap_test.cc, fs/dax/memory_failure_test.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "fs/base/site.h"
#include "fs/base/types.h"

namespace daxfs::mm {

class AddressSpace;
class Mm;
struct Vma;

// Removes every PTE that maps pages [first, first + count) of the file (count 0: to the end). With
// `even_cows` private copies go too (truncate); without, they stay (punch). When it returns no such
// PTE exists but those faulted since, and no access or fast pin that began on an old one is still
// under way. YIELDS.
void unmap_mapping_range(AddressSpace& mapping, PgOff first, uint64_t count, bool even_cows,
                         Site site = Site::current());

// Makes every PTE of the range in shared mappings read-only and clean, so that the next store
// faults. Returns how many were writable or dirty. YIELDS.
uint64_t wrprotect_mapping_range(AddressSpace& mapping, PgOff first, uint64_t count, Site site = Site::current());

// A place where a process maps a frame. Kernel: struct to_kill.
struct FrameUser {
  uint64_t process = 0;    // Mm::id()
  VirtAddr address{0};     // of the page
  unsigned order = 0;      // of the mapping that it is a part of: 0, or Memory::huge_order()
  const Mm* mm = nullptr;  // to compare with; the process may be gone
  bool operator==(const FrameUser&) const = default;
};

// Appends every place where page `index` of the file is mapped, which is in `pfn`; private copies are other frames and
// no such places. The caller holds the entry lock, so that none is added. Checks MF1.
// YIELDS. Kernel: collect_procs, dev_pagemap_mapping_shift.
void collect_frame_users(AddressSpace& mapping, PgOff index, Pfn pfn, std::vector<FrameUser>* users,
                         Site site = Site::current());
// MF2. REQUIRES: the entry lock since the unmapping. YIELDS.
void check_frame_unmapped(AddressSpace& mapping, PgOff index, Pfn pfn, Site site = Site::current());

// Removes the PTEs of [begin, end) of one VMA and gives private copies back. The caller holds
// mmap_lock, or the file's i_mmap_rwsem for read. YIELDS.
void zap_range(Vma& vma, VirtAddr begin, VirtAddr end, bool even_cows, Site site = Site::current());

}  // namespace daxfs::mm
