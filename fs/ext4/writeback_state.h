// fs/ext4/writeback_state.h - what the flusher knows of an inode (flusher.h).
//
// Locking: the flusher's.  Tested by: fs/check/flusher_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/flags.h"
#include "fs/base/types.h"
#include "fs/rt/shared.h"

namespace daxfs::ext4 {

class Inode;

struct WritebackState {
  enum Flag : uint8_t {
    kDirtyPages = 1U << 0,  // has dirty pages, or had them when somebody last looked
    kQueued = 1U << 1,      // on the list
    kSync = 1U << 2,        // is being written, so it stays in memory
    kFreeing = 1U << 3,     // is on its way out of memory
  };
  static_assert(distinct_bits({kDirtyPages, kQueued, kSync, kFreeing}));

  bool has(Flag flag) const { return (flags.get() & flag) != 0; }
  void set(unsigned which) { flags = static_cast<uint8_t>(flags.get() | which); }
  void clear(unsigned which) { flags = static_cast<uint8_t>(flags.get() & ~which); }

  rt::Shared<uint8_t, "i_state"> flags = 0;  // of Flag
  rt::Shared<Inode*, "i_io_list"> next = nullptr;
  PgOff next_page;  // where the flusher goes on; of who set kSync. Kernel: writeback_index
};

}  // namespace daxfs::ext4
