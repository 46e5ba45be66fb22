// fs/ext4/file_dio.cc - direct reads and writes of regular files without DAX.
#include "fs/ext4/file_dio.h"

#include <utility>

#include "fs/base/historical.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/file_buffered.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/file_times.h"
#include "fs/ext4/inode_rw_lock.h"
#include "fs/ext4/io_end.h"
#include "fs/ext4/iomap_ops.h"
#include "fs/ext4/write_steps.h"
#include "fs/io/direct_io.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

// Every block of the range is allocated and written, so that a write changes no metadata. Kernel:
// ext4_overwrite_io.
Result<bool> is_overwrite(Inode& inode, uint64_t pos, uint64_t count) {
  if (pos + count > inode.i_size()) { return false; }
  const LogicalBlock first = internal::block_of(pos);
  const uint32_t blocks = internal::block_after(pos + count) - first;
  FS_ASSIGN_OR_RETURN(const MapResult map, map_blocks(nullptr, inode, {.lblk = first, .len = blocks}));
  return map.state == BlockState::kWritten && map.len == blocks;
}

bool unaligned_io(const io::IovBuffer& buffer, uint64_t pos) {
  uint64_t bits = pos | buffer.remaining();
  if (buffer.is_user()) { bits |= buffer.address().value(); }
  return bits % kBlockSize != 0;
}

// Takes the lock that the write needs: shared only for an aligned overwrite. RETURNS: bytes to
// write. Kernel: ext4_dio_write_checks.
Result<uint64_t> dio_write_checks(Inode& inode, InodeRwLock& lock, io::IovBuffer& buffer, uint64_t* pos,
                                  unsigned flags) {
  bool shared = !unaligned_io(buffer, *pos) && (flags & kRwAppend) == 0 && *pos + buffer.remaining() <= inode.i_size();
  for (;;) {
    lock.lock(shared);
    FS_ASSIGN_OR_RETURN(const uint64_t count, generic_write_checks(inode, buffer, pos, flags));
    if (!shared || count == 0) { return count; }
    FS_ASSIGN_OR_RETURN(const bool overwrite, is_overwrite(inode, *pos, count));
    if (overwrite) { return count; }
    lock.unlock();
    // Reloaded: size and blocks may be different when the lock is held again; the checks run anew.
    shared = false;
  }
}

// --- without the inode lock (mount option dioread_nolock)

// Which way round the two locks of an overwrite are exchanged is what keeps punch away from its blocks, and both from
// each other's throats. The analysis cannot follow an exchange.
void exchange_for_data_sem(Inode& inode) FS_NO_THREAD_SAFETY_ANALYSIS {
  // Bug kOverwriteUnlocksFirst: between the two anybody may take the blocks away; also because a write did not count as
  // in flight so early then (1f555cfa29e8).
  if (historical(Bug::kOverwriteUnlocksFirst)) {
    inode.dio.end();
    inode.i_rwsem.up_write();
    inode.i_data_sem.down_read();
    inode.dio.begin();
    return;
  }
  // Bug kNoLockWithoutDataSem: the lookups are told that the lock is held.
  if (!historical(Bug::kNoLockWithoutDataSem)) { inode.i_data_sem.down_read(); }
  inode.i_rwsem.up_write();
}

void leave_data_sem(Inode& inode) FS_NO_THREAD_SAFETY_ANALYSIS {
  // Bug kRelockUnderDataSem: truncate holds the one and wants the other.
  if (historical(Bug::kRelockUnderDataSem)) { inode.i_rwsem.down_write(); }
  if (historical(Bug::kRelockUnderDataSem) || !historical(Bug::kNoLockWithoutDataSem)) { inode.i_data_sem.up_read(); }
}

void take_inode_lock_again(Inode& inode) FS_NO_THREAD_SAFETY_ANALYSIS {
  if (!historical(Bug::kRelockUnderDataSem)) { inode.i_rwsem.down_write(); }
}

