// fuzz/tools/shared_text.h - text in memory that processes share, where no std::string can be.
//
// Locking: none; one process at a time.  Tested by: fuzz/tools/bench_trial_test.cc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace daxfuzz::tools {

// As much of `from` as fits, and a NUL.
template <size_t n>
void copy_text(std::string_view from, char (&to)[n]) {
  const size_t size = std::min(from.size(), n - 1);
  std::memcpy(to, from.data(), size);
  to[size] = '\0';
}

}  // namespace daxfuzz::tools
