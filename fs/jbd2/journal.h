// fs/jbd2/journal.h - where handles come from. For now the journal is off: a stopped handle's blocks go to the device.
//
// Kernel: fs/jbd2/transaction.c (jbd2_journal_start), fs/ext4/ext4_jbd2.c (the no-journal mode).
// Locking: each task touches its own slot of the table of running handles only (native: a thread-local, because threads
//   that the seam did not start have no task id of their own); the pool of handle states has a raw lock.
//   A running handle holds rank kHandle.
// Invariants:
//   JO1  a task has at most one running handle; a nested start returns that one.
//   JO2  at the end of a journal no handle runs.
// Not covered: commit, revoke, checkpoint, recovery (journal mode); crash atomicity of a handle.
// Tested by: fs/jbd2/jbd2_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/raw_lock.h"
#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/jbd2/buffer.h"
#include "fs/rt/task.h"

namespace daxfs::jbd2 {

class Handle;
struct HandleState;

class Journal {
 public:
  explicit Journal(BufferCache& buffers);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  BufferCache& buffers() { return buffers_; }
  // After abort every start fails with kRoFs (kernel: journal abort, errors=remount-ro).
  void abort() { aborted_ = true; }
  bool aborted() const { return aborted_; }
  // No handle is running: what was changed is on the medium.
  bool idle() {
    const RawGuard guard(lock_);
    return handles_running_ == 0;
  }

 private:
  friend class Handle;
  friend Result<Handle> start(Journal& journal, unsigned credits, Site site);

  HandleState*& current();  // the slot of the current task
  HandleState* take_state();
  void give_state(HandleState* state);

  BufferCache& buffers_;
  const rt::ObjectId object_;
#if defined(DAXFS_RT_FIBER)
  std::array<HandleState*, rt::kMaxTasks + 1> running_{};  // by task id + 1
#endif
  RawLock lock_;
  uint32_t handles_running_ FS_GUARDED_BY(lock_) = 0;
  std::vector<std::unique_ptr<HandleState>> spare_ FS_GUARDED_BY(lock_);
  uint64_t handles_started_ FS_GUARDED_BY(lock_) = 0;
  bool aborted_ = false;
};

}  // namespace daxfs::jbd2
