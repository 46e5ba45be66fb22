// fuzz/exec/observer_reads.h - a harness that looks at live kernel state between two points of a
// fiber.
//
// No other fiber can run meanwhile, so the look is atomic without the locks that code in fs/ must
// take; taking them would add points and change what is observed. TSan, which judges fibers by
// happens-before alone, must not listen; nor must the detector of fs/rt/shared.h. Not covered:
// native threads: there the look would be a race; callers do not look. Tested by:
// fuzz/exec/durability_test.cc, in the tsan flavour
#pragma once

#include "fs/base/compiler.h"
#include "fs/rt/shared.h"

#if defined(DAXFS_TSAN)
extern "C" {
// The dynamic annotations of compiler-rt, which has no header for them.
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}
#endif

namespace daxfuzz::exec {

// While one lives the fiber must not reach a point: the next fiber's reads would be hidden too.
class ObserverReads {
 public:
#if defined(DAXFS_TSAN)
  ObserverReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~ObserverReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#else
  ObserverReads() = default;
  ~ObserverReads() {}  // user-provided, so that an unused variable is not warned about
#endif
  ObserverReads(const ObserverReads&) = delete;
  ObserverReads& operator=(const ObserverReads&) = delete;

 private:
  const daxfs::rt::UnwatchedAccesses unwatched_;
};

}  // namespace daxfuzz::exec
