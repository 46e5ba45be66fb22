// fs/base/happens_before.h - where whatever orders tasks says so: for a detector of data races (rt/race.h).
//
// Primitives of fs/rt say it through fs/rt/internal.h, which tells TSan, too. Here, below everything, so that RawLock
// and atomics of structures without a primitive (a buffer's state) can say it as well; those TSan sees by itself.
// Without a detector each call costs one predictable branch. Native flavour: nothing.
//
// Locking: any context; no scheduling point.  Tested by: fs/rt/shared_test.cc.
#pragma once

#include "fs/base/compiler.h"

namespace daxfs::internal {

#if defined(DAXFS_RT_FIBER)

struct HappensBefore {
  void (*acquire)(const void* primitive);
  void (*release)(const void* primitive);
  // The primitive is new: what an earlier one at its address ordered, it does not.
  void (*begin)(const void* primitive);
};

extern const HappensBefore* g_happens_before __attribute__((visibility("hidden")));

FS_NO_TSAN inline void order_acquire(const void* primitive) {
  if (__builtin_expect(g_happens_before != nullptr, 0)) { g_happens_before->acquire(primitive); }
}
FS_NO_TSAN inline void order_release(const void* primitive) {
  if (__builtin_expect(g_happens_before != nullptr, 0)) { g_happens_before->release(primitive); }
}
FS_NO_TSAN inline void order_begin(const void* primitive) {
  if (__builtin_expect(g_happens_before != nullptr, 0)) { g_happens_before->begin(primitive); }
}

#else

constexpr void order_acquire(const void* /*primitive*/) {}
constexpr void order_release(const void* /*primitive*/) {}
constexpr void order_begin(const void* /*primitive*/) {}

#endif

}  // namespace daxfs::internal
