// fs/pmem/raw_copy.h - copies and fills of medium bytes that ThreadSanitizer does not judge.
//
// Simulated users may load and store the same bytes of a mapping at the same time; that is a race
// of the simulated program, not of the library. So the bytes of the medium move by these functions,
// which TSan cannot see into: neither an instrumented loop nor memcpy (which TSan intercepts even
// when an uninstrumented function calls it). TSan goes on to judge all of the library's own state.
// In every other flavour this is memcpy, so that ASan checks both ranges.
// Tested by: fs/pmem/device_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "fs/base/compiler.h"

namespace daxfs::pmem {

#if defined(DAXFS_TSAN)
FS_NO_TSAN inline void raw_copy(std::byte* to, const std::byte* from, size_t size) {
#if defined(__x86_64__)
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
#else
  // The empty asm keeps the compiler from turning the loop into a call of the intercepted memcpy.
  for (size_t i = 0; i < size; ++i) {
    to[i] = from[i];
    asm volatile("" : : : "memory");
  }
#endif
}

FS_NO_TSAN inline void raw_fill(std::byte* to, std::byte value, size_t size) {
#if defined(__x86_64__)
  asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
#else
  for (size_t i = 0; i < size; ++i) {
    to[i] = value;
    asm volatile("" : : : "memory");
  }
#endif
}
#else
inline void raw_copy(std::byte* to, const std::byte* from, size_t size) { std::memmove(to, from, size); }
inline void raw_fill(std::byte* to, std::byte value, size_t size) {
  std::memset(to, std::to_integer<int>(value), size);
}
#endif
inline void raw_zero(std::byte* to, size_t size) { raw_fill(to, std::byte{0}, size); }

}  // namespace daxfs::pmem
