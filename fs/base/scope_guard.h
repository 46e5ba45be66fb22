// fs/base/scope_guard.h - undo on every path out of a scope, unless dismissed.
// Tested by: fs/base/base_test.cc.
#pragma once

#include <utility>

namespace daxfs {

template <typename F>
class [[nodiscard]] ScopeGuard {
 public:
  explicit ScopeGuard(F undo) : undo_(std::move(undo)) {}
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;
  ~ScopeGuard() {
    if (armed_) { undo_(); }
  }
  void dismiss() { armed_ = false; }

 private:
  F undo_;
  bool armed_ = true;
};

}  // namespace daxfs
