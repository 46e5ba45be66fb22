// fs/mm/errseq.h - a writeback error that every observer sees once, and somebody for certain.
//
// Kernel: lib/errseq.c, file_check_and_advance_wb_err; for flushes that are no fsync filemap_check_errors.
// Locking: atomic words; a change is not a scheduling point.
// Tested by: fs/mm/address_space_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"

namespace daxfs::mm {

class ErrSeq {
 public:
  using Sample = uint64_t;  // bits 0..30 errno, bit 31 whether somebody saw it, bits 32.. how many came after such ones

  void record(Errc errc) {
    Sample old = load();
    while (!exchange(&old, next(old, errc))) {}
    __atomic_store_n(&untold_, static_cast<uint32_t>(errc), __ATOMIC_SEQ_CST);
  }
  // Who begins to look now is told of an error that nobody saw before. Kernel: b4678df184b3 ("errseq: Always report a
  // writeback error once").
  Sample sample() const {
    const Sample now = load();
    return (now & kSeen) != 0 ? now : 0;
  }
  // What nobody has been told since it was recorded: whoever has no sample of his own. Kernel: AS_EIO, AS_ENOSPC.
  Status take_untold() {
    if (__atomic_load_n(&untold_, __ATOMIC_SEQ_CST) == 0) { return ok_status(); }
    return static_cast<Errc>(__atomic_exchange_n(&untold_, 0, __ATOMIC_SEQ_CST));
  }
  // An error recorded since `*seen`, which moves forward. Then it counts as told.
  Status check_and_advance(Sample* seen) {
    __atomic_store_n(&untold_, 0, __ATOMIC_SEQ_CST);
    Sample now = load();
    if (now == *seen) { return ok_status(); }
    while ((now & kSeen) == 0 && !exchange(&now, now | kSeen)) {}
    *seen = now | kSeen;
    return static_cast<Errc>(now & kErrno);
  }

 private:
  static constexpr Sample kErrno = 0x7fffffff;
  static constexpr Sample kSeen = Sample{1} << 31;

  Sample load() const { return __atomic_load_n(&word_, __ATOMIC_SEQ_CST); }
  // False: it has changed, *old is what it is.
  bool exchange(Sample* old, Sample now) {
    return __atomic_compare_exchange_n(&word_, old, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  }
  static Sample next(Sample old, Errc errc) {
    return (((old >> 32) + ((old & kSeen) != 0 ? 1 : 0)) << 32) | static_cast<uint32_t>(errc);
  }

  Sample word_ = 0;
  uint32_t untold_ = 0;  // an Errc
};

}  // namespace daxfs::mm
