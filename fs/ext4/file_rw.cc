// fs/ext4/file_rw.cc - read and write on regular files.
#include "fs/ext4/file_rw.h"

#include <algorithm>

#include "fs/base/report.h"
#include "fs/dax/invalidate.h"
#include "fs/dax/rw.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_times.h"
#include "fs/ext4/fsync.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/ext4/orphan.h"
#include "fs/ext4/truncate.h"
#include "fs/io/direct_io.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

bool use_direct(const Inode& inode, unsigned flags) {
  return (flags & kRwDirect) != 0 && !inode.is_dax();
}

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

// What the kernel calls an i_rwsem held shared or exclusive, decided and changed at run time.
class InodeRwLock {
 public:
  explicit InodeRwLock(Inode& inode) : inode_(inode) {}
  InodeRwLock(const InodeRwLock&) = delete;
  InodeRwLock& operator=(const InodeRwLock&) = delete;
  ~InodeRwLock() { unlock(); }

  // With kRwNoWait: kAgain if somebody holds it. The analysis cannot follow a lock whose mode is
  // data.
  Status lock(bool shared, unsigned flags) FS_NO_THREAD_SAFETY_ANALYSIS {
    if ((flags & kRwNoWait) != 0) {
      const bool got = shared ? inode_.i_rwsem.try_down_read() : inode_.i_rwsem.try_down_write();
      if (!got) {
        return Errc::kAgain;
      }
    } else if (shared) {
      inode_.i_rwsem.down_read();
    } else {
      inode_.i_rwsem.down_write();
    }
    state_ = shared ? State::kShared : State::kExclusive;
    return ok_status();
  }
  void unlock() FS_NO_THREAD_SAFETY_ANALYSIS {  // see lock
    const State state = state_;
    state_ = State::kNone;
    if (state == State::kShared) {
      inode_.i_rwsem.up_read();
    }
    if (state == State::kExclusive) {
      inode_.i_rwsem.up_write();
    }
  }
  bool shared() const { return state_ == State::kShared; }

 private:
  enum class State : uint8_t { kNone, kShared, kExclusive };
  Inode& inode_;
  State state_ = State::kNone;
};

// Where the write goes and whether it may. Clips the buffer. RETURNS: bytes to write, 0 for nothing
// to do. REQUIRES: i_rwsem. Kernel: ext4_generic_write_checks, generic_write_checks.
Result<uint64_t> generic_write_checks(Inode& inode, io::IovBuffer& buffer, uint64_t* pos,
                                      unsigned flags) {
  if (inode.volume().read_only()) {
    return Errc::kRoFs;
  }
  if ((inode.flags() & kFlagImmutable) != 0) {
    return Errc::kPerm;
  }
  if (buffer.remaining() == 0) {
    return uint64_t{0};
  }
  if ((flags & kRwAppend) != 0) {
    *pos = inode.i_size();
  }
  if (*pos >= kMaxFileBytes) {
    return Errc::kFBig;
  }
  buffer.truncate(kMaxFileBytes - *pos);
  return buffer.remaining();
}

Status orphan_add_for_extension(Inode& inode) {
  return internal::with_handle(
      inode, [&](jbd2::Handle& handle) { return orphan_add(inode.volume(), handle, inode.ino()); });
}

// Cuts off what a write that did not get far enough allocated beyond EOF. Kernel:
// ext4_truncate_failed_write.
void truncate_failed_write(Inode& inode) {
  rt::WriteLock lock(inode.mapping().invalidate_lock);
  dax::truncate_mapping_range(inode.mapping(), PgOff(div_round_up(inode.i_size(), kPageSize)),
                              PgOff(~uint64_t{0}));
  truncate_blocks(inode).ignore_error("the write's own result is what the caller hears");
}

// After an extending write: the sizes, blocks beyond them, the orphan list. `done`: what the write
// says. Kernel: ext4_handle_inode_extension.
Result<uint64_t> handle_inode_extension(Inode& inode, uint64_t pos, uint64_t count,
                                        Result<uint64_t> done) {
  const uint64_t written = done.ok() ? *done : 0;
  // Blocks behind the last one written were allocated for nothing (all of them, after an error).
  const bool cut =
      div_round_up(pos + written, kBlockSize) < div_round_up(pos + count, kBlockSize) ||
      written == 0;
  const Status status = internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
    if (written != 0) {
      internal::update_inode_size(inode, pos + written);
    }
    FS_RETURN_IF_ERROR(inode.mark_dirty(handle));
    if (cut || inode.links() == 0) {
      return ok_status();
    }
    return orphan_del(inode.volume(), handle, inode.ino());
  });
  if (cut) {
    truncate_failed_write(inode);
  }
  if (done.ok() && !status.ok()) {
    return status;
  }
  return done;
}

// Kernel: ext4_dax_write_iter, from the checks on.
Result<uint64_t> write_exclusive(Inode& inode, io::IovBuffer& buffer, uint64_t* pos,
                                 unsigned flags) {
  FS_TRACE_SCOPE("ext4_dax_write_iter", inode_ref(inode.ino()));
  FS_ASSIGN_OR_RETURN(const uint64_t count, generic_write_checks(inode, buffer, pos, flags));
  if (count == 0) {
    return uint64_t{0};
  }
  FS_RETURN_IF_ERROR(file_update_time(inode));
  const bool extend = *pos + count > inode.i_disksize();
  if (extend) {
    FS_RETURN_IF_ERROR(orphan_add_for_extension(inode));
  }
  // On a file without DAX this is the uncached copy: nothing of such a file is ever in the tree.
  Result<uint64_t> done = dax::iomap_rw(inode, buffer, *pos, /*write=*/true, iomap_ops());
  if (extend) {
    return handle_inode_extension(inode, *pos, count, std::move(done));
  }
  return done;
}

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

Result<uint64_t> read_shared(Inode& inode, io::IovBuffer& buffer, uint64_t pos, unsigned flags) {
  FS_TRACE_SCOPE("ext4_file_read_iter", inode_ref(inode.ino()));
  InodeRwLock lock(inode);
  FS_RETURN_IF_ERROR(lock.lock(/*shared=*/true, flags));
  if (!use_direct(inode, flags)) {
    return dax::iomap_rw(inode, buffer, pos, /*write=*/false, iomap_ops());
  }
  const DioInFlight in_flight(inode);
  return io::iomap_dio_rw(inode, buffer, pos, /*write=*/false, iomap_ops(), nullptr);
}

}  // namespace

Result<uint64_t> file_read(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags) {
  if (buffer.remaining() == 0) {
    return uint64_t{0};
  }
  FS_ASSIGN_OR_RETURN(const uint64_t done, read_shared(inode, buffer, *pos, flags));
  *pos += done;
  file_accessed(inode);
  return done;
}

Result<uint64_t> file_write(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags) {
  Result<uint64_t> done = [&]() -> Result<uint64_t> {
    if (use_direct(inode, flags)) {
      return dio_write(inode, buffer, pos, flags);
    }
    InodeRwLock lock(inode);
    FS_RETURN_IF_ERROR(lock.lock(/*shared=*/false, flags));
    return write_exclusive(inode, buffer, pos, flags);
  }();
  if (!done.ok() || *done == 0) {
    return done;
  }
  const uint64_t start = *pos;
  *pos += *done;
  if ((flags & (kRwSync | kRwDataSync)) != 0) {
    FS_RETURN_IF_ERROR(sync_file(inode, start, *pos - 1, /*datasync=*/(flags & kRwSync) == 0));
  }
  return done;
}

}  // namespace daxfs::ext4
