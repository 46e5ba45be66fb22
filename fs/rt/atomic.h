// fs/rt/atomic.h - Atomic<T>: a shared variable whose every access is a point.
//
// Fiber flavour: plain memory, sequentially consistent at points; loads announce acquire, stores release, both for
// read-modify-write. Native: std::atomic, sequentially consistent.
//
// Locking: any context. YIELDS before the access, never between its halves.  Tested by: fs/rt/atomic_test.cc.
#pragma once

#include "fs/rt/internal.h"

#if defined(DAXFS_RT_NATIVE)
#include <atomic>
#endif

namespace daxfs::rt {

#if defined(DAXFS_RT_FIBER)

template <typename T>
class Atomic {
 public:
  explicit Atomic(T value = T{}) : value_(value), object_(new_object_id(ObjectClass::kAtomic)) {
    daxfs::internal::order_begin(this);
  }
  Atomic(T value, ObjectId object) : value_(value), object_(object) { daxfs::internal::order_begin(this); }
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  FS_NO_TSAN T load(Site site = Site::current()) const {
    point(PointKind::kAtomicLoad, object_, site);
    internal::announce_acquire(this);
    return value_;
  }
  FS_NO_TSAN void store(T value, Site site = Site::current()) {
    point(PointKind::kAtomicStore, object_, site);
    internal::announce_release(this);
    value_ = value;
  }
  FS_NO_TSAN T exchange(T value, Site site = Site::current()) {
    begin_rmw(site);
    const T old = value_;
    value_ = value;
    return old;
  }
  FS_NO_TSAN bool compare_exchange(T& expected, T desired, Site site = Site::current()) {
    begin_rmw(site);
    if (value_ == expected) {
      value_ = desired;
      return true;
    }
    expected = value_;
    return false;
  }
  FS_NO_TSAN T fetch_add(T n, Site site = Site::current()) {
    begin_rmw(site);
    const T old = value_;
    value_ = static_cast<T>(old + n);
    return old;
  }
  FS_NO_TSAN T fetch_sub(T n, Site site = Site::current()) {
    begin_rmw(site);
    const T old = value_;
    value_ = static_cast<T>(old - n);
    return old;
  }
  FS_NO_TSAN T fetch_or(T bits, Site site = Site::current()) {
    begin_rmw(site);
    const T old = value_;
    value_ = static_cast<T>(old | bits);
    return old;
  }
  FS_NO_TSAN T fetch_and(T bits, Site site = Site::current()) {
    begin_rmw(site);
    const T old = value_;
    value_ = static_cast<T>(old & bits);
    return old;
  }

  // For assertions, statistics and initialisation: no point, no ordering.
  FS_NO_TSAN T load_unpointed() const { return value_; }
  FS_NO_TSAN void store_unpointed(T value) { value_ = value; }
  ObjectId object() const { return object_; }
  void set_object(ObjectId object) { object_ = object; }

 private:
  FS_NO_TSAN void begin_rmw(Site site) {
    point(PointKind::kAtomicRmw, object_, site);
    internal::announce_acquire(this);
    internal::announce_release(this);
  }

  T value_;
  ObjectId object_;
};

#else

template <typename T>
class Atomic {
 public:
  explicit Atomic(T value = T{}) : value_(value) {}
  Atomic(T value, ObjectId /*object*/) : value_(value) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(Site /*site*/ = Site::current()) const { return value_.load(); }
  void store(T value, Site /*site*/ = Site::current()) { value_.store(value); }
  T exchange(T value, Site /*site*/ = Site::current()) { return value_.exchange(value); }
  bool compare_exchange(T& expected, T desired, Site /*site*/ = Site::current()) {
    return value_.compare_exchange_strong(expected, desired);
  }
  T fetch_add(T n, Site /*site*/ = Site::current()) { return value_.fetch_add(n); }
  T fetch_sub(T n, Site /*site*/ = Site::current()) { return value_.fetch_sub(n); }
  T fetch_or(T bits, Site /*site*/ = Site::current()) { return value_.fetch_or(bits); }
  T fetch_and(T bits, Site /*site*/ = Site::current()) { return value_.fetch_and(bits); }
  T load_unpointed() const { return value_.load(std::memory_order_relaxed); }
  void store_unpointed(T value) { value_.store(value, std::memory_order_relaxed); }
  ObjectId object() const { return 0; }
  void set_object(ObjectId /*object*/) {}

 private:
  std::atomic<T> value_;
};

#endif

}  // namespace daxfs::rt
