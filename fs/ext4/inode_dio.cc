// fs/ext4/inode_dio.cc - counting direct I/O in flight, and waiting for it.
#include "fs/ext4/inode_dio.h"

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/io_end.h"
#include "fs/ext4/super.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

uint64_t InodeDio::begin() {
  const uint32_t before = count_.fetch_add(1);
  FS_TRACE_WRITE(in_flight_ref(ino_), before, before + 1);
  return __atomic_add_fetch(&begun_, 1, __ATOMIC_RELAXED);
}

void InodeDio::end() {
  const uint32_t before = count_.fetch_sub(1);
  FS_TRACE_WRITE(in_flight_ref(ino_), before, before - 1);
  if (before == 1) { queue_.wake_all(); }
}

void InodeDio::wait() {
  FS_TRACE_SCOPE("inode_dio_wait", inode_ref(ino_));
  queue_.wait_event([&] {
    const uint32_t count = count_.load();
    FS_TRACE_READ(in_flight_ref(ino_), count);
    return count == 0;
  });
}

void InodeDio::conversion_begin() {
  const int32_t before = conversions_.fetch_add(1);
  FS_TRACE_WRITE(conversions_ref(ino_), static_cast<uint64_t>(before), static_cast<uint64_t>(before) + 1);
}

void InodeDio::conversion_end() {
  const int32_t before = conversions_.fetch_sub(1);
  FS_TRACE_WRITE(conversions_ref(ino_), static_cast<uint64_t>(before), static_cast<uint64_t>(before) - 1);
  FS_WARN_ON(before <= 0, "ID1", "a conversion ends, and %d were to come", before);
  if (before == 1) { conversion_queue_.wake_all(); }
}

void InodeDio::wait_for_conversions() {
  FS_TRACE_SCOPE("ext4_unwritten_wait", inode_ref(ino_));
  conversion_queue_.wait_event([&] {
    const int32_t to_come = conversions_.load();
    FS_TRACE_READ(conversions_ref(ino_), static_cast<uint64_t>(to_come));
    return to_come == 0;
  });
}

IoEnd* InodeDio::current_io_end() const {
  IoEnd* const current = current_io_end_.load_unpointed();
  FS_TRACE_READ(current_request_ref(ino_), current == nullptr ? 0 : current->number());
  return current;
}

void InodeDio::set_current_io_end(IoEnd* io_end) {
  IoEnd* const before = current_io_end_.load_unpointed();
  current_io_end_.store_unpointed(io_end);
  FS_TRACE_WRITE(current_request_ref(ino_), before == nullptr ? 0 : before->number(),
                 io_end == nullptr ? 0 : io_end->number());
}

DioBarrier::DioBarrier(Inode& inode, DioBarrierFor who) : inode_(inode), blocked_(false) {
  const bool punch = who == DioBarrierFor::kPunchHole;
  // Bug kPunchLetsUnlockedIn (26a4c0c6ccec): the wait comes to its end, and the next unlocked read is in already.
  if (inode.volume().options().dioread_nolock && !(punch && historical(Bug::kPunchLetsUnlockedIn))) {
    inode.dio.block_unlocked();
    blocked_ = true;
  }
  // Bug kPunchFlushesOnly (02d262dffcf4): what has completed is converted, what is in flight goes on.
  if (punch && historical(Bug::kPunchFlushesOnly)) {
    inode.volume().dio_done_queue().flush();
    return;
  }
  inode.dio.wait();
}

DioBarrier::~DioBarrier() {
  if (blocked_) { inode_.dio.resume_unlocked(); }
}

}  // namespace daxfs::ext4
