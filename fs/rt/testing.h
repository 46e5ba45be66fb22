// fs/rt/testing.h - runs for unit tests, in both flavours.
//
//   rt::run_for_test([&] { ... rt::spawn("a", ...); rt::join_all_spawned(); });
//
// Tested by: fs/rt/engine_test.cc.
#pragma once

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
  return run(policy, limits, observer, [](void* arg) { (*static_cast<std::remove_reference_t<F>*>(arg))(); },
             const_cast<void*>(static_cast<const void*>(&root)));
}

// Runs `root` under the default policy; a finding is printed and aborts the test.
template <typename F>
RunOutcome run_for_test(F&& root) {
  RunOutcome outcome = run_lambda(root);
  if (outcome.finding.has_value()) { internal::fail_test_run(*outcome.finding); }
  return outcome;
}

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
