// fs/ext4/file_map.cc - holes and data.
#include "fs/ext4/file_map.h"

#include <algorithm>
#include <optional>

#include "fs/dax/entry.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/iomap_ops.h"

namespace daxfs::ext4 {

namespace {

enum class Whence : uint8_t { kData, kHole };

// Looks for data (a hole) among the pages of an unwritten piece [begin, end): a page in the tree
// counts as data, whatever it holds, because for the page cache that this rule was made for it
// would be. Kernel: mapping_seek_hole_data.
std::optional<uint64_t> seek_in_tree(mm::AddressSpace& mapping, uint64_t begin, uint64_t end, Whence whence) {
  rt::SpinGuard tree(mapping.i_pages.lock());
  lib::XaCursor xas(mapping.i_pages, begin / kPageSize);
  uint64_t at = begin;
  while (at < end) {
    const lib::XEntry stored = xas.find((end - 1) / kPageSize);
    const uint64_t bytes = mapping.dax() ? dax::Entry::from_tree(stored).bytes() : kPageSize;
    if (stored.is_null()) { return whence == Whence::kData ? std::nullopt : std::optional(at); }
    const uint64_t first = xas.first_index() * kPageSize;
    if (whence == Whence::kData) { return std::max(at, first); }
    if (first > at) { return at; }
    at = first + bytes;
  }
  return std::nullopt;
}

// The answer inside one piece that begins at `pos`, or nothing. Kernel: iomap_seek_hole_iter,
// iomap_seek_data_iter.
std::optional<uint64_t> seek_in_piece(Inode& inode, const io::Iomap& iomap, uint64_t pos, uint64_t end, Whence whence) {
  switch (iomap.type) {
    case io::Iomap::Type::kUnwritten: return seek_in_tree(inode.mapping(), pos, end, whence);
    case io::Iomap::Type::kHole: return whence == Whence::kHole ? std::optional(pos) : std::nullopt;
    case io::Iomap::Type::kMapped:
    case io::Iomap::Type::kDelalloc: break;
  }
  return whence == Whence::kData ? std::optional(pos) : std::nullopt;
}

Result<uint64_t> seek(Inode& inode, uint64_t offset, Whence whence) {
  const rt::ReadLock lock(inode.i_rwsem);
  const uint64_t size = inode.i_size();
  if (offset >= size) { return Errc::kNxio; }
  uint64_t pos = offset;
  while (pos < size) {
    io::Iomap iomap;
    FS_RETURN_IF_ERROR(io::begin_checked(iomap_report_ops(), inode, pos, size - pos, io::kIomapReport, &iomap));
    const uint64_t end = std::min(iomap.end(), size);
    if (const auto found = seek_in_piece(inode, iomap, pos, end, whence)) { return *found; }
    pos = end;
  }
  if (whence == Whence::kHole) { return size; }  // the end of the file is a hole
  return Errc::kNxio;
}

}  // namespace

Result<uint64_t> seek_data(Inode& inode, uint64_t offset) { return seek(inode, offset, Whence::kData); }
Result<uint64_t> seek_hole(Inode& inode, uint64_t offset) { return seek(inode, offset, Whence::kHole); }

// One extent behind, so that the last of the walk is known when it is reported.
Status fiemap(Inode& inode, uint64_t start, uint64_t length, FiemapVisitor& visitor) {
  const rt::ReadLock lock(inode.i_rwsem);
  // As with FIEMAP_FLAG_SYNC: what has no block yet gets one. Kernel: fiemap_prep, which writes all of the file.
  FS_RETURN_IF_ERROR(flush_cached_range(inode, 0, ~uint64_t{0}));
  const uint64_t max_bytes = max_file_bytes(inode);
  if (start >= max_bytes || length == 0) { return ok_status(); }
  const uint64_t end = std::min(length, max_bytes - start) + start;
  uint64_t at = start / kBlockSize;
  const uint64_t blocks_end = div_round_up(end, kBlockSize);
  std::optional<FiemapExtent> pending;
  while (at < blocks_end) {
    FS_ASSIGN_OR_RETURN(const auto run, next_extent(inode, LogicalBlock(static_cast<uint32_t>(at))));
    if (!run.has_value() || run->lblk.value() >= blocks_end) { break; }
    if (pending.has_value() && !visitor.visit(*pending)) { return ok_status(); }
    const uint64_t first = std::max<uint64_t>(at, run->lblk.value());
    const uint64_t past = std::min(blocks_end, run->end());
    pending = FiemapExtent{.logical = first * kBlockSize,
                           .physical = (run->pblk.value() + (first - run->lblk.value())) * kBlockSize,
                           .length = (past - first) * kBlockSize,
                           .unwritten = run->unwritten};
    at = past;
  }
  if (pending.has_value()) {
    pending->last = true;
    visitor.visit(*pending);
  }
  return ok_status();
}

}  // namespace daxfs::ext4
