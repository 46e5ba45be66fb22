// fs/dax/invalidate.h - takes entries out of the tree: truncate, write over cached holes,
// drop_caches, eviction.
//
// Kernel: fs/dax.c (__dax_invalidate_entry, dax_delete_mapping_entry), mm/truncate.c (truncate_inode_pages_range,
//   truncate_pagecache_range). drop_hole_entries stands for invalidate_inode_pages2_range
//   (docs/decisions/0017-writes-drop-only-holes.md).
// Invariants:
//   O1  a page whose entry goes away has nobody's pin on it.
//   O2  an evicted inode's tree is empty and both its counts are zero.
// Tested by: fs/dax/invalidate_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/types.h"
#include "fs/mm/address_space.h"

namespace daxfs::dax {

// Deletes the entry at `index` whatever its state; waits for its lock. RETURNS: whether there was
// one. YIELDS.
bool delete_mapping_entry(mm::AddressSpace& mapping, PgOff index);

// Deletes all entries of pages [first, last], both included. The caller has unmapped them. A huge
// entry that reaches out of the range goes as a whole: its other pages are unmapped and, if dirty,
// flushed. YIELDS.
void truncate_mapping_range(mm::AddressSpace& mapping, PgOff first, PgOff last);

// Unmaps whole pages in [start, end) (bytes), private copies included, and deletes their entries.
// YIELDS.
void truncate_pagecache_range(mm::AddressSpace& mapping, uint64_t start, uint64_t end);
// As above to the end of the file, starting at the page after the one that holds byte new_size - 1.
// YIELDS.
void truncate_pagecache(mm::AddressSpace& mapping, uint64_t new_size);

// Deletes entries of pages [first, last], both included, that have no block (zero pages). Each is
// locked while its pages are unmapped: a fault that finds no entry may rely on no zero page being
// mapped. Private copies stay. YIELDS.
void drop_hole_entries(mm::AddressSpace& mapping, PgOff first, PgOff last);

// Deletes entries that are neither locked nor dirty, whoever maps them. Only Bug::kReclaimDropsDax calls it: that an
// entry is clean does not say that nobody maps its page, so in truth DAX entries stay as long as their inode.
void drop_clean_entries(mm::AddressSpace& mapping);

// Last act on a tree: deletes everything and asserts O2. The caller knows that nobody can reach the
// inode. YIELDS.
void truncate_inode_pages_final(mm::AddressSpace& mapping);

}  // namespace daxfs::dax
