// fs/ext4/iomap_ops.cc - from map_blocks to iomaps.
#include "fs/ext4/iomap_ops.h"

#include <algorithm>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/dax/invalidate.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/inode.h"
#include "fs/mm/tree_peek.h"

namespace daxfs::ext4 {

namespace {

constexpr uint32_t kAllocBlocksMax = 4096;  // in one handle (kernel: DIO_MAX_BLOCKS)

Inode& to_inode(io::IomapHost& host) { return static_cast<Inode&>(host); }

MapRequest request_for(uint64_t pos, uint64_t length, uint32_t flags) {
  const uint64_t first = pos / kBlockSize;
  // A mapping request must not reach past the last logical block; the caller comes back for the
  // rest, if there is any.
  const uint64_t last = std::min<uint64_t>((pos + length - 1) / kBlockSize, kLogicalEnd - 1);
  return {.lblk = LogicalBlock(static_cast<uint32_t>(first)),
          .len = static_cast<uint32_t>(last - first + 1),
          .flags = flags};
}

// Kernel: ext4_set_iomap.
void set_iomap(Inode& inode, const MapResult& map, uint64_t pos, uint64_t length, io::Iomap* iomap) {
  iomap->offset = uint64_t{map.lblk.value()} * kBlockSize;
  iomap->length = uint64_t{map.len} * kBlockSize;
  iomap->block = map.pblk;
  iomap->flags = 0;
  if (map.is_new) { iomap->flags |= io::Iomap::kNew; }
  // What is allocated under a running handle is not durable before the handle stops; a size change
  // not before fsync.
  if (map.is_new || pos + length > inode.i_size()) { iomap->flags |= io::Iomap::kDirty; }
  switch (map.state) {
    case BlockState::kHole: iomap->type = io::Iomap::Type::kHole; break;
    case BlockState::kWritten: iomap->type = io::Iomap::Type::kMapped; break;
    case BlockState::kUnwritten: iomap->type = io::Iomap::Type::kUnwritten; break;
  }
}

// What was written to the page cache only is data, too. Kernel: ext4_iomap_is_delalloc.
void report_delayed(Inode& inode, uint64_t pos, io::Iomap* iomap) {
  const auto delayed = inode.extent_status.next_delayed(internal::block_of(pos));
  if (!delayed.has_value() || delayed->begin * kBlockSize >= iomap->end()) { return; }
  uint64_t end = delayed->begin * kBlockSize;  // of the hole before it
  if (end <= pos) {
    iomap->type = io::Iomap::Type::kDelalloc;
    end = std::min(iomap->end(), delayed->end * kBlockSize);
  }
  iomap->length = end - iomap->offset;
}

// Kernel: ext4_iomap_alloc.
Result<MapResult> allocate(Inode& inode, MapRequest request, unsigned flags) {
  request.len = std::min(request.len, kAllocBlocksMax);
  const uint64_t begin = uint64_t{request.lblk.value()} * kBlockSize;
  if ((flags & io::kIomapDax) != 0) {
    request.flags = MapRequest::kCreate | MapRequest::kZero;
    // Bug kDaxWriteUnwritten (12735f881952): like direct I/O, though a fault may come to the blocks meanwhile.
    if (historical(Bug::kDaxWriteUnwritten) && (flags & io::kIomapFault) == 0 &&
        inode.block_format() == BlockFormat::kExtents) {
      request.flags = MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kPreIo;
    }
  } else if (begin >= inode.i_size() && !inode.volume().options().dioread_nolock) {
    // Nobody can read beyond EOF while the bytes are on their way; without the inode lock a reader goes on behind it.
    request.flags = MapRequest::kCreate;
  } else if (inode.block_format() == BlockFormat::kExtents) {
    request.flags = MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kPreIo;
  } else if (begin >= inode.i_size()) {
    request.flags = MapRequest::kCreate | MapRequest::kZero;
  }
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(inode.volume().journal(), internal::kFileCredits));
  Result<MapResult> mapped = map_blocks(&handle, inode, request);
  const Status stopped = handle.stop(mapped.status());
  if (!stopped.ok()) { return stopped; }
  // Without unwritten blocks a hole that can be read is filled through the cache, or readers would see what was there.
  if (mapped->state == BlockState::kHole) { return Errc::kNotBlk; }
  return mapped;
}

Result<MapResult> look(Inode& inode, const MapRequest& request) { return map_blocks(nullptr, inode, request); }

// Kernel: _ext4_get_block for ext4_get_block_write_nolock, until 4.5.
Result<MapResult> look_nolock(Inode& inode, uint64_t pos, uint64_t length) {
  const MapRequest request = request_for(pos, length, MapRequest::kNoLock);
  // Bug kLookupStartsTransaction: any flag was taken for a wish to write.
  const bool writes = (request.flags & (MapRequest::kCreate | MapRequest::kConvert)) != 0;
  if (!writes && !(historical(Bug::kLookupStartsTransaction) && request.flags != 0)) { return look(inode, request); }
  FS_ASSIGN_OR_RETURN(auto handle, jbd2::start(inode.volume().journal(), internal::kFileCredits));
  Result<MapResult> mapped = map_blocks(&handle, inode, request);
  const Status stopped = handle.stop(mapped.status());
  if (!stopped.ok()) { return stopped; }
  return mapped;
}

// Kernel: ext4_iomap_begin.
Result<MapResult> map_for(Inode& inode, uint64_t pos, uint64_t length, unsigned flags) {
  const MapRequest request = request_for(pos, length, 0);
  if ((flags & io::kIomapWrite) == 0) { return look(inode, request); }
  // Blocks that are there already need no handle.
  if (pos + length <= inode.i_size()) {
    FS_ASSIGN_OR_RETURN(const MapResult there, look(inode, request));
    if (there.state == BlockState::kWritten) { return there; }
  }
  return allocate(inode, request, flags);
}

// Only of bug kDaxWriteUnwritten: the blocks of a DAX write are written before they are filled.
Status convert_written(Inode& inode, uint64_t pos, uint64_t length) {
  const LogicalBlock first = internal::block_of(pos);
  return internal::with_handle(inode, [&](jbd2::Handle& handle) {
    return convert_unwritten_extents(handle, inode, first, internal::block_after(pos + length) - first).status();
  });
}

class Ext4IomapOps final : public io::IomapOps {
 public:
  enum class Mode { kNormal, kOverwrite, kNoLock, kReport };
  explicit Ext4IomapOps(Mode mode) : mode_(mode) {}

