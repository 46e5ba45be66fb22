// fs/ext4/file_buffered.cc - files without DAX.
#include "fs/ext4/file_buffered.h"

#include <algorithm>
#include <array>
#include <span>

#include "fs/cache/filemap.h"
#include "fs/cache/page_cache.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_times.h"
#include "fs/ext4/page_io.h"
#include "fs/mm/fault.h"
#include "fs/mm/mm.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

using mm::Folio;
using mm::Page;

void unlock_and_put(Page& page) {
  mm::unlock_folio(page);
  mm::put_page(page);
}

// The folio for a write of part of it: what is not written must be there. REQUIRES: locked. Kernel:
// ext4_block_write_begin.
Status write_begin(Inode& inode, Page& page, uint64_t offset, uint64_t size) {
  FS_RETURN_IF_ERROR(prepare_buffer(inode, page));
  const bool whole = offset == 0 && size == kPageSize;
  if (whole || (mm::folio_state(page) & Folio::kUptodate) != 0) { return ok_status(); }
  return read_page_locked(inode, page);
}

// One page's part of a write. RETURNS: bytes written.
Result<uint64_t> write_page_part(Inode& inode, uint64_t pos, std::span<const std::byte> bytes) {
  FS_TRACE_SCOPE("ext4_da_write_begin", entry_ref(inode.ino(), PgOff(pos / kPageSize)));
  FS_ASSIGN_OR_RETURN(Page* const page, cache::grab_page(inode.mapping(), PgOff(pos / kPageSize)));
  const uint64_t offset = pos % kPageSize;
  Status status = write_begin(inode, *page, offset, bytes.size());
  if (status.ok()) { status = page->memory->write(mm::page_pfn(*page), offset, bytes); }
  if (!status.ok()) {
    unlock_and_put(*page);
    return status;
  }
  mm::folio_set(*page, Folio::kUptodate);
  mm::folio_set(*page, Folio::kReferenced);
  mm::set_page_dirty(*page);
  // Under the folio lock, so that writeback does not take the new bytes for bytes beyond the end.
  const uint64_t end = pos + bytes.size();
  const bool grown = end > inode.i_size();
  if (grown) { inode.set_i_size(end); }
  // Also if its block is being written for the first time: when that is over, it is as any other block.
  const bool has_block =
      (mm::folio_state(*page) & Folio::kWriteback) != 0 || mm::folio_of(*page).buffer == mm::BufferState::kMapped;
  const bool on_medium = grown && has_block && end > inode.i_disksize();
  unlock_and_put(*page);
  if (on_medium) {
    // No writeback will come by here to move the size along: it has nothing to allocate.
    FS_RETURN_IF_ERROR(internal::with_handle(inode, [&](jbd2::Handle& handle) {
      {
        const rt::WriteLock data(inode.i_data_sem);
        if (end > inode.i_disksize()) { inode.set_i_disksize(end); }
      }
      return inode.mark_dirty(handle);
    }));
  }
  return uint64_t{bytes.size()};
}

}  // namespace

Result<uint64_t> buffered_read(Inode& inode, io::IovBuffer& buffer, uint64_t pos) {
  FS_TRACE_SCOPE("generic_file_read_iter", inode_ref(inode.ino()));
  uint64_t done = 0;
  while (buffer.remaining() != 0 && pos < inode.i_size()) {
    const auto got = cache::read_cached_page(inode.mapping(), PgOff(pos / kPageSize));
    if (!got.ok()) { return done != 0 ? Result<uint64_t>(done) : Result<uint64_t>(got.error()); }
    Page& page = **got;
    // Again: the page may have been read before the file shrank.
    const uint64_t size = inode.i_size();
    const uint64_t offset = pos % kPageSize;
    const uint64_t length = pos >= size ? 0 : std::min({kPageSize - offset, buffer.remaining(), size - pos});
    std::array<std::byte, kPageSize> copy;  // not cleared: written before it is read
    const std::span<std::byte> part(copy.data(), length);
    const Status read = page.memory->read(mm::page_pfn(page), offset, part);
    mm::put_page(page);
    FS_RETURN_IF_ERROR(read);
    if (length == 0) { break; }
    const uint64_t copied = buffer.copy_out(part);
    done += copied;
    pos += copied;
    if (copied < length) { return done != 0 ? Result<uint64_t>(done) : Result<uint64_t>(Errc::kFault); }
  }
  return done;
}

