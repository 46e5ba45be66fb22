// fs/ext4/fallocate.cc - checks, and the modes that are not a change of existing blocks' places.
#include "fs/ext4/fallocate.h"

#include "fs/base/flags.h"
#include "fs/base/historical.h"
#include "fs/base/types.h"
#include "fs/dax/invalidate.h"
#include "fs/dax/rw.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/fallocate_shift.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/file_rw.h"
#include "fs/ext4/file_times.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/ext4/layout.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

static_assert(distinct_bits({kFallocKeepSize, kFallocPunchHole, kFallocCollapseRange, kFallocZeroRange,
                             kFallocInsertRange, kFallocUnshareRange}));

struct ByteRange {
  uint64_t begin;
  uint64_t end;  // one past

  uint64_t length() const { return end - begin; }
  bool aligned() const { return begin % kBlockSize == 0 && end % kBlockSize == 0; }
  // The whole blocks inside; begin >= end if there are none.
  ByteRange whole_blocks() const { return {round_up(begin, kBlockSize), round_down(end, kBlockSize)}; }
  // The blocks it touches.
  ByteRange touched_blocks() const { return {round_down(begin, kBlockSize), round_up(end, kBlockSize)}; }
  bool empty() const { return begin >= end; }
};

// Maps every block of a block-aligned range, one handle a piece, and moves the size along: so what
// was had when space ran out counts. `new_size` 0: the size stays. Kernel: ext4_alloc_file_blocks.
Status alloc_file_blocks(Inode& inode, ByteRange range, uint64_t new_size, uint32_t flags) {
  const bool zeroes = (flags & MapRequest::kConvertUnwritten) != 0;
  uint64_t at = range.begin / kBlockSize;
  const uint64_t end = range.end / kBlockSize;
  while (at < end) {
    const Status status = internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
      const MapRequest request{
          .lblk = LogicalBlock(static_cast<uint32_t>(at)), .len = static_cast<uint32_t>(end - at), .flags = flags};
      FS_ASSIGN_OR_RETURN(const MapResult map, map_blocks(&handle, inode, request));
      at += map.len;
      bool grown = false;
      if (new_size != 0) { grown = internal::update_inode_size(inode, std::min(at * kBlockSize, new_size)); }
      inode.update_times(current_time(), /*mtime=*/grown || zeroes, /*ctime=*/true);
      return inode.mark_dirty(handle);
    });
    FS_RETURN_IF_ERROR(status);
  }
  return ok_status();
}

// Zeroes the parts of the first and last block that the range covers only partly. Kernel:
// ext4_zero_partial_blocks.
Status zero_partial_blocks(Inode& inode, ByteRange range) {
  const auto zero = [&](uint64_t begin, uint64_t end) { return zero_file_part(inode, begin, end - begin); };
  const ByteRange whole = range.whole_blocks();
  if (whole.begin > whole.end) { return zero(range.begin, range.end); }  // inside one block
  if (range.begin < whole.begin) { FS_RETURN_IF_ERROR(zero(range.begin, whole.begin)); }
  if (whole.end < range.end) { FS_RETURN_IF_ERROR(zero(whole.end, range.end)); }
  return ok_status();
}

// Without extents nothing is allocated ahead: there are no unwritten blocks. REQUIRES: i_rwsem.
bool has_extents(const Inode& inode) {
  const bool extents = inode.block_format() == BlockFormat::kExtents;
  FS_TRACE_READ(block_format_ref(inode.ino()), extents ? 1 : 0);
  return extents;
}

// The size that the call asks for, or 0 if it is to stay.
uint64_t wanted_size(const Inode& inode, unsigned mode, ByteRange range) {
  if ((mode & kFallocKeepSize) != 0) { return 0; }
  return range.end > inode.i_size() || range.end > inode.i_disksize() ? range.end : 0;
}

