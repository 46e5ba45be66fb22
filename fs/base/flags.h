// fs/base/flags.h - flags that are one bit each, told apart when the program is compiled.
//
// Overlapping flags once made a lookup zero data, and a conversion skip its lock (catalogue A11, C20, B38).
// What the catalogue calls O21 holds when this compiles: the constants of a set are single bits, no two the same.
//
// Tested by: fs/base/base_test.cc.
#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>

namespace daxfs {

consteval bool distinct_bits(std::initializer_list<uint64_t> flags) {
  uint64_t seen = 0;
  for (const uint64_t flag : flags) {
    if (!std::has_single_bit(flag) || (seen & flag) != 0) { return false; }
    seen |= flag;
  }
  return true;
}

}  // namespace daxfs
