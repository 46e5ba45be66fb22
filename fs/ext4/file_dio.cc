// fs/ext4/file_dio.cc - direct reads and writes of regular files without DAX.
#include "fs/ext4/file_dio.h"

#include <utility>

#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_times.h"
#include "fs/ext4/inode_rw_lock.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/ext4/write_steps.h"
#include "fs/io/direct_io.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

// A direct I/O in flight, for those who wait for all of them (kernel: inode_dio_begin,
// inode_dio_end).
class DioInFlight {
 public:
  explicit DioInFlight(Inode& inode) : inode_(inode) { inode_.dio_begin(); }
  DioInFlight(const DioInFlight&) = delete;
  DioInFlight& operator=(const DioInFlight&) = delete;
  ~DioInFlight() { inode_.dio_end(); }

 private:
  Inode& inode_;
};

// Unwritten blocks become written once the bytes are on the device; in process context, because
// that takes a handle. Kernel: ext4_dio_write_end_io.
class ConvertUnwritten final : public io::DioEndIo {
 public:
  Status end_io(io::IomapHost& host, uint64_t pos, uint64_t size, Status error,
                bool unwritten) override {
    if (!error.ok() || size == 0 || !unwritten) {
      return error;
    }
    Inode& inode = static_cast<Inode&>(host);
    const LogicalBlock first = internal::block_of(pos);
    const uint32_t count = internal::block_after(pos + size) - first;
    return internal::with_handle(inode, [&](jbd2::Handle& handle) {
      return convert_unwritten_extents(handle, inode, first, count);
    });
  }
};

// Every block of the range is allocated and written, so that a write changes no metadata. Kernel:
// ext4_overwrite_io.
Result<bool> is_overwrite(Inode& inode, uint64_t pos, uint64_t count) {
  if (pos + count > inode.i_size()) {
    return false;
  }
  const LogicalBlock first = internal::block_of(pos);
  const uint32_t blocks = internal::block_after(pos + count) - first;
  FS_ASSIGN_OR_RETURN(const MapResult map,
                      map_blocks(nullptr, inode, {.lblk = first, .len = blocks}));
  return map.state == BlockState::kWritten && map.len == blocks;
}

bool unaligned_io(const io::IovBuffer& buffer, uint64_t pos) {
  uint64_t bits = pos | buffer.remaining();
  if (buffer.is_user()) {
    bits |= buffer.address().value();
  }
  return bits % kBlockSize != 0;
}

// Takes the lock that the write needs: shared only for an aligned overwrite. RETURNS: bytes to
// write. Kernel: ext4_dio_write_checks.
Result<uint64_t> dio_write_checks(Inode& inode, InodeRwLock& lock, io::IovBuffer& buffer,
                                  uint64_t* pos, unsigned flags) {
  bool shared = !unaligned_io(buffer, *pos) && (flags & kRwAppend) == 0 &&
                *pos + buffer.remaining() <= inode.i_size();
  for (;;) {
    FS_RETURN_IF_ERROR(lock.lock(shared, flags));
    FS_ASSIGN_OR_RETURN(const uint64_t count, generic_write_checks(inode, buffer, pos, flags));
    if (!shared || count == 0) {
      return count;
    }
    FS_ASSIGN_OR_RETURN(const bool overwrite, is_overwrite(inode, *pos, count));
    if (overwrite) {
      return count;
    }
    lock.unlock();
    // Reloaded: size and blocks may be different when the lock is held again; the checks run anew.
    shared = false;
  }
}

}  // namespace

Result<uint64_t> dio_read(Inode& inode, io::IovBuffer& buffer, uint64_t pos, unsigned flags) {
  FS_TRACE_SCOPE("ext4_file_read_iter", inode_ref(inode.ino()));
  InodeRwLock lock(inode);
  FS_RETURN_IF_ERROR(lock.lock(/*shared=*/true, flags));
  const DioInFlight in_flight(inode);
  return io::iomap_dio_rw(inode, buffer, pos, /*write=*/false, iomap_ops(), nullptr);
}

// Kernel: ext4_dio_write_iter.
Result<uint64_t> dio_write(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags) {
  FS_TRACE_SCOPE("ext4_dio_write_iter", inode_ref(inode.ino()));
  InodeRwLock lock(inode);
  FS_ASSIGN_OR_RETURN(const uint64_t count, dio_write_checks(inode, lock, buffer, pos, flags));
  if (count == 0) {
    return uint64_t{0};
  }
  FS_RETURN_IF_ERROR(file_update_time(inode));
  const bool extend = !lock.shared() && *pos + count > inode.i_disksize();
  if (extend) {
    FS_RETURN_IF_ERROR(orphan_add_for_extension(inode));
  }
  ConvertUnwritten end_io;
  io::IomapOps& ops = lock.shared() ? iomap_overwrite_ops() : iomap_ops();
  Result<uint64_t> done = [&] {
    const DioInFlight in_flight(inode);
    return io::iomap_dio_rw(inode, buffer, *pos, /*write=*/true, ops, &end_io);
  }();
  if (extend) {
    return handle_inode_extension(inode, *pos, count, std::move(done));
  }
  return done;
}

}  // namespace daxfs::ext4