Result<uint64_t> buffered_write(Inode& inode, io::IovBuffer& buffer, uint64_t pos) {
  FS_TRACE_SCOPE("generic_perform_write", inode_ref(inode.ino()));
  inode.i_rwsem.assert_held_write();
  uint64_t done = 0;
  Status status;
  while (buffer.remaining() != 0 && status.ok()) {
    const uint64_t offset = pos % kPageSize;
    const uint64_t length = std::min(kPageSize - offset, buffer.remaining());
    std::array<std::byte, kPageSize> copy;  // not cleared: written before it is read
    const uint64_t copied = buffer.copy_in(std::span(copy.data(), length));
    if (copied < length) { status = Errc::kFault; }
    if (copied == 0) { break; }
    const auto written = write_page_part(inode, pos, std::span<const std::byte>(copy.data(), copied));
    if (!written.ok()) {
      buffer.revert(copied);
      status = written.error();
      break;
    }
    done += *written;
    pos += *written;
  }
  if (done == 0 && !status.ok()) { return status; }
  return done;
}

mm::FaultResult buffered_mkwrite(mm::VmFault& vmf, Inode& inode) {
  FS_TRACE_SCOPE("ext4_page_mkwrite", entry_ref(inode.ino(), vmf.pgoff));
  // A DAX file that is mapped already can still be stored to.
  if ((inode.flags() & kFlagImmutable) != 0) { return mm::FaultResult::kSigbus; }
  if (inode.volume().read_only()) { return mm::FaultResult::kSigbus; }
  mm::AddressSpace& mapping = inode.mapping();
  file_update_time(inode).ignore_error("a time that could not be stored does not stop the access");
  Page* page = nullptr;
  {
    const rt::ReadLock invalidate(mapping.invalidate_lock);
    page = cache::find_lock_page(mapping, vmf.pgoff);
    if (page == nullptr) { return mm::FaultResult::kRetry; }  // truncated since the read fault
    const bool inside = vmf.pgoff.value() < div_round_up(inode.i_size(), kPageSize);
    const Status prepared = inside ? prepare_buffer(inode, *page) : Status(Errc::kFault);
    if (!prepared.ok()) {
      unlock_and_put(*page);
      return mm::FaultResult::kSigbus;
    }
    mm::set_page_dirty(*page);
    // Bytes on their way to the device do not change under it. Kernel: folio_wait_stable.
    mm::wait_folio_writeback(*page);
  }
  const mm::FaultResult result = mm::insert_page(vmf, *page, /*write=*/true);
  unlock_and_put(*page);
  return result;
}

mm::FaultResult buffered_fault(mm::VmFault& vmf, Inode& inode) {
  FS_TRACE_SCOPE("ext4_filemap_fault", entry_ref(inode.ino(), vmf.pgoff));
  Page* page = nullptr;
  const mm::FaultResult found = cache::fault_page(vmf, inode.mapping(), &page);
  if (found != mm::FaultResult::kDone) { return found; }
  if (vmf.cow) {
    mm::Memory& memory = vmf.memory();
    const Status copied = memory.read(mm::page_pfn(*page), 0, memory.dram_bytes(vmf.cow_page));
    const mm::FaultResult result = copied.ok() ? mm::finish_cow_fault(vmf) : mm::FaultResult::kSigbus;
    unlock_and_put(*page);
    return result;
  }
  if (vmf.write && vmf.vma.shared) {
    unlock_and_put(*page);
    return buffered_mkwrite(vmf, inode);
  }
  const mm::FaultResult result = mm::insert_page(vmf, *page, /*write=*/false);
  unlock_and_put(*page);
  return result;
}

Status zero_page_part(Inode& inode, uint64_t pos, uint64_t length) {
  FS_TRACE_SCOPE("ext4_block_zero_page_range", entry_ref(inode.ino(), PgOff(pos / kPageSize)));
  FS_ASSIGN_OR_RETURN(Page* const page, cache::grab_page(inode.mapping(), PgOff(pos / kPageSize)));
  Status status;
  if ((mm::folio_state(*page) & Folio::kUptodate) == 0) { status = read_page_locked(inode, *page); }
  if (status.ok()) {
    const bool had_buffer = (mm::folio_state(*page) & Folio::kPrivate) != 0;
    std::array<std::byte, kPageSize> copy;  // not cleared: written before it is read
    const std::span<std::byte> part(copy.data(), length);
    status = page->memory->read(mm::page_pfn(*page), pos % kPageSize, part);
    const bool zero = std::all_of(part.begin(), part.end(), [](std::byte b) { return b == std::byte{0}; });
    // A page of zeros over a hole stays as it is. Over a block it is written: since it was read a direct write that
    // did not get through may have left bytes there.
    bool changes = !zero;
    if (status.ok() && zero) {
      const Result<bool> written = has_written_block(inode, *page);
      status = written.status();
      changes = written.ok() && *written;
    }
    if (status.ok() && changes) {
      page->memory->zero_dram(mm::page_pfn(*page), pos % kPageSize, length);
      // Bytes that are not zero were stored or read from a block: it has one, or one is reserved.
      if (!had_buffer) { status = prepare_buffer(inode, *page); }
      if (status.ok()) { mm::set_page_dirty(*page); }
    }
  }
  unlock_and_put(*page);
  return status;
}

}  // namespace daxfs::ext4
