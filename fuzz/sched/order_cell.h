// fuzz/sched/order_cell.h - a small number for an order of two places of the source: one was passed, then the other, at
// one object, by two tasks.
//
// Locking: none.  Tested by: fuzz/exec/interleaving_test.cc, fuzz/sched/touches_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fuzz/sched/conflicts.h"

namespace daxfuzz::sched {

// Power of two. An hour of fuzzing shows some thousands of orders: few of them share a cell.
inline constexpr size_t kOrderCells = 65536;

// Of sites by their hashes (rt::site_hash).
constexpr uint16_t order_cell(uint32_t before, uint32_t after) {
  return static_cast<uint16_t>(hash_bits(uint64_t{before} << 32 | after) % kOrderCells);
}

}  // namespace daxfuzz::sched
