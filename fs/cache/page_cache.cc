// fs/cache/page_cache.cc - the tree of a file's pages.
#include "fs/cache/page_cache.h"

#include <cinttypes>

#include "fs/base/report.h"
#include "fs/cache/reclaim.h"
#include "fs/rt/trace.h"

namespace daxfs::cache {
namespace {

using mm::Folio;
using mm::Page;

constexpr unsigned kReclaimBatch = 16;  // pages; when an allocation finds none

void trace_page(mm::AddressSpace& mapping, PgOff index, uint64_t before, uint64_t now) {
  FS_TRACE_WRITE(entry_ref(mapping.host().ino(), index), before, now);
}

// As dax::Entry: a word that is not 0.
uint64_t trace_value(const Page& page) { return mm::page_pfn(page).value() << 5 | 1; }

Result<Pfn> alloc_frame(mm::Memory& memory, Site site) {
  auto frame = memory.alloc_dram(/*zeroed=*/false);
  if (frame.ok()) { return frame; }
  shrink_pages(memory, kReclaimBatch, site);  // direct reclaim
  return memory.alloc_dram(/*zeroed=*/false);
}

// REQUIRES: tree lock, locked folio.
void detach(mm::AddressSpace& mapping, Page& page, Site site) FS_REQUIRES(mapping.i_pages.lock()) {
  const uint32_t state = mm::folio_state(page);
  const bool mapped = mm::folio_of(page).mapcount != 0;
  FS_WARN_ON((state & Folio::kLocked) == 0 || (state & Folio::kWriteback) != 0 || mapped, "CF2",
             about(entry_ref(mapping.host().ino(), page.index), frame_ref(mm::page_pfn(page))),
             "page %" PRIu64 " of inode %u leaves the file %s", page.index.value(), mapping.host().ino().value(),
             (state & Folio::kLocked) == 0 ? "unlocked"
             : mapped                      ? "while it is mapped"
                                           : "while it is written");
  const PgOff index = page.index;
  if ((state & Folio::kDirty) != 0) {
    mm::folio_clear(page, Folio::kDirty, site);
    FS_TRACE_WRITE(dirty_ref(mapping.host().ino(), index), 1, 0);
  }
  lib::XaCursor xas(mapping.i_pages, index.value());
  xas.load(site);
  xas.init_marks(site);
  xas.store(lib::XEntry::null(), site);
  trace_page(mapping, index, trace_value(page), 0);
  mm::set_page_mapping(page, nullptr, index);
  --mapping.nrpages;
}

// Whoever finds the page takes its reference under the tree lock, and no PTE leads to it.
bool may_remove(const Page& page, Remove when, Site site) {
  if (when == Remove::kAlways) { return true; }
  if (mm::folio_test(page, Folio::kDirty, site)) { return false; }
  if (when == Remove::kUnused && mm::folio_of(page).buffer == mm::BufferState::kDelayed) { return false; }
  const uint32_t state = mm::folio_state(page);
  return when == Remove::kClean || mm::read_page_ref(page, site) == ((state & Folio::kPrivate) != 0 ? 3 : 2);
}

}  // namespace

Page* find_get_page(mm::AddressSpace& mapping, PgOff index, Site site) {
  rt::SpinGuard tree(mapping.i_pages.lock(), site);
  lib::XaCursor xas(mapping.i_pages, index.value());
  const lib::XEntry entry = xas.load(site);
  if (entry.is_null()) { return nullptr; }
  Page& page = page_of(mapping, entry);
  mm::get_page(page, site);
  return &page;
}

Page* find_next_page(mm::AddressSpace& mapping, PgOff* index, PgOff last, Site site) {
  rt::SpinGuard tree(mapping.i_pages.lock(), site);
  lib::XaCursor xas(mapping.i_pages, index->value());
  const lib::XEntry entry = xas.find(last.value(), site);
  if (entry.is_null()) { return nullptr; }
  Page& page = page_of(mapping, entry);
  *index = page.index;
  mm::get_page(page, site);
  return &page;
}

Page* find_next_marked(mm::AddressSpace& mapping, PgOff* index, PgOff last, lib::XaMark mark, Site site) {
  rt::SpinGuard tree(mapping.i_pages.lock(), site);
  lib::XaCursor xas(mapping.i_pages, index->value());
  const lib::XEntry entry = xas.find_marked(last.value(), mark, site);
  if (entry.is_null()) { return nullptr; }
  Page& page = page_of(mapping, entry);
  *index = page.index;
  mm::get_page(page, site);
  return &page;
}

Page* find_lock_page(mm::AddressSpace& mapping, PgOff index, Site site) {
  for (;;) {
    Page* const page = find_get_page(mapping, index, site);
    if (page == nullptr) { return nullptr; }
    mm::lock_folio(*page, site);
    if (mm::page_mapping(*page) == &mapping) { return page; }
    mm::unlock_folio(*page, site);  // truncated while we waited
    mm::put_page(*page, site);
  }
}

Result<Page*> add_page(mm::AddressSpace& mapping, PgOff index, Site site) {
  mm::Memory& memory = mapping.memory();
  FS_ASSIGN_OR_RETURN(const Pfn pfn, alloc_frame(memory, site));
  Page& page = memory.page(pfn);
  page.set_cached(true);
  mm::folio_of(page) = Folio{.block = {}, .came = memory.history().tick()};
  mm::lock_folio(page, site);  // of nobody else yet
  bool added = false;
  {
    rt::SpinGuard tree(mapping.i_pages.lock(), site);
    lib::XaCursor xas(mapping.i_pages, index.value());
    if (xas.load(site).is_null()) {
      mm::get_page(page, site);
      mm::set_page_mapping(page, &mapping, index);
      xas.store(entry_of(page), site);
      trace_page(mapping, index, 0, trace_value(page));
      ++mapping.nrpages;
      added = true;
    }
  }
  if (!added) {
    mm::unlock_folio(page, site);
    memory.free_dram(pfn);
    return static_cast<Page*>(nullptr);
  }
  rt::SpinGuard guard(memory.lru().lock, site);
  memory.lru().frames.write().push_back(pfn);
  return &page;
}

Result<Page*> grab_page(mm::AddressSpace& mapping, PgOff index, Site site) {
  for (;;) {
    if (Page* const page = find_lock_page(mapping, index, site)) { return page; }
    FS_ASSIGN_OR_RETURN(Page* const page, add_page(mapping, index, site));
    if (page != nullptr) { return page; }
  }
}

bool remove_page(mm::AddressSpace& mapping, Page& page, Remove when, Site site) {
  {
    rt::SpinGuard tree(mapping.i_pages.lock(), site);
    if (!may_remove(page, when, site)) { return false; }
    detach(mapping, page, site);
  }
  // Nothing keeps the file of an unused page once the page is out of it.
  if (when != Remove::kUnused) { mapping.cache_ops->invalidate_page(mapping, page); }
  drop_buffer(page, site);
  mm::put_page(page, site);
  return true;
}

void attach_buffer(Page& page, mm::BufferState state, FsBlock block, Site site) {
  Folio& folio = mm::folio_of(page);
  if ((mm::folio_state(page) & Folio::kPrivate) == 0) {
    mm::get_page(page, site);
    mm::folio_set(page, Folio::kPrivate, site);
  }
  FS_TRACE_WRITE(buffer_ref(mm::page_pfn(page)), mm::traced_buffer(page), static_cast<uint64_t>(state));
  folio.buffer = state;
  folio.block = block;
}

void drop_buffer(Page& page, Site site) {
  if (!mm::folio_test_and_clear(page, Folio::kPrivate, site)) { return; }
  FS_TRACE_WRITE(buffer_ref(mm::page_pfn(page)), mm::traced_buffer(page), 0);
  mm::folio_of(page).buffer = mm::BufferState::kNone;
  mm::put_page(page, site);
}

}  // namespace daxfs::cache
