// fs/dax/writeback.h - makes what was stored through mappings durable.
//
// A page stored to through a mapping carries the DIRTY mark. Writeback turns DIRTY into TOWRITE for
// the range, then for each such entry: locks it, makes every PTE of the page read-only, flushes the
// page's cache lines, clears DIRTY.
//
// Kernel: fs/dax.c (dax_writeback_mapping_range, dax_writeback_one).
// Invariants:
//   O7  an entry without the DIRTY mark has no writable PTE in any VMA.
// Tested by: fs/dax/writeback_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/mm/address_space.h"

namespace daxfs::dax {

// Pages [first, last], both included. PERSISTS what it flushed. Without `sync` (kernel:
// WB_SYNC_NONE) nothing happens: the medium is written by the stores themselves. Errors: kIo for an
// entry that cannot be dirty; recorded in wb_error. YIELDS.
Status writeback_mapping_range(mm::AddressSpace& mapping, PgOff first, PgOff last, bool sync);

}  // namespace daxfs::dax
