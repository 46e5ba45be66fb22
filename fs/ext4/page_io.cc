// fs/ext4/page_io.cc - bios of pages, and what their completions do.
#include "fs/ext4/page_io.h"

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/cache/page_cache.h"
#include "fs/cache/writeback.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/super.h"
#include "fs/io/bio.h"
#include "fs/rt/completion.h"
#include "fs/rt/trace.h"
#include "fs/rt/workqueue.h"

namespace daxfs::ext4 {

namespace {

using mm::BufferState;
using mm::Folio;
using mm::Page;

Inode& inode_of(mm::AddressSpace& mapping) { return static_cast<Inode&>(mapping.host()); }

Result<MapResult> block_of_page(Inode& inode, const Page& page, uint32_t flags = 0) {
  return map_blocks(nullptr, inode,
                    {.lblk = LogicalBlock(static_cast<uint32_t>(page.index.value())), .len = 1, .flags = flags});
}

LogicalBlock block_of(const Page& page) { return LogicalBlock(static_cast<uint32_t>(page.index.value())); }

mm::PagePin pin_of(Page& page) {
  mm::get_page(page);
  return mm::PagePin::adopt(page);
}

// A read that ends in an interrupt. Frees itself.
struct ReadRequest {
  io::Bio bio;
  Page* page;
  rt::Completion* done;  // null: the interrupt unlocks the page

  static void end_io(void* context, io::Bio& bio) {
    auto* const self = static_cast<ReadRequest*>(context);
    Page& page = *self->page;
    mm::folio_set(page, bio.status().ok() ? Folio::kUptodate : Folio::kError);
    rt::Completion* const done = self->done;
    delete self;
    inode_of(*page.mapping).volume().end_request();
    if (done != nullptr) {
      done->complete();
    } else {
      mm::unlock_handed_folio(page);
      mm::put_page(page);
    }
  }
};

// RETURNS: false if there is nothing to read: the page is up to date, or cannot be read.
bool start_read(Inode& inode, Page& page, rt::Completion* done) {
  const auto map = block_of_page(inode, page);
  if (!map.ok()) {
    mm::folio_set(page, Folio::kError);
    return false;
  }
  // What has no block yet was a hole when its buffer came.
  if (map->state != BlockState::kWritten || mm::folio_of(page).buffer == BufferState::kDelayed) {
    page.memory->zero_dram(mm::page_pfn(page), 0, kPageSize);
    mm::folio_set(page, Folio::kUptodate);
    return false;
  }
  auto* const request = new ReadRequest{.bio = {}, .page = &page, .done = done};
  request->bio.init(inode.mapping().memory(), map->pblk.value() * kBlockSize, /*write=*/false, &ReadRequest::end_io,
                    request);
  request->bio.keep_pages_clean();
  request->bio.add_page(pin_of(page), 0, kPageSize);
  if (done == nullptr) {
    mm::get_page(page);  // the interrupt's
    mm::hand_over_folio(page);
  }
  inode.volume().begin_request();
  request->bio.submit();
  return true;
}

// A write of one page. Its page is being written until the last step, so neither page nor inode can go. Frees itself.
struct WriteRequest {
  io::Bio bio;
  rt::Work work{&WriteRequest::convert_work, this};
  Inode* inode;
  Page* page;
  LogicalBlock block;
  bool unwritten;
  Status status;

  static void end_io(void* context, io::Bio& bio) {
    auto* const self = static_cast<WriteRequest*>(context);
    self->status = bio.status();
    if (!self->status.ok()) { mm::folio_of(*self->page).write_refused = mm::folio_of(*self->page).writes_begun; }
    self->inode->volume().end_request();
    if (self->unwritten && self->status.ok()) {
      mm::AddressSpace& mapping = self->inode->mapping();
      Page& page = *self->page;
      const bool early = historical(Bug::kWritebackBeforeConversion);
      if (early) { mm::get_page(page); }
      // A conversion takes a handle, and may sleep: not here.
      self->inode->volume().conversions().queue(self->work);
      if (early) {  // the request may be gone
        cache::end_writeback(mapping, page);
        mm::put_page(page);
      }
    } else {
      self->finish();
    }
  }
  static void convert_work(void* argument) {
    FS_TRACE_SCOPE("ext4_end_io_rsv_work", {});
    auto* const self = static_cast<WriteRequest*>(argument);
    Inode& inode = *self->inode;
    const LogicalBlock block = self->block;
    self->status = internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
      FS_ASSIGN_OR_RETURN(const bool complete, convert_unwritten_extents(handle, inode, block, 1));
      if (!complete && !inode.volume().device().watches_owners()) {
        return FS_CORRUPT("inode %u: somebody else freed block %u", inode.ino().value(), block.value());
      }
      FS_WARN_ON(!complete, "IE2", about(extent_ref(inode.ino(), block.value())),
                 "inode %u: block %u is gone before its page's writeback is over", inode.ino().value(), block.value());
      return ok_status();
    });
    if (self->status.ok() && self->page->mapping == &inode.mapping()) {
      FS_TRACE_WRITE(buffer_ref(mm::page_pfn(*self->page)), mm::traced_buffer(*self->page),
                     static_cast<uint64_t>(BufferState::kMapped));
      mm::note_folio_change(*self->page);
      mm::folio_of(*self->page).buffer = BufferState::kMapped;
    }
    self->finish();
  }
  void finish() {
    mm::AddressSpace& mapping = inode->mapping();
    Page& written = *page;
    if (!status.ok()) { mapping.wb_error.record(status.error()); }
    const bool ended = unwritten && status.ok() && historical(Bug::kWritebackBeforeConversion);
    delete this;
    if (!ended) { cache::end_writeback(mapping, written); }
    mm::put_page(written);
  }
};

