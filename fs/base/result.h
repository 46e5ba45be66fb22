// fs/base/result.h - Status and Result<T>: how an operating error travels.
//
// No exceptions in fs/ (docs/decisions/0004). Both types are [[nodiscard]]; drop one only with `.ignore_error("why")`.
// Tested by: fs/base/base_test.cc.
#pragma once

#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

#include "fs/base/errc.h"

namespace daxfs {

class [[nodiscard]] Status {
 public:
  constexpr Status() = default;                 // success
  constexpr Status(Errc errc) : errc_(errc) {}  // NOLINT(google-explicit-constructor): `return Errc::kNoSpc;`

  constexpr bool ok() const { return errc_ == Errc::kOk; }
  constexpr Errc error() const { return errc_; }
  void ignore_error(const char* /*why*/) const {}
  constexpr bool operator==(const Status&) const = default;

 private:
  Errc errc_ = Errc::kOk;
};

inline constexpr Status ok_status() { return Status(); }

// A value, or an error that is not kOk. Move-only if T is.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Errc errc) : errc_(errc) {  // NOLINT(google-explicit-constructor)
    if (errc == Errc::kOk) { std::abort(); }
  }
  Result(Status status) : Result(status.error()) {}  // NOLINT(google-explicit-constructor)
  template <typename U = T, typename = std::enable_if_t<
                                std::is_constructible_v<T, U&&> && !std::is_same_v<std::decay_t<U>, Result> &&
                                !std::is_same_v<std::decay_t<U>, Errc> && !std::is_same_v<std::decay_t<U>, Status>>>
  Result(U&& value) : errc_(Errc::kOk) {  // NOLINT(google-explicit-constructor)
    ::new (static_cast<void*>(&value_)) T(std::forward<U>(value));
  }
  Result(Result&& other) noexcept : errc_(other.errc_) {
    if (ok()) { ::new (static_cast<void*>(&value_)) T(std::move(other.value_)); }
  }
  Result(const Result& other) : errc_(other.errc_) {
    if (ok()) { ::new (static_cast<void*>(&value_)) T(other.value_); }
  }
  Result& operator=(Result&& other) noexcept {
    if (this != &other) {
      this->~Result();
      ::new (static_cast<void*>(this)) Result(std::move(other));
    }
    return *this;
  }
  Result& operator=(const Result&) = delete;
  ~Result() {
    if (ok()) { value_.~T(); }
  }

  bool ok() const { return errc_ == Errc::kOk; }
  Errc error() const { return errc_; }
  Status status() const { return Status(errc_); }
  // REQUIRES: ok(); aborts otherwise.
  T& value() & {
    check();
    return value_;
  }
  const T& value() const& {
    check();
    return value_;
  }
  T&& value() && {
    check();
    return std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T other) const { return ok() ? value_ : other; }
  void ignore_error(const char* /*why*/) const {}

 private:
  void check() const {
    if (!ok()) { std::abort(); }
  }

  Errc errc_;
  union {
    T value_;
  };
};

}  // namespace daxfs

#define FS_CONCAT_INNER(a, b) a##b
#define FS_CONCAT(a, b) FS_CONCAT_INNER(a, b)

#define FS_RETURN_IF_ERROR(expr)                                                   \
  do {                                                                             \
    if (auto fs_status_ = (expr); !fs_status_.ok()) { return fs_status_.error(); } \
  } while (0)

// FS_ASSIGN_OR_RETURN(auto block, allocator.take(1));
#define FS_ASSIGN_OR_RETURN(lhs, expr)                                                           \
  auto FS_CONCAT(fs_result_, __LINE__) = (expr);                                                 \
  if (!FS_CONCAT(fs_result_, __LINE__).ok()) { return FS_CONCAT(fs_result_, __LINE__).error(); } \
  lhs = std::move(FS_CONCAT(fs_result_, __LINE__)).value()
