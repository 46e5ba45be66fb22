#include "fs/check/audit.h"

#include <algorithm>
#include <string>

#include "fs/base/report.h"
#include "fs/cache/page_cache.h"
#include "fs/dax/entry.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/flusher.h"
#include "fs/ext4/inode_cache.h"
#include "fs/ext4/inode_io.h"
#include "fs/ext4/orphan.h"
#include "fs/mm/memory.h"
#include "fs/mm/page.h"
#include "fs/mm/vma.h"
#include "fs/vfs/file.h"

namespace daxfs::check {
namespace {

using dax::Entry;
using ull = unsigned long long;

// What the extent tree says of one file page. Remembers the last extent: walks go upwards.
class BlockMap {
 public:
  explicit BlockMap(ext4::Inode& inode) : inode_(inode) {}

  // The block that holds written data of the page, or nullopt over a hole or an unwritten extent.
  std::optional<FsBlock> written_block(PgOff index) {
    if (index.value() > UINT32_MAX) { return std::nullopt; }
    const LogicalBlock block(static_cast<uint32_t>(index.value()));
    if (!known_ || !run_ || !run_->contains(block)) {
      auto next = ext4::next_extent(inode_, block);
      run_ = next.ok() ? *next : std::nullopt;
      known_ = true;
    }
    if (!run_ || !run_->contains(block) || run_->unwritten) { return std::nullopt; }
    return run_->block_of(block);
  }

