// fs/mm/errseq.h - a writeback error that every observer sees once.
//
// Kernel: lib/errseq.c, filemap_check_wb_err, file_check_and_advance_wb_err.
// Locking: one atomic word; a change is not a scheduling point.
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
  }
  Sample sample() const { return load(); }
  // An error recorded since `*seen`, which moves forward.
  Status check_and_advance(Sample* seen) const {
    const Sample now = load();
    if (now == *seen) { return ok_status(); }
    *seen = now;
    return static_cast<Errc>(now & 0xffffffffU);
  }

 private:
  Sample load() const { return __atomic_load_n(&word_, __ATOMIC_SEQ_CST); }
  static Sample next(Sample old, Errc errc) { return (((old >> 32) + 1) << 32) | static_cast<uint32_t>(errc); }

  Sample word_ = 0;
};

}  // namespace daxfs::mm
