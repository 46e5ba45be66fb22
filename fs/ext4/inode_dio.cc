// fs/ext4/inode_dio.cc - counting direct I/O in flight, and waiting for it.
#include "fs/ext4/inode_dio.h"

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/ext4/inode.h"
#include "fs/ext4/super.h"

namespace daxfs::ext4 {

void InodeDio::end() {
  if (count_.fetch_sub(1) == 1) {
    queue_.wake_all();
  }
}

void InodeDio::wait() {
  queue_.wait_event([&] { return count_.load() == 0; });
}

void InodeDio::conversion_end() {
  const int32_t before = conversions_.fetch_sub(1);
  FS_WARN_ON(before <= 0, "ID1", "a conversion ends, and %d were to come", before);
  if (before == 1) {
    conversion_queue_.wake_all();
  }
}

void InodeDio::wait_for_conversions() {
  conversion_queue_.wait_event([&] { return conversions_.load() == 0; });
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
  if (blocked_) {
    inode_.dio.resume_unlocked();
  }
}

}  // namespace daxfs::ext4
