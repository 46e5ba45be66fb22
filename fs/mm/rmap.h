// fs/mm/rmap.h - from a range of a file to every PTE, in every process, that maps it.
//
// Kernel: unmap_mapping_pages, zap_page_range, pfn_mkclean_range / dax_entry_mkclean.
// Locking: i_mmap_rwsem for read, inside it ptl. Callers hold invalidate_lock or the DAX entry lock
// as they need. Tested by: fs/mm/rmap_test.cc.
#pragma once

#include <cstdint>

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
uint64_t wrprotect_mapping_range(AddressSpace& mapping, PgOff first, uint64_t count,
                                 Site site = Site::current());

// Removes the PTEs of [begin, end) of one VMA and gives private copies back. The caller holds
// mmap_lock, or the file's i_mmap_rwsem for read. YIELDS.
void zap_range(Vma& vma, VirtAddr begin, VirtAddr end, bool even_cows, Site site = Site::current());

}  // namespace daxfs::mm
