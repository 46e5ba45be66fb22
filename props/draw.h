// props/draw.h - small choices from one number, low bits first: what a property draws shrinks with it.
//
// Locking: none.  Tested by: the properties that draw with it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace daxfuzz::props {

class Draw {
 public:
  explicit Draw(uint64_t word) : word_(word) {}
  uint64_t below(uint64_t n) {
    const uint64_t value = word_ % n;
    word_ /= n;
    return value;
  }
  template <size_t kCount>
  const char* one_of(const char* const (&texts)[kCount]) {
    return texts[below(kCount)];
  }

 private:
  uint64_t word_;
};

}  // namespace daxfuzz::props
