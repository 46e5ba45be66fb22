// fs/ext4/layout.h - waits until no page of a file is pinned, so that its blocks may be taken away.
//
// Kernel: fs/ext4/inode.c (ext4_break_layouts, ext4_wait_dax_page).
// Locking: i_rwsem exclusive and the invalidate lock exclusive. The latter is dropped during each
// sleep, because whoever
//   holds the pin may have to fault for its next page, and is held again on return.
// Invariants:
//   O11  the inode lock is kept while break_layouts sleeps: nobody changes the size meanwhile.
//   EL1  break_layouts runs with the invalidate lock held exclusively.
// Tested by: fs/ext4/layout_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/base/site.h"

namespace daxfs::ext4 {

class Inode;

// Unmaps the file everywhere and sleeps until none of its pages is referenced above idle. REQUIRES:
// i_rwsem and invalidate lock exclusive. YIELDS.
Status break_layouts(Inode& inode);

// Who changes the layout; each has its own historical bug.
enum class LayoutChange : uint8_t { kTruncate, kPunchHole, kCollapseRange, kInsertRange, kZeroRange };

// The invalidate lock, held exclusively, with all layouts broken: how every change of existing
// blocks begins.
class [[nodiscard]] LayoutLock {
 public:
  // REQUIRES: i_rwsem exclusive. YIELDS.
  LayoutLock(Inode& inode, LayoutChange change, Site site = Site::current());
  LayoutLock(const LayoutLock&) = delete;
  LayoutLock& operator=(const LayoutLock&) = delete;
  ~LayoutLock();

 private:
  Inode& inode_;
  bool locked_;
  Site site_;
};

}  // namespace daxfs::ext4