// Kernel: ext4_fallocate.
Status allocate(Inode& inode, unsigned mode, ByteRange range) {
  FS_TRACE_SCOPE("ext4_fallocate", inode_ref(inode.ino()));
  // Under the lock: another task may have changed the format.
  if (!has_extents(inode) && !historical(Bug::kFormatBeforeLock)) { return Errc::kOpNotSupp; }
  const uint64_t new_size = wanted_size(inode, mode, range);
  const DioBarrier barrier(inode);
  FS_RETURN_IF_ERROR(file_update_time(inode));
  return alloc_file_blocks(inode, range.touched_blocks(), new_size, MapRequest::kCreate | MapRequest::kUnwritten);
}

// Between dropping the entries and removing the blocks nothing may map the range again: that is
// what `layout` is for. Kernel: ext4_punch_hole.
Status punch_hole(Inode& inode, ByteRange range) {
  FS_TRACE_SCOPE("ext4_punch_hole", inode_ref(inode.ino()));
  const uint64_t size = inode.i_size();
  if (range.begin >= size) { return ok_status(); }
  range.end = std::min(range.end, round_up(size, kBlockSize));
  FS_RETURN_IF_ERROR(flush_cached_range(inode, range.begin, range.end - 1));
  const DioBarrier barrier(inode, DioBarrierFor::kPunchHole);
  FS_RETURN_IF_ERROR(file_update_time(inode));
  const ByteRange whole = range.whole_blocks();
  const bool early = historical(Bug::kPunchDropsBeforeLock) && !inode.is_dax();
  if (early && !whole.empty()) { drop_file_range(inode, whole.begin, whole.end); }
  const LayoutLock layout(inode, LayoutChange::kPunchHole);
  if (!early && !whole.empty()) { drop_file_range(inode, whole.begin, whole.end); }
  return internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
    FS_RETURN_IF_ERROR(zero_partial_blocks(inode, range));
    if (!whole.empty()) {
      const rt::WriteLock data(inode.i_data_sem);
      FS_RETURN_IF_ERROR(
          remove_range_locked(handle, inode, internal::block_of(whole.begin), internal::block_of(whole.end)));
    }
    inode.update_times(current_time(), /*mtime=*/true, /*ctime=*/true);
    return inode.mark_dirty(handle);
  });
}

// Blocks inside become unwritten, whether they were holes or data. Entries go first, because they
// name written blocks. 6.1 sets the times here and marks the inode dirty only if blocks are had: without space, memory
// has times that the medium never gets.
Status zero_whole_blocks(Inode& inode, ByteRange whole, uint64_t new_size) {
  const LayoutLock layout(inode, LayoutChange::kZeroRange);
  drop_file_range(inode, whole.begin, whole.end);
  constexpr uint32_t kFlags = MapRequest::kCreate | MapRequest::kUnwritten | MapRequest::kConvertUnwritten;
  // Bug kZeroRangeDropsFirst (713e8dde3e71): what was cached is dropped, and the lookups that follow cache it again.
  if (historical(Bug::kZeroRangeDropsFirst)) {
    inode.extent_status.remove(internal::block_of(whole.begin), whole.end / kBlockSize);
    return alloc_file_blocks(inode, whole, new_size, kFlags);
  }
  return alloc_file_blocks(inode, whole, new_size, kFlags | MapRequest::kNoCache);
}

// Kernel: ext4_zero_range.
Status zero_range(Inode& inode, unsigned mode, ByteRange range) {
  FS_TRACE_SCOPE("ext4_zero_range", inode_ref(inode.ino()));
  if (!has_extents(inode)) { return Errc::kOpNotSupp; }
  FS_RETURN_IF_ERROR(flush_cached_range(inode, range.begin, range.end - 1));
  const uint64_t new_size = wanted_size(inode, mode, range);
  const DioBarrier barrier(inode);
  FS_RETURN_IF_ERROR(file_update_time(inode));
  if (!range.aligned()) {
    FS_RETURN_IF_ERROR(
        alloc_file_blocks(inode, range.touched_blocks(), new_size, MapRequest::kCreate | MapRequest::kUnwritten));
  }
  const ByteRange whole = range.whole_blocks();
  if (!whole.empty()) { FS_RETURN_IF_ERROR(zero_whole_blocks(inode, whole, new_size)); }
  if (range.aligned()) { return ok_status(); }
  return internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
    inode.update_times(current_time(), /*mtime=*/true, /*ctime=*/true);
    if (new_size != 0) { internal::update_inode_size(inode, new_size); }
    FS_RETURN_IF_ERROR(inode.mark_dirty(handle));
    return zero_partial_blocks(inode, range);
  });
}

