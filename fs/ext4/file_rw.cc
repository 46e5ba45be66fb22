// fs/ext4/file_rw.cc - read and write on regular files.
#include "fs/ext4/file_rw.h"

#include <utility>

#include "fs/base/flags.h"
#include "fs/dax/rw.h"
#include "fs/ext4/file_buffered.h"
#include "fs/ext4/file_dio.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/file_times.h"
#include "fs/ext4/fsync.h"
#include "fs/ext4/indirect.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/inode_rw_lock.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/ext4/super.h"
#include "fs/ext4/write_steps.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

static_assert(distinct_bits({kRwDirect, kRwAppend, kRwSync, kRwDataSync}));

namespace {

// Kernel: ext4_dax_write_iter, from the checks on.
Result<uint64_t> write_exclusive(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags) {
  FS_TRACE_SCOPE("ext4_dax_write_iter", inode_ref(inode.ino()));
  FS_ASSIGN_OR_RETURN(const uint64_t count, generic_write_checks(inode, buffer, pos, flags));
  if (count == 0) { return uint64_t{0}; }
  FS_RETURN_IF_ERROR(file_update_time(inode));
  if (!inode.is_dax()) { return buffered_write(inode, buffer, *pos); }
  const bool extend = *pos + count > inode.i_disksize();
  if (extend) { FS_RETURN_IF_ERROR(orphan_add_for_extension(inode)); }
  Result<uint64_t> done = dax::iomap_rw(inode, buffer, *pos, /*write=*/true, iomap_ops());
  if (extend) { return handle_inode_extension(inode, *pos, count, std::move(done)); }
  return done;
}

// What is left of a direct write that met a hole it may not fill. Kernel: the end of ext4_dio_write_iter.
Result<uint64_t> write_rest(Inode& inode, io::IovBuffer& buffer, uint64_t pos, unsigned flags) {
  Result<uint64_t> done = uint64_t{0};
  {
    InodeRwLock lock(inode);
    lock.lock(/*shared=*/false);
    done = write_exclusive(inode, buffer, &pos, flags);
  }
  if (!done.ok() || *done == 0) { return done; }
  // On to the device and out of the cache, as a direct write would have it; whether that works is not what it returns.
  if (flush_cached_range(inode, pos, pos + *done - 1).ok()) { after_direct_write(inode, pos, *done); }
  return done;
}

Result<uint64_t> cached_read(Inode& inode, io::IovBuffer& buffer, uint64_t pos) {
  FS_TRACE_SCOPE("ext4_file_read_iter", inode_ref(inode.ino()));
  if (!inode.is_dax()) { return buffered_read(inode, buffer, pos); }
  InodeRwLock lock(inode);
  lock.lock(/*shared=*/true);
  // Where no block can be, nobody gets as far as the end of the file. Kernel: ext4_iomap_begin.
  if (pos >= kMaxFileBytes) { return Errc::kInval; }
  if (pos >= max_file_bytes(inode)) { return Errc::kIo; }
  return dax::iomap_rw(inode, buffer, pos, /*write=*/false, iomap_ops());
}

}  // namespace

uint64_t max_file_bytes(const Inode& inode) {
  if (inode.block_format() != BlockFormat::kIndirect) { return kMaxFileBytes; }
  return block_map_max_bytes(inode.volume().geometry().huge_file());
}

bool beyond_max_file_bytes(const Inode& inode, uint64_t pos) {
  if (pos > kMaxFileBytes) { return true; }
  return pos > block_map_max_bytes(inode.volume().geometry().huge_file()) && (inode.flags() & kFlagExtents) == 0;
}

bool use_direct(const Inode& inode, unsigned flags) { return (flags & kRwDirect) != 0 && !inode.is_dax(); }

DioResult file_read_iter(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags, io::Kiocb* kiocb) {
  if (buffer.remaining() == 0) { return Result<uint64_t>(uint64_t{0}); }
  DioResult done = use_direct(inode, flags) ? dio_read(inode, buffer, *pos, flags, kiocb)
                                            : DioResult(cached_read(inode, buffer, *pos));
  if (done.has_value()) {
    if (!done->ok()) { return done; }
    *pos += **done;
  }
  file_accessed(inode);
  return done;
}

DioResult file_write_iter(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags, io::Kiocb* kiocb,
                          OpenFile* file) {
  DioResult done = [&]() -> DioResult {
    if (use_direct(inode, flags)) {
      DioResult direct = dio_write(inode, buffer, pos, flags, kiocb, file);
      if (direct.has_value() && direct->ok() && buffer.remaining() != 0) {
        const Result<uint64_t> rest = write_rest(inode, buffer, *pos + **direct, flags);
        return rest.ok() ? Result<uint64_t>(**direct + *rest) : rest;
      }
      if (!direct.has_value() || direct->ok() || direct->error() != Errc::kBusy) { return direct; }
      // A page could not be dropped: through the cache, then, and on to the device.
      flags |= kRwDataSync;
    }
    InodeRwLock lock(inode);
    lock.lock(/*shared=*/false);
    return write_exclusive(inode, buffer, pos, flags);
  }();
  if (!done.has_value() || !done->ok() || **done == 0) { return done; }
  const uint64_t start = *pos;
  *pos += **done;
  if ((flags & (kRwSync | kRwDataSync)) != 0) {
    const bool datasync = (flags & kRwSync) == 0;
    const Status synced =
        file != nullptr ? file->sync(start, *pos - 1, datasync) : sync_file(inode, start, *pos - 1, datasync);
    if (!synced.ok()) {
      *pos = start;
      return Result<uint64_t>(synced);
    }
  }
  return done;
}

Result<uint64_t> file_read(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags) {
  return *file_read_iter(inode, buffer, pos, flags, nullptr);
}

Result<uint64_t> file_write(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags, OpenFile* file) {
  return *file_write_iter(inode, buffer, pos, flags, nullptr, file);
}

}  // namespace daxfs::ext4
