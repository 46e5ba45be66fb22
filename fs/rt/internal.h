// fs/rt/internal.h - what the inline halves of the primitives know of the engine. Not for use outside fs/rt.
//
// Locking: fiber flavour: one OS thread, switches only at points, so plain data suffices; every function that touches
// it is FS_NO_TSAN because switches do not synchronise in TSan's eyes.
// Tested by: fs/rt/lock_test.cc, fs/rt/lockdep_test.cc.
#pragma once

#include "fs/base/happens_before.h"
#include "fs/rt/lock_rank.h"
#include "fs/rt/task.h"

#if defined(DAXFS_RT_FIBER) && defined(DAXFS_TSAN)
extern "C" {
void __tsan_acquire(void* addr);  // NOLINT(bugprone-reserved-identifier)
void __tsan_release(void* addr);  // NOLINT(bugprone-reserved-identifier)
}
#endif

namespace daxfs::rt::internal {

#if defined(DAXFS_RT_FIBER)

// A plant of fs/rt/race.h; null when there is none.
extern const char* g_unordered_lock __attribute__((visibility("hidden")));
FS_COLD bool lock_is_unordered(const char* name);
FS_NO_TSAN inline bool planted(const char* lock_name) {
  return __builtin_expect(g_unordered_lock != nullptr, 0) && lock_is_unordered(lock_name);
}

// Happens-before edges of the fiber primitives, for TSan and for the detector of fs/rt/shared.h. Of locks with their
// name.
FS_NO_TSAN inline void announce_acquire(const void* primitive, const char* lock_name = nullptr) {
#if defined(DAXFS_TSAN)
  if (planted(lock_name)) { return; }
  __tsan_acquire(const_cast<void*>(primitive));
#endif
  if (__builtin_expect(daxfs::internal::g_happens_before != nullptr, 0) && !planted(lock_name)) {
    daxfs::internal::g_happens_before->acquire(primitive);
  }
}
FS_NO_TSAN inline void announce_release(const void* primitive, const char* lock_name = nullptr) {
#if defined(DAXFS_TSAN)
  if (planted(lock_name)) { return; }
  __tsan_release(const_cast<void*>(primitive));
#endif
  if (__builtin_expect(daxfs::internal::g_happens_before != nullptr, 0) && !planted(lock_name)) {
    daxfs::internal::g_happens_before->release(primitive);
  }
}

enum class LockMode : uint8_t { kExclusive, kShared, kSpin, kRank };

struct HeldLock {
  const void* lock;  // the primitive; null for a pseudo-lock
  ObjectId object;
  const char* name;
  Site site;
  Rank rank;
  LockMode mode;
  uint16_t level;      // rank and subclass
  uint16_t level_max;  // greatest checked level up to here; 0 when none
};

inline constexpr unsigned kMaxHeldLocks = 48;

constexpr uint16_t lock_level(Rank rank, unsigned subclass) {
  return static_cast<uint16_t>((static_cast<unsigned>(rank) + 1) * 64 + subclass);
}

// The part of a task that locks touch.
struct TaskCore {
  int16_t id = kRootTask;
  Context context = Context::kProcess;
  uint16_t no_sleep = 0;  // reasons why sleeping is forbidden now: spinlocks, read sections, irq context
  uint16_t rcu_depth = 0;
  uint32_t rcu_sections = 0;  // that it ever began
  uint16_t held_count = 0;
  HeldLock held[kMaxHeldLocks];
};

extern TaskCore* g_current __attribute__((visibility("hidden")));

// Cold halves: each reports a verdict. They return only when the installed handler does.
FS_COLD void report_sleep_in_atomic(Site site);
FS_COLD void report_recursion(const void* lock, const char* name, Site site);
FS_COLD void report_rank_inversion(const void* lock, Rank rank, unsigned subclass, const char* name, Site site);
FS_COLD void report_not_held(const char* name, ObjectId object, int owner, Site site);
FS_COLD void report_too_many_held(Site site);
FS_COLD void report_assert_held(const char* name, ObjectId object, Site site);

FS_NO_TSAN inline void check_rank(const void* lock, Rank rank, unsigned subclass, const char* name, Site site) {
  const TaskCore& core = *g_current;
  if (rank == Rank::kNone || core.held_count == 0) { return; }
  if (__builtin_expect(core.held[core.held_count - 1].level_max >= lock_level(rank, subclass), 0)) {
    report_rank_inversion(lock, rank, subclass, name, site);
  }
}

FS_NO_TSAN inline void push_held(const void* lock, ObjectId object, const char* name, Site site, Rank rank,
                                 unsigned subclass, LockMode mode) {
  TaskCore& core = *g_current;
  if (__builtin_expect(core.held_count == kMaxHeldLocks, 0)) {
    report_too_many_held(site);
    return;
  }
  const uint16_t below = core.held_count == 0 ? uint16_t{0} : core.held[core.held_count - 1].level_max;
  HeldLock& held = core.held[core.held_count++];
  held.lock = lock;
  held.object = object;
  held.name = name;
  held.site = site;
  held.rank = rank;
  held.mode = mode;
  held.level = rank == Rank::kNone ? uint16_t{0} : lock_level(rank, subclass);
  held.level_max = held.level > below ? held.level : below;
}

// Out of order removal; recomputes level_max above it.
void remove_held(TaskCore* core, unsigned index);

// False when the current task does not hold `lock`.
FS_NO_TSAN inline bool pop_held(const void* lock) {
  TaskCore& core = *g_current;
  if (__builtin_expect(core.held_count != 0 && core.held[core.held_count - 1].lock == lock, 1)) {
    --core.held_count;
    return true;
  }
  for (unsigned i = core.held_count; i-- > 0;) {
    if (core.held[i].lock == lock) {
      remove_held(&core, i);
      return true;
    }
  }
  return false;
}

FS_NO_TSAN inline const HeldLock* find_held(const void* lock) {
  const TaskCore& core = *g_current;
  for (unsigned i = core.held_count; i-- > 0;) {
    if (core.held[i].lock == lock) { return &core.held[i]; }
  }
  return nullptr;
}

FS_NO_TSAN inline void check_may_sleep(Site site) {
  if (__builtin_expect(g_current->no_sleep != 0, 0)) { report_sleep_in_atomic(site); }
}

// One task in the queue of a lock; lives on the blocked task's stack.
struct LockWaiter {
  LockWaiter* next = nullptr;
  TaskCore* task = nullptr;
  bool exclusive = true;
};

struct LockQueue {
  LockWaiter* head = nullptr;
  LockWaiter* tail = nullptr;
  FS_NO_TSAN bool empty() const { return head == nullptr; }
  FS_NO_TSAN void push(LockWaiter* waiter) {
    waiter->next = nullptr;
    (tail == nullptr ? head : tail->next) = waiter;
    tail = waiter;
  }
  FS_NO_TSAN LockWaiter* pop() {
    LockWaiter* waiter = head;
    head = waiter->next;
    if (head == nullptr) { tail = nullptr; }
    return waiter;
  }
};

#endif  // DAXFS_RT_FIBER

}  // namespace daxfs::rt::internal
