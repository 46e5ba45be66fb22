// fs/mm/errseq.h - a writeback error that every observer sees once.
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
  using Sample = uint64_t;  // bits 0..31 errno, bits 32.. how many errors were recorded

  void record(Errc errc) {
    Sample old = load();
    while (!__atomic_compare_exchange_n(&word_, &old, next(old, errc), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
    __atomic_store_n(&untold_, static_cast<uint32_t>(errc), __ATOMIC_SEQ_CST);
  }
  Sample sample() const { return load(); }
  // What nobody has been told since it was recorded: whoever has no sample of his own. Kernel: AS_EIO, AS_ENOSPC.
  Status take_untold() {
    if (__atomic_load_n(&untold_, __ATOMIC_SEQ_CST) == 0) { return ok_status(); }
    return static_cast<Errc>(__atomic_exchange_n(&untold_, 0, __ATOMIC_SEQ_CST));
  }
  // An error recorded since `*seen`, which moves forward. Then it counts as told.
  Status check_and_advance(Sample* seen) {
    __atomic_store_n(&untold_, 0, __ATOMIC_SEQ_CST);
    const Sample now = load();
    if (now == *seen) { return ok_status(); }
    *seen = now;
    return static_cast<Errc>(now & 0xffffffffU);
  }

 private:
  Sample load() const { return __atomic_load_n(&word_, __ATOMIC_SEQ_CST); }
  static Sample next(Sample old, Errc errc) { return (((old >> 32) + 1) << 32) | static_cast<uint32_t>(errc); }

  Sample word_ = 0;
  uint32_t untold_ = 0;  // an Errc
};

}  // namespace daxfs::mm
