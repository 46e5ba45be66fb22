// fs/rt/race.h - plants for the detector of data races: locks that order nothing.
//
// A planted lock still excludes, but neither the detector (rt/shared.h) nor TSan hears of it: to
// both the code looks as if its author had forgotten to take it. So each lock of the library can be
// planted by its name, without a line in fs/.
//
// Locking: not inside a run.  Tested by: fs/rt/shared_test.cc, fuzz/exec/races_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/compiler.h"

namespace daxfs::rt {

#if defined(DAXFS_RT_FIBER)

// Locks of that name, also those that exist; null: none. `name` must live as long.
void plant_unordered_lock(const char* name);
// How often a lock of that name was not told since it was planted.
uint64_t unordered_lock_uses();

#endif

}  // namespace daxfs::rt
