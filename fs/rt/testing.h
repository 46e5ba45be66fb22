// fs/rt/testing.h - runs for unit tests, in both flavours.
//
//   rt::run_for_test([&] { ... rt::spawn("a", ...); rt::join_all_spawned(); });
//
// Tested by: fs/rt/engine_test.cc.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>

#include "fs/rt/engine.h"

namespace daxfs::rt {

namespace internal {
// Prints the finding of a test's run and aborts.
[[noreturn]] FS_COLD void fail_test_run(const Finding& finding);
}  // namespace internal

// Runs `root` under `policy` and returns the outcome, findings included. Native: findings abort.
template <typename F>
RunOutcome run_lambda(F&& root, Policy& policy = default_policy(), const RunLimits& limits = {},
                      Observer* observer = nullptr) {
  return run(
      policy, limits, observer, [](void* arg) { (*static_cast<std::remove_reference_t<F>*>(arg))(); },
      const_cast<void*>(static_cast<const void*>(&root)));
}

// Runs `root` under the default policy; a finding is printed and aborts the test.
template <typename F>
RunOutcome run_for_test(F&& root) {
  RunOutcome outcome = run_lambda(root);
  if (outcome.finding.has_value()) { internal::fail_test_run(*outcome.finding); }
  return outcome;
}

// What tasks of a test count or note together. It orders nothing: no point, no happens-before edge, so that it
// neither adds interleavings nor hides a race of what is tested.
template <typename T>
class TestValue {
 public:
  TestValue(T value = T{}) : value_(value) {}  // NOLINT(google-explicit-constructor): stands for a T
  operator T() const { return value_.load(std::memory_order_relaxed); }  // NOLINT(google-explicit-constructor)
  TestValue& operator=(T value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  TestValue& operator++() { return *this += 1; }
  TestValue& operator--() { return *this += static_cast<T>(-1); }
  TestValue& operator+=(T n) {
    value_.fetch_add(n, std::memory_order_relaxed);
    return *this;
  }
  TestValue& operator|=(bool bit) { return bit ? *this = true : *this; }
  TestValue& operator&=(bool bit) { return bit ? *this : *this = false; }

 private:
  std::atomic<T> value_;
};

// A log that tasks write without synchronisation, invisible to TSan: for tests about who comes when. Fiber only.
class TestLog {
 public:
  FS_NO_TSAN TestLog& operator+=(char c) {
    if (size_ < sizeof text_) { text_[size_++] = c; }
    return *this;
  }
  FS_NO_TSAN std::string text() const { return std::string(text_, size_); }
  FS_NO_TSAN void clear() { size_ = 0; }

 private:
  size_t size_ = 0;
  char text_[256] = {};
};

}  // namespace daxfs::rt
