// fs/dax/rw.cc - copies between user memory and the medium.
#include "fs/dax/rw.h"

#include <algorithm>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/dax/invalidate.h"
#include "fs/mm/rmap.h"
#include "fs/pmem/device.h"
#include "fs/rt/trace.h"

namespace daxfs::dax {

namespace {

struct Piece {
  io::IomapHost& host;
  io::IovBuffer& buffer;
  const io::Iomap& iomap;
  uint64_t pos;
  uint64_t length;
};

uint64_t page_down(uint64_t at) { return round_down(at, kPageSize); }

bool pages_poisoned(const pmem::Device& device, uint64_t at, uint64_t length) {
  const uint64_t begin = page_down(at);
  return device.poisoned(begin, round_up(at + length, kPageSize) - begin);
}

Result<uint64_t> done_or_fault(uint64_t done) {
  if (done == 0) { return Errc::kFault; }
  return done;
}

// A bad buffer is no error here, in 6.1: the read ends as if the file did.
Result<uint64_t> read_hole(const Piece& p) { return p.buffer.zero_out(p.length); }

// A bad sector anywhere in the piece fails all of it, as the piece is made accessible as a whole.
Result<uint64_t> read_piece(const Piece& p) {
  pmem::Device& device = p.host.device();
  const uint64_t at = p.iomap.device_offset(p.pos);
  const size_t length = static_cast<size_t>(p.length);
  if (pages_poisoned(device, at, p.length)) { return Errc::kIo; }
  if (p.buffer.is_user()) {
    // The copy takes faults on its way: the blocks must stay the file's to its end.
    device.require_owned(at, length, "read", Site::current());
    device.trace_load(at, length);
    const uint64_t copied = p.buffer.copy_out(device.bytes().subspan(at, length));
    device.require_owned(at, length, "read", Site::current());
    return done_or_fault(copied);
  }
  FS_RETURN_IF_ERROR(device.read(at, p.buffer.sink_bytes().first(length)));
  p.buffer.advance(p.length);
  return p.length;
}

// Bad sectors are repaired by writing whole pages; a part of a page cannot be (kernel:
// pmem_recovery_write copies nothing, which the caller sees as EFAULT).
Status store_bytes(pmem::Device& device, uint64_t at, std::span<const std::byte> bytes) {
  if (!pages_poisoned(device, at, bytes.size())) { return device.store_nt(at, bytes); }
  if (at % kPageSize != 0 || bytes.size() != kPageSize) { return Errc::kFault; }
  return device.store_clearing_poison(at, bytes);
}

// Page by page, so that a page fault of the source between two pages leaves a short write behind.
Result<uint64_t> write_piece(const Piece& p) {
  pmem::Device& device = p.host.device();
  uint64_t done = 0;
  std::byte bounce[kPageSize];
  while (done < p.length) {
    const uint64_t at = p.iomap.device_offset(p.pos + done);
    const size_t want = static_cast<size_t>(std::min(p.length - done, kPageSize - at % kPageSize));
    const size_t got = p.buffer.copy_in(std::span(bounce, want));
    if (got == 0) { break; }
    const Status stored = store_bytes(device, at, std::span<const std::byte>(bounce, got));
    if (!stored.ok()) {
      p.buffer.revert(got);
      if (done == 0) { return stored.error(); }
      break;
    }
    done += got;
    if (got < want) { break; }
  }
  return done_or_fault(done);
}

// Not before the allocation: a fault in between would bring the zero pages back.
void drop_holes(io::IomapHost& host, uint64_t pos, uint64_t length) {
  drop_hole_entries(host.mapping(), PgOff(pos / kPageSize), PgOff((pos + length - 1) / kPageSize));
}

// Only of bug kDaxWriteUnwritten: what the write leaves of its first and last block. Kernel: dax_new_buf, until 4.3.
Status zero_around(const Piece& p) {
  pmem::Device& device = p.host.device();
  const uint64_t begin = p.iomap.device_offset(p.pos);
  const uint64_t end = begin + p.length;
  FS_RETURN_IF_ERROR(device.zero(page_down(begin), begin - page_down(begin)));
  return device.zero(end, round_up(end, kPageSize) - end);
}

// Kernel: dax_iomap_iter.
Result<uint64_t> rw_piece(const Piece& p, bool write) {
  if (!write) { return p.iomap.mapped() ? read_piece(p) : read_hole(p); }
  const bool early = historical(Bug::kDaxWriteUnwritten) && p.iomap.type == io::Iomap::Type::kUnwritten;
  if (early) { FS_RETURN_IF_ERROR(zero_around(p)); }
  if (FS_WARN_ON(!p.iomap.mapped() && !early, "DW1", "a DAX write got no written block at %llu",
                 static_cast<unsigned long long>(p.pos))) {
    return Errc::kIo;
  }
  // Zero pages that mappings show for what was a hole until now have to go. Also when the block is
  // not new: an earlier write next to an unwritten extent's page may have made that page written
  // (the 32 KiB rule of ext4) while its zero page stayed mapped. Entries of blocks stay
  // (docs/decisions/0017-writes-drop-only-holes.md).
  if (!historical(Bug::kInvalidateBeforeAllocate)) { drop_holes(p.host, p.pos, p.length); }
  if (historical(Bug::kInvalidateDropsDirty)) {
    mm::AddressSpace& mapping = p.host.mapping();
    for (uint64_t page = p.pos / kPageSize; page <= (p.pos + p.length - 1) / kPageSize; ++page) {
      mm::unmap_mapping_range(mapping, PgOff(page), 1, /*even_cows=*/false);
      delete_mapping_entry(mapping, PgOff(page));
    }
  }
  return write_piece(p);
}

}  // namespace

Result<uint64_t> iomap_rw(io::IomapHost& host, io::IovBuffer& buffer, uint64_t pos, bool write, io::IomapOps& ops,
                          unsigned extra_flags) {
  FS_TRACE_SCOPE("dax_iomap_rw", inode_ref(host.ino()));
  const unsigned flags = io::kIomapDax | (write ? unsigned{io::kIomapWrite} : 0U) | extra_flags;
  if (write && buffer.remaining() != 0 && historical(Bug::kInvalidateBeforeAllocate)) {
    drop_holes(host, pos, buffer.remaining());
  }
  uint64_t total = 0;
  Status error;
  while (buffer.remaining() != 0) {
    uint64_t left = buffer.remaining();
    if (!write) {
      const uint64_t size = host.i_size();
      if (pos >= size) { break; }
      left = std::min(left, size - pos);
    }
    io::Iomap iomap;
    error = io::begin_checked(ops, host, pos, left, flags, &iomap);
    if (!error.ok()) { break; }
    const uint64_t length = std::min(left, iomap.end() - pos);
    const Piece piece{.host = host, .buffer = buffer, .iomap = iomap, .pos = pos, .length = length};
    const Result<uint64_t> done = rw_piece(piece, write);
    const Status ended = ops.iomap_end(host, pos, length, done.ok() ? *done : 0, flags, iomap);
    error = done.ok() ? ended : done.status();
    if (!done.ok()) { break; }
    total += *done;
    pos += *done;
    if (!error.ok() || *done == 0) { break; }
  }
  if (total == 0 && !error.ok()) { return error; }
  return total;
}

// Kernel: dax_zero_iter.
Status zero_range(io::IomapHost& host, uint64_t pos, uint64_t length, io::IomapOps& ops) {
  constexpr unsigned kFlags = io::kIomapDax | io::kIomapZero;
  pmem::Device& device = host.device();
  while (length != 0) {
    io::Iomap iomap;
    FS_RETURN_IF_ERROR(io::begin_checked(ops, host, pos, length, kFlags, &iomap));
    const uint64_t piece = std::min(length, iomap.end() - pos);
    Status status;
    if (iomap.mapped()) {
      const uint64_t at = iomap.device_offset(pos);
      const bool whole_pages = at % kPageSize == 0 && piece % kPageSize == 0;
      status = !whole_pages && pages_poisoned(device, at, piece) ? Status(Errc::kIo) : device.zero(at, piece);
    }
    const Status ended = ops.iomap_end(host, pos, piece, status.ok() ? piece : 0, kFlags, iomap);
    FS_RETURN_IF_ERROR(status);
    FS_RETURN_IF_ERROR(ended);
    pos += piece;
    length -= piece;
  }
  return ok_status();
}

}  // namespace daxfs::dax
