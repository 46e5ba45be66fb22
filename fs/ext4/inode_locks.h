// fs/ext4/inode_locks.h - takes the i_rwsem of several inodes in the kernel's order and gives them back.
//
// Kernel: lock_rename, lock_two_nondirectories (fs/namei.c, fs/inode.c). Order: directories before other inodes;
// parents before children; otherwise by inode number. The caller adds in that order; subclasses grow.
//
// Tested by: fs/ext4/namei_test.cc.
#pragma once

#include <array>
#include <cstddef>

#include "fs/base/compiler.h"
#include "fs/base/site.h"
#include "fs/ext4/inode.h"

namespace daxfs::ext4 {

class InodeLocks {
 public:
  InodeLocks() = default;
  InodeLocks(const InodeLocks&) = delete;
  InodeLocks& operator=(const InodeLocks&) = delete;
  ~InodeLocks() { unlock_all(); }

  // Locks exclusively unless this set already holds it. YIELDS.
  void lock(Inode& inode,
            Site site = Site::current()) FS_NO_THREAD_SAFETY_ANALYSIS {  // a set of locks has no static name
    for (size_t i = 0; i < count_; ++i) {
      if (held_[i] == &inode) { return; }
    }
    unsigned& subclass = inode.is_directory() ? directory_subclass_ : file_subclass_;
    inode.i_rwsem.down_write_nested(subclass++, site);
    held_[count_++] = &inode;
  }
  void unlock_all(Site site = Site::current()) FS_NO_THREAD_SAFETY_ANALYSIS {  // a set of locks has no static name
    while (count_ > 0) { held_[--count_]->i_rwsem.up_write(site); }
    directory_subclass_ = 0;
    file_subclass_ = 0;
  }

 private:
  std::array<Inode*, 4> held_{};
  size_t count_ = 0;
  unsigned directory_subclass_ = 0;
  unsigned file_subclass_ = 0;
};

}  // namespace daxfs::ext4
