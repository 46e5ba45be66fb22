// fs/rt/refcount.h - reference counter that objects to impossible values. Kernel: refcount_t.
//
// Invariants: RC1 never decremented below zero; RC2 never incremented from zero (use inc_not_zero) nor past
// kSaturated.  Locking: any context. YIELDS before the access.  Tested by: fs/rt/atomic_test.cc.
#pragma once

#include "fs/rt/internal.h"

#if defined(DAXFS_RT_NATIVE)
#include <atomic>
#endif

namespace daxfs::rt {

namespace internal {
FS_COLD void report_ref_underflow(int64_t value, Site site);
FS_COLD void report_ref_overflow(int64_t value, Site site);
}  // namespace internal

class RefCount {
 public:
  static constexpr int32_t kSaturated = 0x40000000;

#if defined(DAXFS_RT_FIBER)
  explicit RefCount(int32_t value = 1) : value_(value), object_(new_object_id(ObjectClass::kAtomic)) {
    daxfs::internal::order_begin(this);
  }
  RefCount(int32_t value, ObjectId object) : value_(value), object_(object) { daxfs::internal::order_begin(this); }
#else
  explicit RefCount(int32_t value = 1) : value_(value) {}
  RefCount(int32_t value, ObjectId /*object*/) : value_(value) {}
#endif
  RefCount(const RefCount&) = delete;
  RefCount& operator=(const RefCount&) = delete;

  void inc(Site site = Site::current()) { add(1, site); }
  FS_NO_TSAN void add(int32_t n, Site site = Site::current()) {
    const int32_t old = fetch_add(n, site);
    if (__builtin_expect(old <= 0 || old >= kSaturated, 0)) { internal::report_ref_overflow(old, site); }
  }
  // False, and nothing happens, when the count is zero.
  [[nodiscard]] bool inc_not_zero(Site site = Site::current());
  // True when this was the last reference; the caller then owns the object alone.
  [[nodiscard]] FS_NO_TSAN bool dec_and_test(Site site = Site::current()) { return sub_return(1, site) == 0; }
  // Drops one unless it is the last; then false, and nothing happens. For contexts that may not free the object.
  // Kernel: refcount_dec_not_one.
  [[nodiscard]] bool dec_not_one(Site site = Site::current());
  // Drops n; returns the new count. For counts whose idle value is not zero.
  FS_NO_TSAN int32_t sub_return(int32_t n, Site site = Site::current()) {
    const int32_t now = fetch_add(-n, site) - n;
    if (__builtin_expect(now < 0, 0)) { internal::report_ref_underflow(now, site); }
    return now;
  }

#if defined(DAXFS_RT_FIBER)
  FS_NO_TSAN int32_t read(Site site = Site::current()) const {
    point(PointKind::kRef, object_, site);
    internal::announce_acquire(this);
    return value_;
  }
  // For assertions and initialisation: no point, no ordering.
  FS_NO_TSAN int32_t load_unpointed() const { return value_; }
  FS_NO_TSAN void store_unpointed(int32_t value) { value_ = value; }
  ObjectId object() const { return object_; }
  void set_object(ObjectId object) { object_ = object; }
#else
  int32_t read(Site /*site*/ = Site::current()) const { return value_.load(); }
  int32_t load_unpointed() const { return value_.load(std::memory_order_relaxed); }
  void store_unpointed(int32_t value) { value_.store(value, std::memory_order_relaxed); }
  ObjectId object() const { return 0; }
  void set_object(ObjectId /*object*/) {}
#endif

 private:
#if defined(DAXFS_RT_FIBER)
  FS_NO_TSAN int32_t fetch_add(int32_t n, Site site) {
    point(PointKind::kRef, object_, site);
    internal::announce_acquire(this);
    internal::announce_release(this);
    const int32_t old = value_;
    value_ = old + n;
    return old;
  }
  int32_t value_;
  ObjectId object_;
#else
  int32_t fetch_add(int32_t n, Site /*site*/) { return value_.fetch_add(n); }
  std::atomic<int32_t> value_;
#endif
};

#if defined(DAXFS_RT_FIBER)
FS_NO_TSAN inline bool RefCount::inc_not_zero(Site site) {
  point(PointKind::kRef, object_, site);
  internal::announce_acquire(this);
  if (value_ == 0) { return false; }
  internal::announce_release(this);
  if (__builtin_expect(value_ < 0 || value_ >= kSaturated, 0)) { internal::report_ref_overflow(value_, site); }
  ++value_;
  return true;
}

FS_NO_TSAN inline bool RefCount::dec_not_one(Site site) {
  point(PointKind::kRef, object_, site);
  internal::announce_acquire(this);
  if (value_ == 1) { return false; }
  internal::announce_release(this);
  if (__builtin_expect(value_ <= 0, 0)) { internal::report_ref_underflow(value_ - 1, site); }
  --value_;
  return true;
}
#else
inline bool RefCount::inc_not_zero(Site site) {
  int32_t value = value_.load();
  while (value != 0) {
    if (value < 0 || value >= kSaturated) { internal::report_ref_overflow(value, site); }
    if (value_.compare_exchange_weak(value, value + 1)) { return true; }
  }
  return false;
}

inline bool RefCount::dec_not_one(Site site) {
  int32_t value = value_.load();
  while (value != 1) {
    if (value <= 0) { internal::report_ref_underflow(value - 1, site); }
    if (value_.compare_exchange_weak(value, value - 1)) { return true; }
  }
  return false;
}
#endif

}  // namespace daxfs::rt