 private:
  ext4::Inode& inode_;
  bool known_ = false;
  std::optional<ext4::ExtentRun> run_;
};

bool beyond_eof(ext4::Inode& inode, PgOff index) { return index.value() >= div_round_up(inode.i_size(), kPageSize); }

void check_entry_shape(ext4::Inode& inode, PgOff index, Entry entry, unsigned order) {
  FS_WARN_ON(entry.is_locked(), "O4", about(entry_ref(inode.ino(), index)),
             "inode %u page %llu: entry is locked at rest", inode.ino().value(), (ull)index.value());
  FS_WARN_ON(entry.order() != order, "O5", about(entry_ref(inode.ino(), index)),
             "inode %u page %llu: entry says order %u, its slot has %u", inode.ino().value(), (ull)index.value(),
             entry.order(), order);
  FS_WARN_ON(entry.base(index) != index, "O5", about(entry_ref(inode.ino(), index)),
             "inode %u page %llu: entry of order %u begins unaligned", inode.ino().value(), (ull)index.value(), order);
  FS_WARN_ON(entry.is_frame() && entry.pfn().value() % entry.pages() != 0, "O5", about(entry_ref(inode.ino(), index)),
             "inode %u page %llu: entry of order %u names unaligned frame %llu", inode.ino().value(),
             (ull)index.value(), entry.order(), (ull)entry.pfn().value());
}

// Against the block where it is. Of the latest zero page of the file; with several it may be another one.
const char* age_of_zero_page(ext4::Inode& inode, FsBlock block) {
  mm::AddressSpace& mapping = inode.mapping();
  return mapping.memory().history().of_hole(mapping.zero_page_made, Pfn(block.value()));
}

void check_entry_block(ext4::Inode& inode, BlockMap& blocks, PgOff index, Entry entry) {
  if (entry.is_empty()) { return; }
  FS_WARN_ON(beyond_eof(inode, index + (entry.pages() - 1)), "O6",
             about(entry_ref(inode.ino(), index), extent_ref(inode.ino(), index.value())),
             "inode %u page %llu: entry beyond EOF (size %llu)", inode.ino().value(), (ull)index.value(),
             (ull)inode.i_size());
  for (uint64_t i = 0; i < entry.pages(); ++i) {
    const auto block = blocks.written_block(index + i);
    if (entry.is_zero()) {
      const About pair = about(entry_ref(inode.ino(), index), extent_ref(inode.ino(), index.value()));
      FS_WARN_ON(block.has_value() && entry.is_pmd(), "O6", pair.came(age_of_zero_page(inode, *block)),
                 "inode %u page %llu: huge zero-page entry over block %llu", inode.ino().value(),
                 (ull)(index.value() + i), (ull)block->value());
      FS_WARN_ON(block.has_value() && !entry.is_pmd(), "O6", pair.came(age_of_zero_page(inode, *block)),
                 "inode %u page %llu: zero-page entry over block %llu", inode.ino().value(), (ull)(index.value() + i),
                 (ull)block->value());
    } else {
      const uint64_t pfn = entry.pfn().value() + i;
      FS_WARN_ON(!block || block->value() != pfn, "O6",
                 about(entry_ref(inode.ino(), index), extent_ref(inode.ino(), index.value())),
                 "inode %u page %llu: entry names frame %llu, extents %s", inode.ino().value(),
                 (ull)(index.value() + i), (ull)pfn, block ? "another block" : "a hole or unwritten extent");
    }
  }
}

void check_entry_frames(mm::Memory& memory, ext4::Inode& inode, PgOff index, Entry entry) {
  if (!entry.is_frame()) { return; }
  for (uint64_t i = 0; i < entry.pages(); ++i) {
    const mm::Page& page = memory.page(entry.pfn() + i);
    FS_WARN_ON(mm::page_ref_count(page) != 1, "O1", about(entry_ref(inode.ino(), index), frame_ref(entry.pfn() + i)),
               "inode %u page %llu: frame has %d references at rest", inode.ino().value(), (ull)(index.value() + i),
               mm::page_ref_count(page));
    FS_WARN_ON(page.mapping != &inode.mapping() || page.index != index + i, "O1",
               about(entry_ref(inode.ino(), index), frame_ref(entry.pfn() + i)),
               "inode %u page %llu: its frame names another file page", inode.ino().value(), (ull)(index.value() + i));
  }
}

// A page of the page cache at rest.
void check_cached_page(ext4::Inode& inode, PgOff index, mm::Page& page) {
  const About where = about(entry_ref(inode.ino(), index), frame_ref(mm::page_pfn(page)));
  const unsigned ino = inode.ino().value();
  const mm::Folio& folio = mm::folio_of(page);
  const uint32_t state = mm::folio_state(page);
  FS_WARN_ON((state & (mm::Folio::kLocked | mm::Folio::kWriteback)) != 0, "CF3", where,
             "inode %u page %llu: %s at rest", ino, (ull)index.value(),
             (state & mm::Folio::kLocked) != 0 ? "locked" : "being written");
  FS_WARN_ON(page.mapping != &inode.mapping() || page.index != index || !page.is_cached(), "CF3", where,
             "inode %u page %llu: its frame names another file page", ino, (ull)index.value());
  const int held = 1 + ((state & mm::Folio::kPrivate) != 0 ? 1 : 0) + folio.mapcount;
  FS_WARN_ON(mm::page_ref_count(page) != held || folio.pins != 0, "CF3", where,
             "inode %u page %llu: %d references and %d pins at rest, %d PTEs", ino, (ull)index.value(),
             mm::page_ref_count(page), folio.pins, folio.mapcount);
  lib::XArray& tree = inode.mapping().i_pages;
  const bool dirty = (state & mm::Folio::kDirty) != 0;
  FS_WARN_ON(dirty != tree.get_mark(index.value(), mm::kPageDirty) || tree.get_mark(index.value(), mm::kPageWriteback),
             "CF3", about(dirty_ref(inode.ino(), index), frame_ref(mm::page_pfn(page))),
             "inode %u page %llu: %s, and its marks say otherwise", ino, (ull)index.value(), dirty ? "dirty" : "clean");
  FS_WARN_ON(dirty && (state & mm::Folio::kPrivate) == 0, "O20", where, "inode %u page %llu: dirty without a buffer",
             ino, (ull)index.value());
}

// Where the buffer says that the bytes are, there they are.
void check_buffer(ext4::Inode& inode, BlockMap& blocks, PgOff index, const mm::Page& page) {
  const mm::Folio& folio = mm::folio_of(page);
  if (folio.buffer == mm::BufferState::kNone || beyond_eof(inode, index)) { return; }
  const auto block = blocks.written_block(index);
  const bool mapped = folio.buffer == mm::BufferState::kMapped;
  if (!mapped) { return; }  // a neighbour's conversion may have made its block written
  FS_WARN_ON(!block || *block != folio.block, "CF4",
             about(entry_ref(inode.ino(), index), extent_ref(inode.ino(), index.value())),
             "inode %u page %llu: its buffer names block %llu, extents give %s", inode.ino().value(),
             (ull)index.value(), (ull)folio.block.value(), block ? "another" : "a hole or unwritten extent");
}

void check_cached_tree(ext4::Inode& inode) {
  mm::AddressSpace& mapping = inode.mapping();
  const std::string malformed = mapping.i_pages.check();
  FS_WARN_ON(!malformed.empty(), "O5", about(inode_ref(inode.ino())), "inode %u: tree malformed: %s",
             inode.ino().value(), malformed.c_str());
  std::vector<std::pair<PgOff, mm::Page*>> pages;
  mapping.i_pages.for_each(0, UINT64_MAX, [&](uint64_t index, lib::XEntry stored) {
    pages.emplace_back(PgOff(index), &cache::page_of(mapping, stored));
  });
  BlockMap blocks(inode);
  for (const auto& [index, page] : pages) {
    check_cached_page(inode, index, *page);
    check_buffer(inode, blocks, index, *page);
  }
  const ext4::Flusher* const flusher = inode.flusher();
  FS_WARN_ON(flusher != nullptr && mapping.i_pages.marked(mm::kPageDirty) && !flusher->listed(inode), "FL2",
             about(inode_ref(inode.ino())), "inode %u has dirty pages and is not on the flusher's list",
             inode.ino().value());
  FS_WARN_ON(mapping.nrpages != pages.size() || mapping.nrexceptional != 0, "O3", about(inode_ref(inode.ino())),
             "inode %u: nrpages %llu and nrexceptional %llu, the tree holds %zu pages", inode.ino().value(),
             (ull)mapping.nrpages, (ull)mapping.nrexceptional, pages.size());
}

void check_tree(ext4::Inode& inode) {
  mm::AddressSpace& mapping = inode.mapping();
  const std::string malformed = mapping.i_pages.check();
  FS_WARN_ON(!malformed.empty(), "O5", about(inode_ref(inode.ino())), "inode %u: tree malformed: %s",
             inode.ino().value(), malformed.c_str());
  BlockMap blocks(inode);
  struct Item {
    PgOff index;
    Entry entry;
    unsigned order;
  };
  std::vector<Item> items;
  mapping.i_pages.for_each(0, UINT64_MAX, [&](uint64_t index, lib::XEntry stored) {
    items.push_back({PgOff(index), Entry::from_tree(stored), 0});
  });
  uint64_t pages = 0;
  for (Item& item : items) {
    item.order = mapping.i_pages.get_order(item.index.value());
    pages += uint64_t{1} << item.order;
    check_entry_shape(inode, item.index, item.entry, item.order);
    check_entry_block(inode, blocks, item.index, item.entry);
    check_entry_frames(mapping.memory(), inode, item.index, item.entry);
  }
  const char* const how = mapping.i_pages.overlaid() != 0 ? "a huge entry was laid over others" : "";
  FS_WARN_ON(mapping.nrexceptional != pages, "O3", about(entry_ref(inode.ino(), PgOff(0), 0)).came(how),
             "inode %u: nrexceptional %llu, the tree holds %llu", inode.ino().value(), (ull)mapping.nrexceptional,
             (ull)pages);
  FS_WARN_ON(mapping.nrpages != 0, "O3", about(inode_ref(inode.ino())), "inode %u: nrpages %llu, a DAX tree holds none",
             inode.ino().value(), (ull)mapping.nrpages);
}

struct MappedPage {
  ext4::Inode* inode;
  PgOff index;
  mm::Pte pte;
  uint64_t mm;
  VirtAddr address;

