// fs/lib/xarray_entry.h - the word an XArray stores: a value, a pointer, or an internal entry of
// the array itself.
//
// Low bits of the word:
//   ...00  null (all zero), or a pointer that the user stored
//   ....1  value entry: 63 bits of the user's choice (DAX entries are values)
//   ...10  internal entry: a sibling (slot number of its canonical slot), the retry entry, the zero
//   entry, or a node
// Users meet internal entries only where xarray.h says so, and test for them before they interpret
// bits.
//
// Kernel: include/linux/xarray.h (xa_mk_value, xa_is_internal, XA_RETRY_ENTRY, XA_ZERO_ENTRY).
// Tested by: fs/lib/xarray_test.cc.
#pragma once

#include <cstdint>

namespace daxfs::lib {

class XEntry {
 public:
  constexpr XEntry() = default;  // null

  static constexpr XEntry null() { return XEntry(); }
  // REQUIRES: value < 2^63.
  static constexpr XEntry from_value(uint64_t value) { return XEntry(value << 1 | 1); }
  // REQUIRES: aligned to 4 bytes.
  static XEntry from_pointer(const void* pointer) { return XEntry(reinterpret_cast<uint64_t>(pointer)); }
  static constexpr XEntry from_raw(uint64_t raw) { return XEntry(raw); }
  // Reserves an index: occupies a slot, reads as null through BasicXArray::load.
  static constexpr XEntry zero_entry() { return internal(257); }
  // A lockless reader that meets it starts over (XaState::retry).
  static constexpr XEntry retry_entry() { return internal(256); }
  static constexpr XEntry sibling(unsigned canonical_offset) { return internal(canonical_offset); }

  constexpr uint64_t raw() const { return raw_; }
  constexpr bool is_null() const { return raw_ == 0; }
  constexpr explicit operator bool() const { return raw_ != 0; }

  constexpr bool is_value() const { return (raw_ & 1) != 0; }
  constexpr uint64_t value() const { return raw_ >> 1; }
  constexpr bool is_pointer() const { return (raw_ & 3) == 0 && raw_ != 0; }
  void* pointer() const { return reinterpret_cast<void*>(raw_); }

  constexpr bool is_internal() const { return (raw_ & 3) == 2; }
  constexpr bool is_node() const { return is_internal() && raw_ > kNodesAbove; }
  constexpr bool is_sibling() const { return is_internal() && raw_ < internal(kSiblings).raw_; }
  constexpr bool is_retry() const { return raw_ == retry_entry().raw_; }
  constexpr bool is_zero_entry() const { return raw_ == zero_entry().raw_; }
  constexpr unsigned sibling_offset() const { return static_cast<unsigned>(raw_ >> 2); }

  constexpr bool operator==(const XEntry&) const = default;

 private:
  static constexpr uint64_t kNodesAbove = 4096;  // no node lives in the first page of memory
  static constexpr uint64_t kSiblings = 64;      // the largest fan-out

  constexpr explicit XEntry(uint64_t raw) : raw_(raw) {}
  static constexpr XEntry internal(uint64_t number) { return XEntry(number << 2 | 2); }

  uint64_t raw_ = 0;
};

}  // namespace daxfs::lib
