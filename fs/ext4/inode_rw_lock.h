// fs/ext4/inode_rw_lock.h - InodeRwLock: the inode lock of a read or write, shared or exclusive, decided at run time.
//
// Kernel: inode_lock, inode_lock_shared in fs/ext4/file.c.
// Tested by: fs/ext4/file_rw_test.cc.
#pragma once

#include <cstdint>

#include "fs/ext4/inode.h"

namespace daxfs::ext4 {

// What the kernel calls an i_rwsem held shared or exclusive, decided and changed at run time.
class InodeRwLock {
 public:
  explicit InodeRwLock(Inode& inode) : inode_(inode) {}
  InodeRwLock(const InodeRwLock&) = delete;
  InodeRwLock& operator=(const InodeRwLock&) = delete;
  ~InodeRwLock() { unlock(); }

  void lock(bool shared) FS_NO_THREAD_SAFETY_ANALYSIS {  // which cannot follow a lock whose mode is data
    if (shared) {
      inode_.i_rwsem.down_read();
    } else {
      inode_.i_rwsem.down_write();
    }
    state_ = shared ? State::kShared : State::kExclusive;
  }
  void unlock() FS_NO_THREAD_SAFETY_ANALYSIS {  // see lock
    const State state = state_;
    state_ = State::kNone;
    if (state == State::kShared) { inode_.i_rwsem.up_read(); }
    if (state == State::kExclusive) { inode_.i_rwsem.up_write(); }
  }
  bool shared() const { return state_ == State::kShared; }

 private:
  enum class State : uint8_t { kNone, kShared, kExclusive };
  Inode& inode_;
  State state_ = State::kNone;
};

}  // namespace daxfs::ext4
