// fs/rt/shared.h - Shared<T, "name">: plain data that tasks share under some lock; a detector of data races watches it.
//
//   rt::SpinLock i_lock_;
//   rt::Shared<uint32_t, "i_nlink"> links_ FS_GUARDED_BY(i_lock_) = 0;
//
// It is a T in size, and in use as far as conversions go: `links_ = 2`, `++links_`, `if (links_ == 0)`, `file->get()`.
// What conversions do not do: `get()` for members of T, `write()` for a container or bytes that are changed in place
// (the announcement is at the call: no scheduling point may pass while the reference is used), `peek()` for hints,
// assertions and auditors that look without the lock on purpose.
//
// Clang's analysis sees that code which names a field holds the lock it names; this sees that any two tasks which
// touched it were ordered, by whatever ordered them: locks, entry locks, RCU, a queue, the end of a task.
// Off (RunLimits::races) an access costs a call and one predictable branch. Native flavour: a T.
//
// Invariants:
//   O14  of two accesses to one field by different tasks, one of them a write, one happens before the other.
// Locking: that of the field.  Tested by: fs/rt/shared_test.cc, fuzz/exec/races_test.cc.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "fs/base/compiler.h"
#include "fs/base/happens_before.h"
#include "fs/base/report.h"

#if defined(__clang__)
#define FS_RACE_UNCOUNTED FS_NO_TSAN __attribute__((no_sanitize("coverage")))
#else
#define FS_RACE_UNCOUNTED FS_NO_TSAN
#endif

namespace daxfs::rt {

// A string literal as an argument of a template.
template <size_t kSize>
struct FieldName {
  consteval FieldName(const char (&name)[kSize]) {  // NOLINT(google-explicit-constructor): stands for the literal
    for (size_t i = 0; i < kSize; ++i) { text[i] = name[i]; }
  }
  char text[kSize] = {};
};

#if defined(DAXFS_RT_FIBER)
namespace internal {
extern bool g_races_watched __attribute__((visibility("hidden")));
// `stop` is called for a data race that is to be reported now.
FS_NOINLINE void race_read(const void* field, const char* name, void (*stop)());
FS_NOINLINE void race_write(const void* field, const char* name, void (*stop)());
FS_NOINLINE void race_forget(const void* field);
FS_COLD void report_first_race();
}  // namespace internal
#endif

// While one lives no access is watched: for a harness that looks between two points of its fiber, and reaches none.
class UnwatchedAccesses {
 public:
#if defined(DAXFS_RT_FIBER)
  FS_NO_TSAN UnwatchedAccesses() : watched_(internal::g_races_watched) { internal::g_races_watched = false; }
  FS_NO_TSAN ~UnwatchedAccesses() { internal::g_races_watched = watched_; }

 private:
  const bool watched_;

 public:
#else
  UnwatchedAccesses() = default;
  ~UnwatchedAccesses() {}  // NOLINT(modernize-use-equals-default): keeps the variable used
#endif
  UnwatchedAccesses(const UnwatchedAccesses&) = delete;
  UnwatchedAccesses& operator=(const UnwatchedAccesses&) = delete;
};

template <typename T, FieldName kName>
class Shared {
 public:
  Shared() : value_() { begin(); }
  Shared(T value) : value_(std::move(value)) { begin(); }  // NOLINT(google-explicit-constructor): stands for a T
  Shared(const Shared& other) : value_(other.get()) { begin(); }
  Shared& operator=(const Shared& other) {
    if (this != &other) { write() = other.get(); }
    return *this;
  }
  Shared& operator=(T value) {
    write() = std::move(value);
    return *this;
  }

  const T& get() const {
    note_read();
    return value_;
  }
  T& write() {
    note_write();
    return value_;
  }
  const T& peek() const { return value_; }
  operator const T&() const { return get(); }  // NOLINT(google-explicit-constructor): stands for a T
  const T& operator->() const
    requires std::is_pointer_v<T>
  {
    return get();
  }
  auto value() const
    requires requires(const T& index) { index.value(); }
  {
    return get().value();
  }  // StrongIndex

  // Of class types: built-in comparisons convert by themselves.
  template <typename U>
  friend bool operator==(const Shared& a, const U& b)
    requires std::is_class_v<T>
  {
    return a.get() == static_cast<const T&>(b);
  }
  template <typename U>
  friend auto operator<=>(const Shared& a, const U& b)
    requires std::is_class_v<T>
  {
    return a.get() <=> static_cast<const T&>(b);
  }

  Shared& operator++() { return ++write(), *this; }
  Shared& operator--() { return --write(), *this; }
  template <typename U>
  Shared& operator+=(const U& n) {
    return write() += n, *this;
  }
  template <typename U>
  Shared& operator-=(const U& n) {
    return write() -= n, *this;
  }
  template <typename U>
  Shared& operator|=(const U& bits) {
    T& value = write();
    value = static_cast<T>(value | bits);
    return *this;
  }
  template <typename U>
  Shared& operator&=(const U& bits) {
    T& value = write();
    value = static_cast<T>(value & bits);
    return *this;
  }

 private:
#if defined(DAXFS_RT_FIBER)
  // Functions of their own: in line, each use would be a branch that fuzzers count.
  FS_NOINLINE FS_RACE_UNCOUNTED void note_read() const {
    if (__builtin_expect(internal::g_races_watched, 0)) { internal::race_read(this, kName.text, &stop); }
  }
  FS_NOINLINE FS_RACE_UNCOUNTED void note_write() {
    if (__builtin_expect(internal::g_races_watched, 0)) { internal::race_write(this, kName.text, &stop); }
  }
  FS_NOINLINE FS_RACE_UNCOUNTED void begin() {
    if (__builtin_expect(internal::g_races_watched, 0)) { internal::race_forget(this); }
  }
  // One for each field: crashes are told apart by their top frames.
  FS_COLD static void stop() {
    internal::report_first_race();
    FS_STOP_AT_FINDING();
  }
#else
  void note_read() const {}
  void note_write() {}
  void begin() {}
#endif

  T value_;
};

}  // namespace daxfs::rt
