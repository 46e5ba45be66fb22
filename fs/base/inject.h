// fs/base/inject.h - failures on order: the Nth bio, allocation of blocks, or page of private memory fails.
//
// Armed when a volume is mounted (mount options fail_bio=, fail_alloc=, fail_memory=; counting begins there), for the
// whole process: one plan at a time. What is counted happens in an order that the schedule decides, so the same program
// and schedule fail at the same place.
//
// Who counts is told of it by rt::inject (fs/rt/inject.h), which is what code above fs/rt asks.
//
// Kernel: fault injection (lib/fault-inject.c) with its `times` and `interval`; f2fs has it as mount options.
// Locking: any context; arm() while nothing else runs.  Tested by: fs/vfs/inject_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "fs/base/compiler.h"

namespace daxfs {

enum class Injection : uint8_t { kBio, kAlloc, kMemory, kCount };

// For each kind, which one from now on fails, counted from 1; 0: none.
using InjectionPlan = std::array<uint32_t, static_cast<size_t>(Injection::kCount)>;

namespace internal {
extern InjectionPlan g_injections;  // how many are left before the one that fails, and it; 0: none
extern InjectionPlan g_plan;        // as armed
}  // namespace internal

void arm_injections(const InjectionPlan& plan);

// Whether one of this kind was or will be ordered to fail since arm(): else nothing is counted.
inline bool injection_armed(Injection kind) {
  return __builtin_expect(__atomic_load_n(&internal::g_plan[static_cast<size_t>(kind)], __ATOMIC_RELAXED) != 0, 0);
}
// Counts one; true if this one is to fail.
FS_COLD bool count_injection(Injection kind);

}  // namespace daxfs