// Whether pinning the buffer first is possible: then no fault is taken under i_data_sem.
bool can_pin_first(const io::IovBuffer& buffer) {
  return !buffer.is_user() || buffer.remaining() <= io::kPinFirstBytes - kPageSize;
}

// Where a bug of 2016 found the request again; nothing in the way things are now.
void set_current_io_end(Inode& inode, IoEnd* io_end, bool overwrite) {
  const bool clobbers = historical(Bug::kIoEndPointerClobber) || historical(Bug::kDeferThroughPointer);
  if (clobbers || !overwrite) { inode.dio.set_current_io_end(io_end); }
}

// Kernel: the overwrite half of ext4_ext_direct_IO, until 4.18. REQUIRES: i_rwsem exclusive, also afterwards.
DioResult overwrite_unlocked(Inode& inode, io::IovBuffer& buffer, uint64_t pos, unsigned flags, io::Kiocb* kiocb) {
  IoEnd* const io_end = IoEnd::begin(inode, flags);
  io_end->on_pinned([](Inode& unlocked) { exchange_for_data_sem(unlocked); });
  const uint64_t count = buffer.remaining();
  io_end->begin_write(/*extends=*/false);
  set_current_io_end(inode, io_end, /*overwrite=*/true);
  DioResult done = io::iomap_dio_submit({.host = inode,
                                         .buffer = buffer,
                                         .pos = pos,
                                         .write = true,
                                         .ops = iomap_nolock_ops(),
                                         .end_io = io_end,
                                         .kiocb = kiocb,
                                         .done_queue = &inode.volume().dio_done_queue(),
                                         .pin_first = true});
  set_current_io_end(inode, nullptr, /*overwrite=*/true);
  leave_data_sem(inode);
  if (done.has_value()) {
    // While the write counts as in flight: a truncate in between would make a stale page dirty. 4.18 did this under the
    // inode lock, when the write no longer counted.
    after_direct_write(inode, pos, count);
    inode.dio.end();
  }
  take_inode_lock_again(inode);
  return done;
}

// The request worked on a copy of the buffer.
DioResult advanced(io::IovBuffer& buffer, DioResult done) {
  if (done.has_value() && done->ok()) { buffer.advance(**done); }
  return done;
}

// RETURNS: the request's result, if it is an overwrite and was done that way; else pos and buffer are as before.
std::optional<DioResult> try_unlocked(Inode& inode, InodeRwLock& lock, io::IovBuffer& buffer, uint64_t* pos,
                                      unsigned flags, io::Kiocb* kiocb) {
  if (!inode.volume().options().dioread_nolock || unaligned_io(buffer, *pos) || !can_pin_first(buffer) ||
      (flags & kRwAppend) != 0 || buffer.remaining() == 0) {
    return std::nullopt;
  }
  // Bug kOverwriteCheckStale: what was true before the lock is taken to be true under it.
  Result<bool> overwrite = false;
  const bool early = historical(Bug::kOverwriteCheckStale);
  if (early) { overwrite = is_overwrite(inode, *pos, buffer.remaining()); }
  lock.lock(/*shared=*/false);
  const Result<uint64_t> count = generic_write_checks(inode, buffer, pos, flags);
  if (!count.ok() || *count == 0) { return DioResult(count); }
  if (!early) { overwrite = is_overwrite(inode, *pos, *count); }
  if (!overwrite.ok()) { return DioResult(Result<uint64_t>(overwrite.status())); }
  if (!*overwrite) {
    lock.unlock();
    return std::nullopt;
  }
  Status stamped = before_direct_io(inode, *pos, *count, /*write=*/true);
  if (stamped.ok()) { stamped = file_update_time(inode); }
  if (!stamped.ok()) { return DioResult(Result<uint64_t>(stamped)); }
  return overwrite_unlocked(inode, buffer, *pos, flags, kiocb);
}