  Status iomap_begin(io::IomapHost& host, uint64_t pos, uint64_t length, unsigned flags, io::Iomap* iomap) override {
    Inode& inode = to_inode(host);
    if (pos / kBlockSize >= kLogicalEnd) { return Errc::kInval; }  // a read across the end of the largest file
    if (mode_ != Mode::kNormal) { flags &= ~unsigned{io::kIomapWrite}; }
    FS_ASSIGN_OR_RETURN(const MapResult map,
                        mode_ == Mode::kNoLock ? look_nolock(inode, pos, length) : map_for(inode, pos, length, flags));
    FS_WARN_ON(overwrites() && map.state != BlockState::kWritten, "EF1",
               "an overwrite of inode %u meets a block that is not written at %llu", inode.ino().value(),
               static_cast<unsigned long long>(pos));
    set_iomap(inode, map, pos, length, iomap);
    if (mode_ == Mode::kReport && iomap->type == io::Iomap::Type::kHole) { report_delayed(inode, pos, iomap); }
    return ok_status();
  }

  // Blocks that stay without data are cut off by the caller, which knows the size.
  Status iomap_end(io::IomapHost& host, uint64_t pos, uint64_t length, uint64_t written, unsigned flags,
                   const io::Iomap& iomap) override {
    const bool dax_write = (flags & io::kIomapWrite) != 0 && (flags & io::kIomapDax) != 0;
    if (dax_write && iomap.type == io::Iomap::Type::kUnwritten && written != 0) {
      FS_RETURN_IF_ERROR(convert_written(to_inode(host), pos, written));
    }
    // A fault still holds its entry lock here; it does this afterwards (fault.cc).
    if (dax_write && (flags & io::kIomapFault) == 0 && iomap.is_new()) {
      drop_stale_hole_pages(to_inode(host), PgOff(pos / kPageSize), PgOff((pos + length - 1) / kPageSize));
    }
    return ok_status();
  }

 private:
  bool overwrites() const { return mode_ == Mode::kOverwrite || mode_ == Mode::kNoLock; }

  const Mode mode_;
};

}  // namespace

void drop_stale_hole_pages(Inode& inode, PgOff first, PgOff last) {
  mm::AddressSpace& mapping = inode.mapping();
  if (mm::has_no_pages(mapping)) { return; }
  const auto run = next_extent(inode, LogicalBlock(static_cast<uint32_t>(first.value())));
  if (!run.ok() || !run->has_value() || (*run)->unwritten) { return; }
  const ExtentRun& written = **run;
  const PgOff run_first(written.lblk.value());
  const PgOff run_last(written.end() - 1);
  if (run_first < first) { dax::drop_hole_entries(mapping, run_first, first - 1); }
  if (run_last > last) { dax::drop_hole_entries(mapping, last + 1, run_last); }
}

io::IomapOps& iomap_ops() {
  static Ext4IomapOps ops(Ext4IomapOps::Mode::kNormal);
  return ops;
}

io::IomapOps& iomap_overwrite_ops() {
  static Ext4IomapOps ops(Ext4IomapOps::Mode::kOverwrite);
  return ops;
}

io::IomapOps& iomap_nolock_ops() {
  static Ext4IomapOps ops(Ext4IomapOps::Mode::kNoLock);
  return ops;
}

io::IomapOps& iomap_report_ops() {
  static Ext4IomapOps ops(Ext4IomapOps::Mode::kReport);
  return ops;
}

}  // namespace daxfs::ext4
