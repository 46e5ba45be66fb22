// fs/dax/entry_owner.h - ties the frames of an entry to the file page they hold, and counts
// entries.
//
// Kernel: fs/dax.c (dax_associate_entry, dax_disassociate_entry).
// Locking: tree lock of the mapping held.
// Invariants:
//   O1   a page whose entry is truncated away has nobody's pin on it: its reference count is idle.
//   O15  a frame belongs to at most one page of one file.
// Tested by: fs/dax/fault_test.cc, fs/dax/invalidate_test.cc.
#pragma once

#include "fs/base/types.h"
#include "fs/dax/entry.h"
#include "fs/mm/address_space.h"

namespace daxfs::dax {

// Records (mapping, index) in every frame of a frame entry; other entries have no frames. `index`
// is the entry's first.
void associate_entry(mm::AddressSpace& mapping, Entry entry, PgOff index) FS_REQUIRES(mapping.i_pages.lock());

// Takes the record away. `truncating`: the blocks are about to leave the file, so O1 must hold.
void disassociate_entry(mm::AddressSpace& mapping, Entry entry, bool truncating) FS_REQUIRES(mapping.i_pages.lock());

}  // namespace daxfs::dax
