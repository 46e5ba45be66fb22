// fuzz/explore/key_set.h - a set of 64-bit keys, millions of them: open addressing in one array,
// written to a file as it is.
//
// Tested by: fuzz/explore/explorer_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace daxfuzz::explore {

class KeySet {
 public:
  KeySet() : slots_(1024) {}

  // False if it was there.
  bool insert(uint64_t key) {
    key += key == 0;  // 0 marks a free slot
    if ((used_ + 1) * 2 > slots_.size()) { grow(); }
    uint64_t& slot = find(key);
    if (slot == key) { return false; }
    slot = key;
    ++used_;
    return true;
  }
  size_t size() const { return used_; }
  void clear() {
    slots_.assign(1024, 0);
    used_ = 0;
  }
  const std::vector<uint64_t>& slots() const { return slots_; }
  // What slots() gave; false when it cannot be that.
  bool restore(std::vector<uint64_t> slots) {
    if (slots.size() < 1024 || (slots.size() & (slots.size() - 1)) != 0) { return false; }
    size_t used = 0;
    for (const uint64_t key : slots) { used += key != 0; }
    if (used * 2 > slots.size()) { return false; }
    slots_ = std::move(slots);
    used_ = used;
    return true;
  }

 private:
  uint64_t& find(uint64_t key) {
    const size_t mask = slots_.size() - 1;
    size_t i = (key * 0x9e3779b97f4a7c15u >> 17) & mask;
    while (slots_[i] != 0 && slots_[i] != key) { i = (i + 1) & mask; }
    return slots_[i];
  }
  void grow() {
    std::vector<uint64_t> old(slots_.size() * 2);
    old.swap(slots_);
    for (const uint64_t key : old) {
      if (key != 0) { find(key) = key; }
    }
  }

  std::vector<uint64_t> slots_;
  size_t used_ = 0;
};

}  // namespace daxfuzz::explore
