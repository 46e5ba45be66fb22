// fs/ext4/inode_dio.h - InodeDio: the direct I/O of one inode that is in flight, and those who wait for it.
//
// With the mount option dioread_nolock reads, and writes that change no block, run without the inode lock. What takes
// blocks away makes a DioBarrier: unlocked requests that come now take the lock like others, and those in flight are
// waited for.
//
// Kernel: inode_dio_begin/end/wait (include/linux/fs.h); i_unwritten, EXT4_STATE_DIOREAD_LOCK and
// ext4_inode_block_unlocked_dio (fs/ext4/ext4.h until 4.20).
// Locking: counts are atomic. wait and DioBarrier want i_rwsem exclusive, or none would ever be the last.
// Invariants:
//   ID1  the count of conversions to come never falls below zero.
// Tested by: fs/vfs/aio_test.cc, fs/ext4/file_rw_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/types.h"
#include "fs/rt/atomic.h"
#include "fs/rt/wait_queue.h"

namespace daxfs::ext4 {

class Inode;
class IoEnd;

class InodeDio {
 public:
  explicit InodeDio(Ino ino) : ino_(ino) {}  // whose: for traces

  // RETURNS: the number of the request, from 1: for traces.
  uint64_t begin();
  void end();
  void wait();  // YIELDS

  // Unwritten conversions that requests will do when their bytes are there. Kernel: ext4_set_io_unwritten_flag,
  // ext4_clear_io_unwritten_flag, ext4_unwritten_wait.
  void conversion_begin();
  void conversion_end();
  void wait_for_conversions();  // YIELDS

  // --- unlocked requests
  bool unlocked_blocked() const { return unlocked_blocked_.load() != 0; }
  void block_unlocked() { unlocked_blocked_.fetch_add(1); }
  void resume_unlocked() { unlocked_blocked_.fetch_sub(1); }

  // Where code of 2012 kept the request that it was submitting; only historical bugs use it.
  IoEnd* current_io_end() const;
  void set_current_io_end(IoEnd* io_end);

 private:
  const Ino ino_;
  uint64_t begun_ = 0;  // atomic; no point, no object: nothing but traces looks at it
  rt::Atomic<uint32_t> count_{0};
  rt::WaitQueue queue_{"i_dio_count"};
  rt::Atomic<int32_t> conversions_{0};
  rt::WaitQueue conversion_queue_{"i_unwritten"};
  rt::Atomic<uint32_t> unlocked_blocked_{0};
  rt::Atomic<IoEnd*> current_io_end_{nullptr};
};

// Who takes blocks away; some have historical bugs of their own.
enum class DioBarrierFor : uint8_t { kOther, kPunchHole };

class [[nodiscard]] DioBarrier {
 public:
  // REQUIRES: i_rwsem exclusive. YIELDS.
  explicit DioBarrier(Inode& inode, DioBarrierFor who = DioBarrierFor::kOther);
  DioBarrier(const DioBarrier&) = delete;
  DioBarrier& operator=(const DioBarrier&) = delete;
  ~DioBarrier();

 private:
  Inode& inode_;
  bool blocked_;
};

}  // namespace daxfs::ext4
