// fs/rt/point.h - scheduling points: the only places where another task may run.
//
// Every access to state that another task can see passes a point. In the fiber flavour a point counts one event of the
// current task and, when the policy's budget is used up, asks the policy who runs next. In the native flavour a point
// is nothing.
//
// Locking: any context, also with spinlocks held or in an RCU read section (another CPU runs meanwhile). YIELDS.
// Tested by: fs/rt/engine_test.cc, fuzz/bench/rt_bench.cc.
#pragma once

#include <cstdint>

#include "fs/base/compiler.h"
#include "fs/base/site.h"

namespace daxfs::rt {

enum class PointKind : uint8_t {
  kLock,
  kUnlock,
  kWait,
  kWake,
  kAtomicLoad,
  kAtomicStore,
  kAtomicRmw,
  kRef,
  kPteRead,
  kPteWrite,
  kTreeRead,
  kTreeWrite,
  kPmemStore,
  kPmemFlush,
  kPmemFence,
  kUserLoad,
  kUserStore,
  kBioSubmit,
  kBioComplete,
  kOpBegin,
  kOpEnd,
  kRcu,
  kTask,
  kYield,
  kCount,
};

// "lock", "pte-read", ...: for traces and diagrams.
const char* point_kind_name(PointKind kind);

// What a point touches. Never derived from an address: equal in every run and build of the same program.
using ObjectId = uint64_t;

enum class ObjectClass : uint8_t {
  kNone,
  kLock,
  kWaitQueue,
  kAtomic,
  kFrame,
  kPte,
  kTree,
  kPmem,
  kInode,
  kBio,
  kTask,
  kOp,
  kCount,
};
const char* object_class_name(ObjectClass object_class);

inline constexpr unsigned kObjectClassShift = 56;

constexpr ObjectClass object_class(ObjectId object) { return static_cast<ObjectClass>(object >> kObjectClassShift); }

// The identity of (a, b) in a class. Exact (readable) when b is 0 and a is below 2^56; otherwise mixed.
constexpr ObjectId object_id(ObjectClass cls, uint64_t a, uint64_t b = 0) {
  constexpr uint64_t mask = (uint64_t{1} << kObjectClassShift) - 1;
  uint64_t low = a;
  if (b != 0 || a > mask) {
    low = (a ^ (a >> 31)) * 0x9e3779b97f4a7c15u;
    low ^= (low >> 29) + b * 0xbf58476d1ce4e5b9u;
    low = (low ^ (low >> 32)) * 0x94d049bb133111ebu;
    low ^= low >> 29;
  }
  return (static_cast<uint64_t>(cls) << kObjectClassShift) | (low & mask);
}

// The next identity of the current task's counter, which starts anew with every run: what a task
// makes has the same identity whatever the others did meanwhile.
ObjectId new_object_id(ObjectClass cls);

#if defined(DAXFS_RT_FIBER)
// What is made while this exists counts from `first`, in a range of its own: state that outlives a run and is made anew
// between runs so has the same identity in each of them. Not nested.
class ObjectIdsFrom {
 public:
  explicit ObjectIdsFrom(uint64_t first);
  ~ObjectIdsFrom();
  ObjectIdsFrom(const ObjectIdsFrom&) = delete;
  ObjectIdsFrom& operator=(const ObjectIdsFrom&) = delete;
};
#else
class ObjectIdsFrom {
 public:
  explicit ObjectIdsFrom(uint64_t /*first*/) {}
  ~ObjectIdsFrom() {}
};
#endif

#if defined(DAXFS_RT_FIBER)

namespace internal {
// Events left until the engine must look; far from zero while no run is active.
extern uint64_t g_countdown __attribute__((visibility("hidden")));
FS_NOINLINE void point_slow(PointKind kind, ObjectId object, Site site);
}  // namespace internal

FS_NO_TSAN inline void point(PointKind kind, ObjectId object, Site site = Site::current()) {
  if (__builtin_expect(--internal::g_countdown == 0, 0)) { internal::point_slow(kind, object, site); }
}

#else

constexpr void point(PointKind /*kind*/, ObjectId /*object*/, Site /*site*/ = Site::current()) {}

#endif

}  // namespace daxfs::rt
