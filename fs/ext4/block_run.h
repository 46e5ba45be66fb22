// fs/ext4/block_run.h - a run of physical blocks.
// Tested by: fs/ext4/balloc_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/types.h"

namespace daxfs::ext4 {

struct BlockRun {
  FsBlock first;
  uint32_t count = 0;
  FsBlock end() const { return first + count; }
};

}  // namespace daxfs::ext4
