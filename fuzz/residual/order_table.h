// fuzz/residual/order_table.h - which orders of conflicting accesses were seen, and in how many
// runs each.
//
// An order: place x of an operation A touched an object, then place y of an operation B of another
// task did, and one of them may have changed it. A run counts once for each order that it shows,
// however often.
//
// Plain data, valid when zero: a worker process keeps it in memory that it shares with its parent,
// where the table outlives a crash of the worker.
//
// Locking: one writer; readers look when it has stopped.
// Tested by: fuzz/residual/orders_test.cc, fuzz/residual/estimate_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fuzz/prog/op_table.h"

namespace daxfuzz::residual {

// Rows of the table: operations, then what runs in no operation of a program's task.
inline constexpr size_t kSystemRow = prog::kOpCount;  // interrupts, RCU callbacks, writeback
inline constexpr size_t kRows = prog::kOpCount + 1;

struct Order {
  uint32_t site_first;  // rt::site_hash
  uint32_t site_then;
  uint8_t row_first;
  uint8_t row_then;
  bool operator==(const Order&) const = default;
};

uint64_t hash(const Order& order);

struct OrderTable {
  static constexpr size_t kSlots = size_t{1} << 17;
  static constexpr size_t kOrdersMax = kSlots / 4 * 3;  // beyond these, new ones are counted in `dropped` only

  struct Slot {
    Order order;
    uint32_t runs;  // 0: free
  };

  uint64_t runs;                        // sampled
  uint64_t dropped;                     // sightings of orders that did not fit
  uint64_t orders;                      // slots in use
  uint32_t runs_of_pair[kRows][kRows];  // in which the two ran in different tasks; symmetric
  Slot slots[kSlots];

  void add(const Order& order, uint32_t runs_with_it = 1);
  void merge(const OrderTable& other);  // of another worker: other runs
};

}  // namespace daxfuzz::residual
