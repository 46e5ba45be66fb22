#include "fuzz/residual/order_table.h"

#include "fuzz/sched/conflicts.h"

namespace daxfuzz::residual {

uint64_t hash(const Order& order) {
  const uint64_t sites = uint64_t{order.site_first} << 32 | order.site_then;
  return sched::hash_bits(sites + uint64_t{order.row_first} * kRows + order.row_then);
}

void OrderTable::add(const Order& order, uint32_t runs_with_it) {
  size_t at = hash(order) % kSlots;
  for (;; at = (at + 1) % kSlots) {
    Slot& slot = slots[at];
    if (slot.runs == 0) {
      if (orders == kOrdersMax) {
        dropped += runs_with_it;
        return;
      }
      ++orders;
      slot = {order, runs_with_it};
      return;
    }
    if (slot.order == order) {
      slot.runs += runs_with_it;
      return;
    }
  }
}

void OrderTable::merge(const OrderTable& other) {
  runs += other.runs;
  dropped += other.dropped;
  for (size_t a = 0; a < kRows; ++a) {
    for (size_t b = 0; b < kRows; ++b) { runs_of_pair[a][b] += other.runs_of_pair[a][b]; }
  }
  for (const Slot& slot : other.slots) {
    if (slot.runs != 0) { add(slot.order, slot.runs); }
  }
}

}  // namespace daxfuzz::residual
