// fs/mm/pte.h - one entry of the lowest two page-table levels as a value.
//
// Bits of a Pte word, as on x86-64 where it has one:
//   63..12 frame number   9 special (zero page: not counted, no struct page to speak of)   8
//   protnone (PROT_NONE keeps the frame but no access is allowed)   6 dirty   5 young   1 write   0
//   present.
// A Pmd word is 0, or the address of a table with bit 0 set, or with bit 7 a huge mapping: the bits of a
// Pte whose frame is the first of the range. A Pte with bit 7 is what the processor makes of a huge
// mapping for one page of it; no table holds such a word.
//
// Kernel: pte_t, pmd_t, pte_mkwrite and friends.  Tested by: fs/mm/page_table_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/flags.h"
#include "fs/base/types.h"

namespace daxfs::mm {

class Pte {
 public:
  constexpr Pte() = default;
  static constexpr Pte from_word(uint64_t word) { return Pte(word); }
  // Present, young, read-only.
  static constexpr Pte make(Pfn pfn) { return Pte(pfn.value() << kPageShift | kPresent | kYoung); }

  constexpr uint64_t word() const { return word_; }
  constexpr bool none() const { return word_ == 0; }
  constexpr bool present() const { return (word_ & kPresent) != 0; }
  constexpr bool write() const { return (word_ & kWrite) != 0; }
  constexpr bool young() const { return (word_ & kYoung) != 0; }
  constexpr bool dirty() const { return (word_ & kDirty) != 0; }
  constexpr bool protnone() const { return (word_ & kProtnone) != 0; }
  constexpr bool special() const { return (word_ & kSpecial) != 0; }
  constexpr bool huge() const { return (word_ & kHuge) != 0; }
  constexpr Pfn pfn() const { return Pfn(word_ >> kPageShift); }
  // Whether the processor lets such an access through.
  constexpr bool allows(bool write_access) const { return present() && !protnone() && (!write_access || write()); }

  constexpr Pte mk_write() const { return Pte(word_ | kWrite); }
  constexpr Pte mk_dirty() const { return Pte(word_ | kDirty); }
  constexpr Pte mk_young() const { return Pte(word_ | kYoung); }
  constexpr Pte mk_special() const { return Pte(word_ | kSpecial); }
  constexpr Pte mk_protnone() const { return Pte(word_ | kProtnone); }
  constexpr Pte mk_huge() const { return Pte(word_ | kHuge); }
  // The same with another frame.
  constexpr Pte with_pfn(Pfn pfn) const { return Pte((word_ & (kPageSize - 1)) | pfn.value() << kPageShift); }
  constexpr Pte clear_write() const { return Pte(word_ & ~kWrite); }
  constexpr Pte clear_dirty() const { return Pte(word_ & ~kDirty); }
  constexpr Pte clear_protnone() const { return Pte(word_ & ~kProtnone); }

  constexpr bool operator==(const Pte&) const = default;

 private:
  static constexpr uint64_t kPresent = 1U << 0;
  static constexpr uint64_t kWrite = 1U << 1;
  static constexpr uint64_t kYoung = 1U << 5;
  static constexpr uint64_t kDirty = 1U << 6;
  static constexpr uint64_t kHuge = 1U << 7;
  static constexpr uint64_t kProtnone = 1U << 8;
  static constexpr uint64_t kSpecial = 1U << 9;
  static_assert(distinct_bits({kPresent, kWrite, kYoung, kDirty, kHuge, kProtnone, kSpecial}));

  constexpr explicit Pte(uint64_t word) : word_(word) {}

  uint64_t word_ = 0;
};

// Whether they differ in nothing but what the processor sets by itself.
constexpr bool same_mapping(Pte a, Pte b) { return a.mk_young().mk_dirty() == b.mk_young().mk_dirty(); }

class Pmd {
 public:
  constexpr Pmd() = default;
  static constexpr Pmd from_word(uint64_t word) { return Pmd(word); }
  // REQUIRES: aligned to 256 bytes.
  static constexpr Pmd table(uint64_t address) { return Pmd(address | kPresent); }
  // REQUIRES: pte.huge().
  static constexpr Pmd mapping(Pte pte) { return Pmd(pte.word()); }

  constexpr uint64_t word() const { return word_; }
  constexpr bool none() const { return word_ == 0; }
  constexpr bool huge() const { return (word_ & kHuge) != 0; }
  constexpr bool is_table() const { return (word_ & kPresent) != 0 && !huge(); }
  // REQUIRES: is_table().
  constexpr uint64_t table_address() const { return word_ & ~kPresent; }
  // REQUIRES: huge(). Names the first frame.
  constexpr Pte pte() const { return Pte::from_word(word_); }

  constexpr bool operator==(const Pmd&) const = default;

 private:
  static constexpr uint64_t kPresent = 1U << 0;
  static constexpr uint64_t kHuge = 1U << 7;
  static_assert(distinct_bits({kPresent, kHuge}));

  constexpr explicit Pmd(uint64_t word) : word_(word) {}

  uint64_t word_ = 0;
};

}  // namespace daxfs::mm