DioResult read_locked_or_not(Inode& inode, io::IovBuffer& buffer, uint64_t pos, io::Kiocb* kiocb, IoEnd* io_end) {
  return io::iomap_dio_submit({.host = inode,
                               .buffer = buffer,
                               .pos = pos,
                               .write = false,
                               .ops = iomap_ops(),
                               .end_io = io_end,
                               .kiocb = kiocb,
                               .done_queue = &inode.volume().dio_done_queue()});
}

}  // namespace

DioResult dio_read(Inode& inode, io::IovBuffer& buffer, uint64_t pos, unsigned flags, io::Kiocb* kiocb) {
  FS_TRACE_SCOPE("ext4_file_read_iter", inode_ref(inode.ino()));
  const Status flushed = before_direct_io(inode, pos, buffer.remaining(), /*write=*/false);
  if (!flushed.ok()) { return Result<uint64_t>(flushed); }
  if (inode.volume().options().dioread_nolock) {
    IoEnd* const io_end = IoEnd::begin(inode, 0);
    if (!inode.dio.unlocked_blocked()) { return read_locked_or_not(inode, buffer, pos, kiocb, io_end); }
    io_end->finished();
  }
  InodeRwLock lock(inode);
  lock.lock(/*shared=*/true);
  return read_locked_or_not(inode, buffer, pos, kiocb, IoEnd::begin(inode, 0));
}

// Kernel: ext4_dio_write_iter.
DioResult dio_write(Inode& inode, io::IovBuffer& buffer, uint64_t* pos, unsigned flags, io::Kiocb* kiocb,
                    OpenFile* file) {
  FS_TRACE_SCOPE("ext4_dio_write_iter", inode_ref(inode.ino()));
  InodeRwLock lock(inode);
  if (auto done = try_unlocked(inode, lock, buffer, pos, flags, kiocb)) { return advanced(buffer, std::move(*done)); }
  const bool unaligned = unaligned_io(buffer, *pos);
  Result<uint64_t> count = dio_write_checks(inode, lock, buffer, pos, flags);
  if (!count.ok() || *count == 0) { return count; }
  // Bug kDioModeReadTwice (CVE-2014-8086): the lock is that of direct I/O, the rest of the way what is asked for now.
  if (historical(Bug::kDioModeReadTwice) && file != nullptr && !use_direct(inode, file->rw_flags())) {
    return buffered_write(inode, buffer, *pos);
  }
  // Two of them could zero the rest of one block at once, or convert what the other one still zeroes.
  if (unaligned) {
    inode.dio.wait();
    inode.dio.wait_for_conversions();
  }
  const bool extend = !lock.shared() && *pos + *count > inode.i_disksize();
  Status status = before_direct_io(inode, *pos, *count, /*write=*/true);
  if (status.ok()) { status = file_update_time(inode); }
  if (status.ok() && extend) { status = orphan_add_for_extension(inode); }
  if (!status.ok()) { return Result<uint64_t>(status); }
  const bool wait = unaligned || extend;  // kernel: IOMAP_DIO_FORCE_WAIT
  IoEnd* const io_end = IoEnd::begin(inode, flags);
  io_end->begin_write(extend);
  set_current_io_end(inode, io_end, lock.shared());
  DioResult done = io::iomap_dio_submit({.host = inode,
                                         .buffer = buffer,
                                         .pos = *pos,
                                         .write = true,
                                         .ops = lock.shared() ? iomap_overwrite_ops() : iomap_ops(),
                                         .end_io = io_end,
                                         .kiocb = wait ? nullptr : kiocb,
                                         .done_queue = &inode.volume().dio_done_queue()});
  set_current_io_end(inode, nullptr, lock.shared());
  if (extend) { done = handle_inode_extension(inode, *pos, *count, std::move(*done)); }
  return advanced(buffer, std::move(done));
}

}  // namespace daxfs::ext4
