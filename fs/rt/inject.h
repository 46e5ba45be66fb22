// fs/rt/inject.h - rt::inject: is the thing that is about to happen one that shall fail (fs/base/inject.h)?
//
// The counts belong to all tasks: who counts conflicts with everybody else who counts the same kind, and with those
// who come when the failure is over, for it might have been theirs. No point; told like other accesses without one
// (fs/rt/step.h), and only when a failure of the kind is ordered.
//
// Locking: any context.  Tested by: fs/vfs/inject_test.cc, fuzz/tools/explore_subject_test.cc.
#pragma once

#include "fs/base/inject.h"
#include "fs/rt/step.h"

namespace daxfs::rt {

constexpr ObjectId injection_object(Injection kind) {
  return object_id(ObjectClass::kBio, static_cast<uint64_t>(kind), /*b=*/~uint64_t{0});
}

// Counts one of the current task's step; true if this one is to fail.
inline bool inject(Injection kind) {
  if (!injection_armed(kind)) { return false; }
  also(PointKind::kAtomicRmw, injection_object(kind));
  return count_injection(kind);
}

}  // namespace daxfs::rt
