// fs/check/audit.h - at rest, do page tables, trees, frames, counts, marks and extents tell the same story?
//
// Also here: a frame that memory_failure took away is mapped by nobody while its sectors are bad (fs/mm/rmap.h).
//
// For harnesses between operations and at the end of a run: nothing else runs, no I/O is in flight.
// Invariants (oracles; each violation is a WARN finding with this tag):
//   O1  no frame of a file is referenced above idle, and each names the file page whose entry holds it.
//   O3  nrpages and nrexceptional equal a recount of the tree.
//   O4  no entry is locked.
//   O5  entries have the order of their slot and an aligned index; the tree is well formed.
//   O6  an entry and every PTE name the block that the extent tree gives for the file page; zero mappings lie over
//       holes and unwritten extents only; nothing is mapped beyond the page that holds EOF.
//   O7  a page without DIRTY or TOWRITE mark has no writable PTE in any process.
//   CF3  a page of the page cache is unlocked and not being written, names its place, has the references that tree,
//        buffer and PTEs account for, and is dirty if and only if its mark says so.
//   CF4  a buffer that names a block names the one that the extent tree gives.
//   OR2  a file in use that has no name is on the orphan list, and the chain on the medium is that list.
// Not covered: unflushed cache lines (they need the device's recorder).
// Locking: takes what the walked structures want; YIELDS at every point it passes.  Tested by: fs/check/audit_test.cc,
//   fs/check/page_cache_test.cc.
#pragma once

#include <vector>

#include "fs/mm/mm.h"
#include "fs/vfs/filesystem.h"

namespace daxfs::check {

struct AuditScope {
  vfs::Filesystem& fs;
  std::vector<mm::Mm*> mms;  // every process of the filesystem
};

void audit(const AuditScope& scope);

}  // namespace daxfs::check
