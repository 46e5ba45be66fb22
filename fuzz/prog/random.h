// fuzz/prog/random.h - the fuzzer's own random numbers: the same sequence for a seed in every
// build, for ever.
//
// xoshiro256** (Blackman and Vigna, public domain) seeded through splitmix64. No floating point in
// the interface: probabilities are ratios. Not for use inside a run: a run takes every choice from
// program and schedule.
//
// Locking: none; one instance has one user.  Tested by: fuzz/prog/random_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace daxfuzz::prog {

class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }

  uint64_t next() {
    const uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // 0 <= result < bound; 0 when bound is 0. (The bias of the multiplication is below 2^-32 for the
  // bounds used here.)
  uint32_t below(uint64_t bound) { return static_cast<uint32_t>(((next() >> 32) * bound) >> 32); }

  // low <= result <= high.  REQUIRES: low <= high, high - low < 2^32.
  int64_t between(int64_t low, int64_t high) { return low + below(static_cast<uint64_t>(high - low) + 1); }

  // True `numerator` times out of `denominator`.
  bool chance(uint32_t numerator, uint32_t denominator) { return below(denominator) < numerator; }

  // REQUIRES: not empty.
  template <typename T>
  const T& pick(std::span<const T> from) {
    return from[below(from.size())];
  }
  template <typename T, size_t N>
  const T& pick(const T (&from)[N]) {
    return from[below(N)];
  }

 private:
  static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  uint64_t state_[4];
};

}  // namespace daxfuzz::prog
