// fs/rt/clock.h - the virtual clock.
//
// Fiber flavour: time starts at a fixed instant with every run and moves by kOpTick with every begin_op, and by
// clock_advance; so it does not depend on how tasks interleave inside operations. Native: the real clocks.
//
// Locking: any context; no point.  Tested by: fs/rt/task_test.cc.
#pragma once

#include <cstdint>

namespace daxfs::rt {

inline constexpr uint64_t kClockStartSeconds = 1767225600;  // 2026-01-01T00:00:00Z
inline constexpr uint64_t kOpTickNs = 1000000;

uint64_t clock_realtime_ns();     // since the epoch
uint64_t clock_monotonic_ns();    // since the run's start
void clock_advance(uint64_t ns);  // fiber only

}  // namespace daxfs::rt
