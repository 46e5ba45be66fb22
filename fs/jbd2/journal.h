// fs/jbd2/journal.h - where handles come from. For now the journal is off: a stopped handle's blocks go to the device.
//
// Kernel: fs/jbd2/transaction.c (jbd2_journal_start), fs/ext4/ext4_jbd2.c (the no-journal mode).
// Locking: the table of running handles has a leaf spinlock. A running handle holds rank kHandle.
// Invariants:
//   JO1  a task has at most one running handle; a nested start returns that one.
//   JO2  at the end of a journal no handle runs.
// Not covered: commit, revoke, checkpoint, recovery (journal mode); crash atomicity of a handle.
// Tested by: fs/jbd2/jbd2_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/result.h"
#include "fs/base/site.h"
#include "fs/jbd2/buffer.h"
#include "fs/rt/spinlock.h"

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

 private:
  friend class Handle;
  friend Result<Handle> start(Journal& journal, unsigned credits, Site site);

  HandleState* current_locked() FS_REQUIRES(lock_);

  BufferCache& buffers_;
  rt::SpinLock lock_;
  std::vector<HandleState*> running_ FS_GUARDED_BY(lock_);
  std::vector<std::unique_ptr<HandleState>> states_ FS_GUARDED_BY(lock_);  // owns all, running or spare
  std::vector<HandleState*> spare_ FS_GUARDED_BY(lock_);
  bool aborted_ = false;
};

}  // namespace daxfs::jbd2
