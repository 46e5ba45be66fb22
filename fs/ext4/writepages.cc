// fs/ext4/writepages.cc - writeback of a file's pages.
#include "fs/ext4/writepages.h"

#include <utility>

#include "fs/base/historical.h"
#include "fs/cache/page_cache.h"
#include "fs/cache/writeback.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/page_io.h"
#include "fs/mm/tree_peek.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

using mm::BufferState;
using mm::Folio;
using mm::Page;

// Gives the page a block: unwritten until the bytes are there, so that nobody reads what the block held before; zeros
// in a file that has no unwritten blocks.
Status map_page(jbd2::Handle& handle, Inode& inode, Page& page) {
  Folio& folio = mm::folio_of(page);
  const bool delayed = folio.buffer == BufferState::kDelayed;
  MapRequest request{
      .lblk = LogicalBlock(static_cast<uint32_t>(page.index.value())),
      .len = 1,
      .flags = MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kPreIo | MapRequest::kZeroElse};
  if (delayed) { request.flags |= MapRequest::kReserved; }
  FS_ASSIGN_OR_RETURN(const MapResult map, map_blocks(&handle, inode, request));
  if (delayed) { inode.release_delayed(request.lblk); }
  folio.block = map.pblk;
  const BufferState now = map.state == BlockState::kUnwritten ? BufferState::kUnwritten : BufferState::kMapped;
  FS_TRACE_WRITE(buffer_ref(mm::page_pfn(page)), mm::traced_buffer(page), static_cast<uint64_t>(now));
  folio.buffer = now;
  return ok_status();
}

// How much of the page at `end` is inside the file.
uint64_t end_in_file(const Inode& inode, uint64_t end) {
  const uint64_t size = inode.i_size();
  FS_TRACE_READ(size_ref(inode.ino()), size);
  return std::min(end, size);
}

// The size on the medium follows the data. Kernel: mpage_map_and_submit_extent.
Status update_disksize(jbd2::Handle& handle, Inode& inode, const Page& page) {
  uint64_t end = (page.index.value() + 1) * kPageSize;
  if (inode.i_disksize() >= std::min(end, inode.i_size())) { return ok_status(); }
  if (historical(Bug::kDisksizeOutsideLock)) {
    inode.set_i_disksize(end_in_file(inode, end));
    return inode.mark_dirty(handle);
  }
  const rt::WriteLock data(inode.i_data_sem);
  end = end_in_file(inode, end);  // a truncate changes both sizes under this lock
  if (end <= inode.i_disksize()) { return ok_status(); }
  inode.set_i_disksize(end);
  return inode.mark_dirty(handle);
}

// REQUIRES: locked; unlocks.
Status write_locked(jbd2::Handle& handle, Inode& inode, Page& page) {
  mm::AddressSpace& mapping = inode.mapping();
  const uint64_t pages = div_round_up(inode.i_size(), kPageSize);
  mm::wait_folio_writeback(page);
  if (mm::page_mapping(page) != &mapping || page.index.value() >= pages || !cache::clear_dirty_for_io(mapping, page)) {
    mm::unlock_folio(page);
    return ok_status();
  }
  Status status;
  if (mm::folio_of(page).buffer != BufferState::kMapped) { status = map_page(handle, inode, page); }
  if (status.ok()) { status = update_disksize(handle, inode, page); }
  if (!status.ok()) {
    mm::set_page_dirty(page);
    mm::unlock_folio(page);
    return status;
  }
  cache::start_writeback(mapping, page);
  submit_page(inode, page);
  return ok_status();
}

}  // namespace

Status write_pages(Inode& inode, PgOff first, PgOff last) {
  mm::AddressSpace& mapping = inode.mapping();
  if (mm::has_no_pages(mapping)) { return ok_status(); }
  FS_TRACE_SCOPE("ext4_writepages", inode_ref(inode.ino()));
  Status first_error;
  if (mapping.i_pages.marked(mm::kPageDirty)) {
    cache::tag_pages_for_writeback(mapping, first, last);
    PgOff at = first;
    while (Page* const page = cache::find_next_marked(mapping, &at, last, mm::kPageToWrite)) {
      const Status status = internal::with_handle(inode, [&](jbd2::Handle& handle) {
        mm::lock_folio(*page);
        return write_locked(handle, inode, *page);
      });
      mm::put_page(*page);
      if (!status.ok() && first_error.ok()) { first_error = status; }
      if (at == last) { break; }
      at = at + 1;
    }
  }
  cache::wait_writeback_range(mapping, first, last);
  return first_error;
}

uint32_t write_some_pages(Inode& inode, PgOff* at, uint32_t count) {
  constexpr PgOff kLast(~uint64_t{0});
  mm::AddressSpace& mapping = inode.mapping();
  FS_TRACE_SCOPE("ext4_writepages", inode_ref(inode.ino()));
  bool from_the_front = at->value() == 0;
  uint32_t done = 0;
  while (done < count) {
    Page* const page = cache::find_next_marked(mapping, at, kLast, mm::kPageDirty);
    if (page == nullptr) {
      *at = PgOff(0);
      if (std::exchange(from_the_front, true)) { break; }
      continue;
    }
    const Status status = internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
      mm::lock_folio(*page);
      if (mm::folio_test(*page, Folio::kWriteback)) {
        mm::unlock_folio(*page);
        return ok_status();
      }
      return write_locked(handle, inode, *page);
    });
    mm::put_page(*page);
    *at = *at + 1;
    ++done;
    if (!status.ok()) { break; }  // who waits for the page will try again, and be told
  }
  return done;
}

}  // namespace daxfs::ext4