class PageOps final : public cache::CacheOps {
 public:
  void read_page(mm::AddressSpace& mapping, Page& page) override {
    FS_TRACE_SCOPE("ext4_read_folio", frame_ref(mm::page_pfn(page)));
    if (!start_read(inode_of(mapping), page, nullptr)) { mm::unlock_folio(page); }
  }
  // No handle may be started here: whoever reclaims may run one. Kernel: ext4_writepage.
  void write_page(mm::AddressSpace& mapping, Page& page) override {
    FS_TRACE_SCOPE("ext4_writepage", frame_ref(mm::page_pfn(page)));
    if (mm::folio_of(page).buffer != BufferState::kMapped) {
      mm::set_page_dirty(page);
      mm::unlock_folio(page);
      return;
    }
    cache::start_writeback(mapping, page);
    submit_page(inode_of(mapping), page);
  }
  void invalidate_page(mm::AddressSpace& mapping, Page& page) override {
    if (mm::folio_of(page).buffer == BufferState::kDelayed) { inode_of(mapping).release_delayed(block_of(page)); }
  }
};

}  // namespace

cache::CacheOps& page_ops() {
  static PageOps ops;
  return ops;
}

Status read_page_locked(Inode& inode, Page& page) {
  FS_TRACE_SCOPE("ext4_read_folio", frame_ref(mm::page_pfn(page)));
  rt::Completion done("page read");
  if (start_read(inode, page, &done)) { done.wait(); }
  return (mm::folio_state(page) & Folio::kUptodate) != 0 ? ok_status() : Status(Errc::kIo);
}

Result<bool> has_written_block(Inode& inode, const Page& page) {
  FS_ASSIGN_OR_RETURN(const MapResult map, block_of_page(inode, page));
  return map.state == BlockState::kWritten;
}

Status prepare_buffer(Inode& inode, Page& page) {
  if ((mm::folio_state(page) & Folio::kPrivate) != 0) { return ok_status(); }
  FS_TRACE_SCOPE("ext4_da_get_block_prep", frame_ref(mm::page_pfn(page)));
  // Room for a hole is promised under the lock of the lookup: a direct write may be about to allocate it. Kernel:
  // ext4_da_map_blocks.
  FS_ASSIGN_OR_RETURN(MapResult map, block_of_page(inode, page, MapRequest::kDelay));
  // A delayed block is not looked up: nothing is there. Of a written one that would be wrong (O18).
  if (map.state == BlockState::kWritten && inode.extent_status.is_delayed(map.lblk)) {
    FS_RETURN_IF_ERROR(inode.reserve_delayed(map.lblk));
    map.state = BlockState::kHole;
  }
  switch (map.state) {
    case BlockState::kHole: cache::attach_buffer(page, BufferState::kDelayed, FsBlock()); break;
    case BlockState::kUnwritten: cache::attach_buffer(page, BufferState::kUnwritten, map.pblk); break;
    case BlockState::kWritten: cache::attach_buffer(page, BufferState::kMapped, map.pblk); break;
  }
  return ok_status();
}

void submit_page(Inode& inode, Page& page) {
  const Folio& folio = mm::folio_of(page);
  // Mappings may have stored beyond the end of the file; that never reaches the medium. Kernel: block_write_full_page.
  const uint64_t begin = page.index.value() * kPageSize;
  const uint64_t size = inode.i_size();
  if (size > begin && size - begin < kPageSize) {
    page.memory->zero_dram(mm::page_pfn(page), size - begin, begin + kPageSize - size);
  }
  auto* const request = new WriteRequest{.bio = {},
                                         .inode = &inode,
                                         .page = &page,
                                         .block = LogicalBlock(static_cast<uint32_t>(page.index.value())),
                                         .unwritten = folio.buffer == BufferState::kUnwritten,
                                         .status = {}};
  mm::get_page(page);  // the request's
  request->bio.init(inode.mapping().memory(), folio.block.value() * kBlockSize, /*write=*/true, &WriteRequest::end_io,
                    request);
  request->bio.add_page(pin_of(page), 0, kPageSize);
  mm::unlock_folio(page);
  inode.volume().begin_request();
  request->bio.submit();
}

}  // namespace daxfs::ext4
