// fs/ext4/layout.h - waits until no page of a file is pinned, so that its blocks may be taken away.
//
// Kernel: fs/ext4/inode.c (ext4_break_layouts, ext4_wait_dax_page).
// Locking: caller holds i_rwsem exclusive and the invalidate lock exclusive. The latter is dropped
// during each sleep,
//   because whoever holds the pin may have to fault for its next page, and is held again on return.
// Invariants:
//   EL1  on return no page of the file that the tree names is referenced above idle.
// Tested by: fs/ext4/layout_test.cc.
#pragma once

#include "fs/base/result.h"

namespace daxfs::ext4 {

class Inode;

// YIELDS. The file's mappings are all unmapped on return.
Status break_layouts(Inode& inode);

}  // namespace daxfs::ext4
