// fuzz/sched/access.h - how the access behind a point looks to other tasks: which ones conflict.
//
// Two accesses conflict when they are of different tasks, to one object, and one of them may change it.
//
// Tested by: fuzz/explore/fingerprint_test.cc, fuzz/sched/pos_test.cc.
#pragma once

#include <cstdint>

#include "fs/rt/point.h"

namespace daxfuzz::sched {

enum class Access : uint8_t { kNone, kRead, kWrite };

// Begins of operations commute with each other, and ends are ordered against them: judges ask which operations
// overlapped.
constexpr Access access_of(daxfs::rt::PointKind kind) {
  using daxfs::rt::PointKind;
  switch (kind) {
    case PointKind::kAtomicLoad:
    case PointKind::kPteRead:
    case PointKind::kTreeRead:
    case PointKind::kUserLoad:
    case PointKind::kOpBegin: return Access::kRead;
    case PointKind::kYield: return Access::kNone;
    default: return Access::kWrite;
  }
}

// The object that an event is about; operations' begins and ends share one.
constexpr daxfs::rt::ObjectId object_of(daxfs::rt::PointKind kind, daxfs::rt::ObjectId object) {
  using daxfs::rt::PointKind;
  const bool of_operations = kind == PointKind::kOpBegin || kind == PointKind::kOpEnd;
  return of_operations ? daxfs::rt::object_id(daxfs::rt::ObjectClass::kOp, 0) : object;
}

}  // namespace daxfuzz::sched