  // The mapping, the entry and the block of one page: what O6 and O7 compare.
  About about() const {
    return daxfs::about(pte_ref(mm, address), entry_ref(inode->ino(), index), extent_ref(inode->ino(), index.value()));
  }
};

void check_cached_pte(const MappedPage& page) {
  ext4::Inode& inode = *page.inode;
  mm::Page& frame = inode.mapping().memory().page(page.pte.pfn());
  FS_WARN_ON(beyond_eof(inode, page.index), "O6", page.about(), "inode %u page %llu: mapped beyond EOF (size %llu)",
             inode.ino().value(), (ull)page.index.value(), (ull)inode.i_size());
  FS_WARN_ON(frame.mapping != &inode.mapping() || frame.index != page.index, "O6", page.about(),
             "inode %u page %llu: mapped, but it is not the file's page any more", inode.ino().value(),
             (ull)page.index.value());
  FS_WARN_ON(page.pte.write() && (mm::folio_state(frame) & mm::Folio::kDirty) == 0, "O7",
             about(pte_ref(page.mm, page.address), dirty_ref(inode.ino(), page.index)),
             "inode %u page %llu: writable PTE, but the page is not dirty", inode.ino().value(),
             (ull)page.index.value());
}

void check_file_pte(const MappedPage& page) {
  if (!page.inode->is_dax()) { return check_cached_pte(page); }
  ext4::Inode& inode = *page.inode;
  const PgOff index = page.index;
  const mm::Pte pte = page.pte;
  const unsigned ino = inode.ino().value();
  FS_WARN_ON(beyond_eof(inode, index), "O6", page.about(), "inode %u page %llu: mapped beyond EOF (size %llu)", ino,
             (ull)index.value(), (ull)inode.i_size());
  const auto block = BlockMap(inode).written_block(index);
  lib::XArray& tree = inode.mapping().i_pages;
  if (pte.huge()) {
    const Entry huge = Entry::from_tree(tree.load(index.value()));
    FS_WARN_ON(!huge.is_pmd() || huge.is_zero() != pte.special(), "O6", page.about(),
               "inode %u page %llu: mapped huge, but the tree has no huge entry%s for it", ino, (ull)index.value(),
               pte.special() ? " of the zero page" : "");
  }
  if (pte.special()) {
    FS_WARN_ON(block.has_value(), "O6", page.about().came(age_of_zero_page(*page.inode, *block)),
               "inode %u page %llu: the zero page is mapped over block %llu", ino, (ull)index.value(),
               (ull)block->value());
    return;
  }
  FS_WARN_ON(!block || block->value() != pte.pfn().value(), "O6", page.about(),
             "inode %u page %llu: frame %llu is mapped, extents give %s", ino, (ull)index.value(),
             (ull)pte.pfn().value(), block ? "another block" : "a hole or unwritten extent");
  const mm::Memory& memory = inode.mapping().memory();
  FS_WARN_ON(memory.page(pte.pfn()).is_hwpoison() && inode.device().poisoned(pte.pfn().value() * kPageSize, kPageSize),
             "MF2", page.about(),
             "inode %u page %llu: process %llu maps frame %llu, which memory_failure took away: its sectors are bad",
             ino, (ull)index.value(), (ull)page.mm, (ull)pte.pfn().value());
  const Entry entry = Entry::from_tree(tree.load(index.value()));
  FS_WARN_ON(!entry.is_frame(), "O6", page.about(), "inode %u page %llu: mapped without an entry in the tree", ino,
             (ull)index.value());
  const bool tagged = tree.get_mark(index.value(), dax::kMarkDirty) || tree.get_mark(index.value(), dax::kMarkToWrite);
  FS_WARN_ON(pte.write() && !tagged, "O7", about(pte_ref(page.mm, page.address), dirty_ref(inode.ino(), index)),
             "inode %u page %llu: writable PTE, but the page is not marked dirty", ino, (ull)index.value());
}

// No block that has its bytes counts as delayed.
void check_delayed(ext4::Inode& inode) {
  for (const ext4::ExtentStatus::Delayed& range : inode.extent_status.delayed()) {
    for (uint64_t at = range.begin; at < range.end; ++at) {
      const LogicalBlock block(static_cast<uint32_t>(at));
      const auto next = ext4::next_extent(inode, block);
      if (!next.ok() || !next->has_value()) { return; }
      FS_WARN_ON((*next)->contains(block) && !(*next)->unwritten, "O18",
                 daxfs::about(extent_ref(inode.ino(), block.value())),
                 "inode %u block %u is written and counts as delayed", inode.ino().value(), block.value());
    }
  }
}

// What is cached of the extent tree against the tree.
void check_extent_status(ext4::Inode& inode) {
  check_delayed(inode);
  using Status = ext4::ExtentStatus;
  for (const Status::Range& range : inode.extent_status.ranges()) {
    for (uint64_t at = range.lblk.value(); at < range.end;) {
      const LogicalBlock block(static_cast<uint32_t>(at));
      const auto next = ext4::next_extent(inode, block);
      if (!next.ok()) { return; }
      const bool hole = !next->has_value() || !(*next)->contains(block);
      auto state = Status::State::kHole;
      if (!hole) { state = (*next)->unwritten ? Status::State::kUnwritten : Status::State::kWritten; }
      const bool right = state == range.state &&
                         (hole || (*next)->block_of(block).value() == range.pblk.value() + (at - range.lblk.value()));
      FS_WARN_ON(!right, "O18",
                 daxfs::about(extent_ref(inode.ino(), block.value()), cached_extent_ref(inode.ino(), block.value())),
                 "inode %u block %u: cached as %s, the extent tree has %s", inode.ino().value(), block.value(),
                 range.state == Status::State::kHole      ? "a hole"
                 : range.state == Status::State::kWritten ? "written"
                                                          : "unwritten",
                 hole                 ? "a hole"
                 : (*next)->unwritten ? "an unwritten extent"
                                      : "a written extent");
      const uint64_t next_begin = next->has_value() ? (*next)->lblk.value() : range.end;
      at = hole ? std::max(next_begin, at + 1) : (*next)->end();
    }
  }
}

// A file that is in use without a name is found again by the orphan list only, if there is a crash.
void check_listed(ext4::Inode& inode) {
  ext4::Volume& volume = inode.volume();
  FS_WARN_ON(inode.links() == 0 && !volume.read_only() && !ext4::orphan_listed(volume, inode.ino()), "OR2",
             about(inode_ref(inode.ino())), "inode %u has no name and is not on the orphan list", inode.ino().value());
}

// The chain on the medium, from the superblock through i_dtime, is the list.
void check_orphans(ext4::Volume& volume) {
  std::vector<Ino> list;
  {
    const rt::MutexLock lock(volume.orphans().lock);
    list = volume.orphans().inodes.get();
  }
  uint32_t next = volume.super().s_last_orphan;
  for (const Ino ino : list) {
    FS_WARN_ON(next != ino.value(), "OR2", about(inode_ref(ino)),
               "the orphan list has inode %u where the chain on the medium has inode %u", ino.value(), next);
    const auto raw = ext4::read_inode(volume, ino);
    if (!raw.ok()) { return; }  // said by whoever needs it
    next = raw->i_dtime;
  }
  FS_WARN_ON(next != 0, "OR2", "the chain of orphans goes on to inode %u, the list has ended", next);
}

void check_page_tables(mm::Mm& mm) {
  std::vector<std::string> broken;
  mm.audit(&broken);
  // Under the tag of the invariant itself, which the line begins with: they are different bugs.
  for (const char* tag : {"MM6", "MM7", "MM8", "MM10"}) {
    FS_WARN_ON(!broken.empty() && broken.front().starts_with(std::string(tag) + ":"), tag, "page tables: %s",
               broken.front().c_str());
  }
  FS_WARN_ON(!broken.empty(), "O6", "page tables: %s", broken.front().c_str());
  std::vector<MappedPage> mapped;
  std::vector<MappedPage> copies;
  mm.for_each_pte([&](const mm::Vma& vma, VirtAddr address, mm::Pte pte) {
    if (vma.file == nullptr || !pte.present()) { return; }
    // A private copy belongs to the process alone, while the file reaches to it.
    if (!pte.special() && !mm.memory().is_file_frame(pte.pfn())) {
      copies.push_back(
          {&static_cast<vfs::File*>(vma.file.get())->inode(), vma.pgoff_of(address), pte, mm.id(), address});
      return;
    }
    mapped.push_back({&static_cast<vfs::File*>(vma.file.get())->inode(), vma.pgoff_of(address), pte, mm.id(), address});
  });
  for (const MappedPage& page : mapped) { check_file_pte(page); }
  for (const MappedPage& page : copies) {
    FS_WARN_ON(beyond_eof(*page.inode, page.index), "O6", page.about(),
               "inode %u page %llu: a private copy is mapped beyond EOF (size %llu)", page.inode->ino().value(),
               (ull)page.index.value(), (ull)page.inode->i_size());
  }
}

}  // namespace

void audit(const AuditScope& scope) {
  check_orphans(scope.fs.volume());
  for (const ext4::InodeRef& inode : scope.fs.volume().inodes().all()) {
    check_listed(*inode);
    if (!inode->is_regular()) { continue; }
    inode->is_dax() ? check_tree(*inode) : check_cached_tree(*inode);
    check_extent_status(*inode);
  }
  for (mm::Mm* mm : scope.mms) { check_page_tables(*mm); }
}

}  // namespace daxfs::check
