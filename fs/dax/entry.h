// fs/dax/entry.h - the word that a DAX file keeps in its tree for each page (or 2 MiB) that a
// mapping ever touched.
//
//   bit 0   LOCKED  somebody works on the entry; others wait (entry_lock.h)
//   bit 1   PMD     the entry stands for 2 MiB (order 9); otherwise for one page
//   bits 58-61      with PMD: how much smaller than 9 the order is. 0 as in the kernel, unless the machine has
//                   smaller huge pages (docs/decisions/0022-huge-order.md)
//   bit 2   ZERO    no block: the shared zero page is mapped over a hole or an unwritten extent
//   bit 3   EMPTY   placeholder that carries only the lock; never mapped
//   bits 4-57 pfn   frame of the block (of the first, with PMD), for an entry that is neither ZERO nor EMPTY (a
//   ZERO entry keeps the zero page's)
//
// Kernel: fs/dax.c (DAX_LOCKED, DAX_PMD, DAX_ZERO_PAGE, DAX_EMPTY, dax_to_pfn).
// Tested by: fs/dax/entry_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/flags.h"
#include "fs/base/types.h"
#include "fs/lib/xarray.h"

namespace daxfs::dax {

inline constexpr uint64_t kLastIndex = ~uint64_t{0};  // of the tree
// Marks of an entry in the tree (kernel: PAGECACHE_TAG_DIRTY, _TOWRITE; WRITEBACK is not used by
// DAX).
inline constexpr lib::XaMark kMarkDirty = lib::XaMark::k0;
inline constexpr lib::XaMark kMarkWriteback = lib::XaMark::k1;
inline constexpr lib::XaMark kMarkToWrite = lib::XaMark::k2;

class Entry {
 public:
  constexpr Entry() = default;  // none(): no entry at all

  static constexpr Entry empty(unsigned order) { return Entry(kEmpty | order_bit(order)); }
  static constexpr Entry zero(Pfn zero_pfn, unsigned order) {
    return Entry(kZero | order_bit(order) | zero_pfn.value() << kShift);
  }
  static constexpr Entry frame(Pfn pfn, unsigned order) { return Entry(order_bit(order) | pfn.value() << kShift); }

  constexpr bool none() const { return none_; }
  constexpr bool is_locked() const { return (bits_ & kLocked) != 0; }
  constexpr bool is_pmd() const { return (bits_ & kPmd) != 0; }
  constexpr bool is_pte() const { return !none_ && !is_pmd(); }
  constexpr bool is_zero() const { return (bits_ & kZero) != 0; }
  constexpr bool is_empty() const { return (bits_ & kEmpty) != 0; }
  // Has frames of the medium behind it.
  constexpr bool is_frame() const { return !none_ && (bits_ & (kZero | kEmpty)) == 0; }

  constexpr Pfn pfn() const { return Pfn((bits_ & kFrameMask) >> kShift); }
  constexpr unsigned order() const {
    return is_pmd() ? kPmdOrder - static_cast<unsigned>(bits_ >> kOrderShift & 15) : 0;
  }
  constexpr uint64_t pages() const { return uint64_t{1} << order(); }
  constexpr uint64_t bytes() const { return pages() * kPageSize; }
  // Index of the first page an entry of this order has when it covers `index`.
  constexpr PgOff base(PgOff index) const { return PgOff(round_down(index.value(), pages())); }

  // No entry has no lock: none() stays none().
  constexpr Entry locked() const { return none_ ? *this : Entry(bits_ | kLocked); }
  constexpr Entry unlocked() const { return none_ ? *this : Entry(bits_ & ~kLocked); }

  // Between the entry and what a tree stores. from_tree REQUIRES null or a value.
  constexpr lib::XEntry to_tree() const { return none_ ? lib::XEntry::null() : lib::XEntry::from_value(bits_); }
  static constexpr Entry from_tree(lib::XEntry stored) { return stored.is_null() ? Entry() : Entry(stored.value()); }

  // As the value of a Noun::kEntry: 0 for none.
  constexpr uint64_t trace_value() const { return none_ ? 0 : bits_ << 1 | 1; }
  static constexpr Entry from_trace_value(uint64_t value) { return value == 0 ? Entry() : Entry(value >> 1); }

  constexpr bool operator==(const Entry&) const = default;

 private:
  static constexpr uint64_t kLocked = 1;
  static constexpr uint64_t kPmd = 2;
  static constexpr uint64_t kZero = 4;
  static constexpr uint64_t kEmpty = 8;
  static constexpr unsigned kShift = 4;
  static_assert(distinct_bits({kLocked, kPmd, kZero, kEmpty}) && (kLocked | kPmd | kZero | kEmpty) < 1U << kShift);

  static constexpr unsigned kOrderShift = 58;
  static constexpr uint64_t kFrameMask = (uint64_t{1} << kOrderShift) - 1;

  static constexpr uint64_t order_bit(unsigned order) {
    return order == 0 ? 0 : kPmd | uint64_t{kPmdOrder - order} << kOrderShift;
  }
  constexpr explicit Entry(uint64_t bits) : bits_(bits), none_(false) {}

  uint64_t bits_ = 0;
  bool none_ = true;
};

}  // namespace daxfs::dax
