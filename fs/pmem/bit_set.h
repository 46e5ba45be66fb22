// fs/pmem/bit_set.h - a fixed-size set of small integers that several tasks may change at once.
//
// Bookkeeping of the device (changed blocks, poison, pages to sync), not state of the simulated
// filesystem: it is no scheduling point, so it uses the compiler's relaxed atomics rather than
// rt::Atomic.
//
// Locking: none; set and clear of single bits are atomic, clear_all and take_word order nothing.
// Tested by: fs/pmem/device_test.cc.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace daxfs::pmem {

class BitSet {
 public:
  BitSet() = default;
  explicit BitSet(uint64_t bits) : words_((bits + 63) / 64) {}

  std::span<const uint64_t> words() const { return words_; }

  // True if some bit was set since the last clear_all. Cheap; may stay true after single bits were
  // cleared.
  bool any() const { return __atomic_load_n(&any_, __ATOMIC_RELAXED); }

  void set_range(uint64_t begin, uint64_t end) {
    for_words(begin, end, [this](size_t word, uint64_t mask) {
      // Most stores hit a block that is already marked: look before the locked instruction.
      if ((__atomic_load_n(&words_[word], __ATOMIC_RELAXED) & mask) != mask) {
        __atomic_fetch_or(&words_[word], mask, __ATOMIC_RELAXED);
        __atomic_store_n(&any_, true, __ATOMIC_RELAXED);
      }
      return true;
    });
  }

  void clear_range(uint64_t begin, uint64_t end) {
    for_words(begin, end, [this](size_t word, uint64_t mask) {
      __atomic_fetch_and(&words_[word], ~mask, __ATOMIC_RELAXED);
      return true;
    });
  }

  bool any_in(uint64_t begin, uint64_t end) const {
    return !for_words(begin, end, [this](size_t word, uint64_t mask) {
      return (__atomic_load_n(&words_[word], __ATOMIC_RELAXED) & mask) == 0;
    });
  }

  // Empties word `word` and returns what was in it.
  uint64_t take_word(size_t word) {
    if (__atomic_load_n(&words_[word], __ATOMIC_RELAXED) == 0) { return 0; }
    return __atomic_exchange_n(&words_[word], 0, __ATOMIC_RELAXED);
  }

  void clear_all() {
    if (!any()) { return; }
    for (uint64_t& word : words_) { word = 0; }
    any_ = false;
  }

 private:
  // Calls visit(word index, mask) for the words of [begin, end) until one says false; returns
  // whether none did.
  template <typename Visit>
  static bool for_words(uint64_t begin, uint64_t end, Visit visit) {
    while (begin < end) {
      const uint64_t in_word = begin % 64;
      const uint64_t count = end - begin < 64 - in_word ? end - begin : 64 - in_word;
      const uint64_t mask = (count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1) << in_word;
      if (!visit(static_cast<size_t>(begin / 64), mask)) { return false; }
      begin += count;
    }
    return true;
  }

  std::vector<uint64_t> words_;
  bool any_ = false;
};

}  // namespace daxfs::pmem
