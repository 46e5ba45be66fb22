// fs/cache/page_cache.h - the pages of a file without DAX: finding, adding, taking away.
//
// The file's tree (AddressSpace::i_pages) holds frame numbers as values. A file has either pages or DAX entries there,
// never both.
//
// Kernel: mm/filemap.c (filemap_get_folio, filemap_add_folio, filemap_remove_folio).
// Locking: the tree's lock inside; folio locks as named. All yield.
// Invariants:
//   CF2  a page that leaves its file is locked, mapped by nobody and not being written.
// Tested by: fs/check/page_cache_test.cc.
#pragma once

#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/cache/cache_ops.h"
#include "fs/lib/xarray.h"
#include "fs/mm/address_space.h"
#include "fs/mm/folio.h"

namespace daxfs::cache {

inline lib::XEntry entry_of(const mm::Page& page) { return lib::XEntry::from_value(mm::page_pfn(page).value()); }
inline mm::Page& page_of(mm::AddressSpace& mapping, lib::XEntry entry) {
  return mapping.memory().page(Pfn(entry.value()));
}

// The page with a reference, or null.
mm::Page* find_get_page(mm::AddressSpace& mapping, PgOff index, Site site = Site::current());
// The first page of [*index, last] (that carries the mark), with a reference; *index is where it is. Null: none.
mm::Page* find_next_page(mm::AddressSpace& mapping, PgOff* index, PgOff last, Site site = Site::current());
mm::Page* find_next_marked(mm::AddressSpace& mapping, PgOff* index, PgOff last, lib::XaMark mark,
                           Site site = Site::current());
// The page with a reference and locked, or null; when it returns it is this file's.
mm::Page* find_lock_page(mm::AddressSpace& mapping, PgOff index, Site site = Site::current());
// The same; a page that is not there is added, not up to date. Reclaims if memory is short. Errors: kNoMem.
Result<mm::Page*> grab_page(mm::AddressSpace& mapping, PgOff index, Site site = Site::current());

// A fresh page, locked and with a reference, unless somebody else was first: null. Errors: kNoMem.
Result<mm::Page*> add_page(mm::AddressSpace& mapping, PgOff index, Site site = Site::current());
enum class Remove : uint8_t {
  kAlways,  // what was dirty is lost
  kClean,   // not if it is dirty
  // Not if it is dirty or delayed, or somebody but the tree, the buffer and the caller has a reference. The caller need
  // not have the file: the mapping may be gone afterwards.
  kUnused,
};
// Out of the file (CF2), and then the buffer and the tree's reference go: in this order, since a device may make the
// page dirty at any time (O20). RETURNS: whether it went. REQUIRES: locked.
bool remove_page(mm::AddressSpace& mapping, mm::Page& page, Remove when, Site site = Site::current());

// The buffer comes and goes with one reference. REQUIRES: locked.
void attach_buffer(mm::Page& page, mm::BufferState state, FsBlock block, Site site = Site::current());
void drop_buffer(mm::Page& page, Site site = Site::current());

}  // namespace daxfs::cache