// Kernel: the part of vfs_fallocate behind the access mode.
Status check_inode(Inode& inode, unsigned mode, uint64_t offset, uint64_t length) {
  if (inode.volume().read_only()) { return Errc::kRoFs; }
  const uint32_t flags = inode.flags();
  if ((flags & kFlagAppend) != 0 && (mode & ~kFallocKeepSize) != 0) { return Errc::kPerm; }
  if ((flags & kFlagImmutable) != 0) { return Errc::kPerm; }
  if (offset > kMaxFileBytes || length > kMaxFileBytes - offset) { return Errc::kFBig; }
  // Asked again under the lock. Kernel: ext4_collapse_range, ext4_insert_range, which test this before alignment.
  const bool shifts = (mode & (kFallocCollapseRange | kFallocInsertRange)) != 0;
  return shifts && (flags & kFlagExtents) == 0 ? Status(Errc::kOpNotSupp) : ok_status();
}

}  // namespace

Status fallocate_check_arguments(unsigned mode, int64_t offset, int64_t length) {
  constexpr unsigned kSupported = kFallocKeepSize | kFallocPunchHole | kFallocCollapseRange | kFallocZeroRange |
                                  kFallocInsertRange | kFallocUnshareRange;
  constexpr unsigned kPunchAndZero = kFallocPunchHole | kFallocZeroRange;
  if (offset < 0 || length <= 0) { return Errc::kInval; }
  if ((mode & ~kSupported) != 0) { return Errc::kOpNotSupp; }
  if ((mode & kPunchAndZero) == kPunchAndZero) { return Errc::kOpNotSupp; }
  if ((mode & kFallocPunchHole) != 0 && (mode & kFallocKeepSize) == 0) { return Errc::kOpNotSupp; }
  if ((mode & kFallocCollapseRange) != 0 && mode != kFallocCollapseRange) { return Errc::kInval; }
  if ((mode & kFallocInsertRange) != 0 && mode != kFallocInsertRange) { return Errc::kInval; }
  if ((mode & kFallocUnshareRange) != 0 && (mode & ~(kFallocUnshareRange | kFallocKeepSize)) != 0) {
    return Errc::kInval;
  }
  return ok_status();
}

Status fallocate(Inode& inode, unsigned mode, uint64_t offset, uint64_t length) {
  FS_RETURN_IF_ERROR(check_inode(inode, mode, offset, length));
  if ((mode & kFallocUnshareRange) != 0) {
    return Errc::kOpNotSupp;  // the VFS knows it, ext4 does not
  }
  // Bug kFormatBeforeLock (280227a75b56): the answer may not be true any more when the lock is held.
  constexpr unsigned kOtherModes = kFallocPunchHole | kFallocCollapseRange | kFallocInsertRange | kFallocZeroRange;
  if (historical(Bug::kFormatBeforeLock) && (mode & kOtherModes) == 0 && (inode.flags() & kFlagExtents) == 0) {
    return Errc::kOpNotSupp;
  }
  const rt::WriteLock lock(inode.i_rwsem);
  const ByteRange range{.begin = offset, .end = offset + length};
  if ((mode & kFallocPunchHole) != 0) { return punch_hole(inode, range); }
  if ((mode & kFallocCollapseRange) != 0) { return internal::collapse_range(inode, offset, length); }
  if ((mode & kFallocInsertRange) != 0) { return internal::insert_range(inode, offset, length); }
  if ((mode & kFallocZeroRange) != 0) { return zero_range(inode, mode, range); }
  return allocate(inode, mode, range);
}

}  // namespace daxfs::ext4
