// fs/dax/entry_owner.cc - page->mapping and page->index of DAX frames.
#include "fs/dax/entry_owner.h"

#include "fs/base/report.h"
#include "fs/mm/memory.h"
#include "fs/mm/page.h"
#include "fs/rt/trace.h"

namespace daxfs::dax {

namespace {

template <typename F>
void for_each_frame(mm::AddressSpace& mapping, Entry entry, F visit) {
  if (!entry.is_frame()) { return; }
  mm::Memory& memory = mapping.memory();
  for (uint64_t i = 0; i < entry.pages(); ++i) { visit(memory.page(entry.pfn() + i), i); }
}

}  // namespace

void associate_entry(mm::AddressSpace& mapping, Entry entry, PgOff index) {
  for_each_frame(mapping, entry, [&](mm::Page& page, uint64_t i) {
    const PgOff own = index + i;
    mm::AddressSpace* const owner = mm::page_mapping(page);
    const PgOff owned = mm::page_index(page);
    const bool watched = mapping.memory().device().watches_owners();
    FS_WARN_ON(
        watched && owner != nullptr && (owner != &mapping || owned != own), "O15",
        about(frame_ref(entry.pfn() + i), entry_ref(mapping.host().ino(), own), entry_ref(owner->host().ino(), owned)),
        "frame %llu becomes page %llu of inode %u while it is page %llu of inode %u",
        static_cast<unsigned long long>(entry.pfn().value() + i), static_cast<unsigned long long>(own.value()),
        mapping.host().ino().value(), static_cast<unsigned long long>(owned.value()), owner->host().ino().value());
    mm::set_page_mapping(page, &mapping, own);
  });
}

void disassociate_entry(mm::AddressSpace& mapping, Entry entry, bool truncating) {
  for_each_frame(mapping, entry, [&](mm::Page& page, uint64_t i) {
    const PgOff owned = mm::page_index(page);
    FS_TRACE_SCOPE("dax_disassociate_entry", entry_ref(mapping.host().ino(), owned));
    const bool watched = mapping.memory().device().watches_owners();
    const int references = truncating ? mm::read_page_ref(page) : 1;
    FS_WARN_ON(watched && references > 1, "O1",
               about(frame_ref(entry.pfn() + i), entry_ref(mapping.host().ino(), owned))
                   .came(mapping.memory().history().of_pin(entry.pfn() + i)),
               "reference count of frame %llu, page %llu of inode %u, is %d; expected 1: its block "
               "is freed under a pin",
               static_cast<unsigned long long>(entry.pfn().value() + i), static_cast<unsigned long long>(owned.value()),
               mapping.host().ino().value(), references);
    mm::AddressSpace* const owner = mm::page_mapping(page);
    FS_WARN_ON(watched && owner != nullptr && owner != &mapping, "O15",
               about(frame_ref(entry.pfn() + i), entry_ref(owner->host().ino(), owned)),
               "frame %llu leaves inode %u but belongs to inode %u",
               static_cast<unsigned long long>(entry.pfn().value() + i), mapping.host().ino().value(),
               owner->host().ino().value());
    mm::set_page_mapping(page, nullptr, PgOff(0));
  });
}

}  // namespace daxfs::dax
