// fs/ext4/bitmap.h - the bits of a bitmap block: test, count, find, set, clear. Pure.
//
// Bit 0 is the lowest bit of the first byte. Locking: the caller's (the group lock).  Tested by:
// fs/ext4/balloc_test.cc.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "fs/jbd2/buffer.h"

namespace daxfs::ext4 {

class Bitmap {
 public:
  static constexpr uint32_t kBits = kBlockSize * 8;

  explicit Bitmap(jbd2::ConstBlockBytes bytes) : bytes_(bytes.data()) {}

  bool test(uint32_t bit) const { return (word(bit / 64) >> (bit % 64) & 1) != 0; }

  // First set (clear) bit in [begin, end), or end.
  uint32_t find_set(uint32_t begin, uint32_t end) const { return find(begin, end, 0); }
  uint32_t find_clear(uint32_t begin, uint32_t end) const { return find(begin, end, ~uint64_t{0}); }
  bool any_clear(uint32_t begin, uint32_t end) const { return find_clear(begin, end) < end; }
  bool any_set(uint32_t begin, uint32_t end) const { return find_set(begin, end) < end; }

  uint32_t count_clear(uint32_t end) const {
    uint32_t set = 0;
    for (uint32_t i = 0; i < end / 64; ++i) { set += static_cast<uint32_t>(std::popcount(word(i))); }
    if (end % 64 != 0) { set += static_cast<uint32_t>(std::popcount(word(end / 64) & mask_below(end % 64))); }
    return end - set;
  }

 private:
  static uint64_t mask_below(uint32_t bits) { return (uint64_t{1} << bits) - 1; }

  uint64_t word(uint32_t index) const {
    uint64_t value;
    std::memcpy(&value, bytes_ + index * sizeof(value), sizeof(value));
    return value;
  }

  // First bit that differs from `flip`'s bits.
  uint32_t find(uint32_t begin, uint32_t end, uint64_t flip) const {
    uint32_t bit = begin;
    while (bit < end) {
      const uint64_t candidates = (word(bit / 64) ^ flip) & ~mask_below(bit % 64);
      if (candidates != 0) {
        const uint32_t found = bit / 64 * 64 + static_cast<uint32_t>(std::countr_zero(candidates));
        return found < end ? found : end;
      }
      bit = bit / 64 * 64 + 64;
    }
    return end;
  }

  const std::byte* bytes_;
};

class MutableBitmap {
 public:
  explicit MutableBitmap(jbd2::BlockBytes bytes) : bytes_(bytes) {}

  Bitmap view() const { return Bitmap(bytes_); }
  void set(uint32_t begin, uint32_t end) {
    apply(begin, end, [](std::byte b, std::byte mask) { return b | mask; });
  }
  void clear(uint32_t begin, uint32_t end) {
    apply(begin, end, [](std::byte b, std::byte mask) { return b & ~mask; });
  }

 private:
  template <typename Change>
  void apply(uint32_t begin, uint32_t end, Change change) {
    while (begin < end && begin % 8 != 0) { step(begin++, change); }
    while (end - begin >= 8 && begin < end) {
      bytes_[begin / 8] = change(bytes_[begin / 8], std::byte{0xff});
      begin += 8;
    }
    while (begin < end) { step(begin++, change); }
  }
  template <typename Change>
  void step(uint32_t bit, Change change) {
    bytes_[bit / 8] = change(bytes_[bit / 8], std::byte{1} << (bit % 8));
  }

  jbd2::BlockBytes bytes_;
};

}  // namespace daxfs::ext4
