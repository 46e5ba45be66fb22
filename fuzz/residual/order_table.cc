#include "fuzz/residual/order_table.h"

namespace daxfuzz::residual {
namespace {

constexpr uint64_t mix(uint64_t x) {
  x ^= x >> 31;
  x *= 0x9e3779b97f4a7c15;
  x ^= x >> 29;
  return x;
}

}  // namespace

void OrderTable::add(const Order& order, uint32_t runs_with_it) {
  const uint64_t sites = uint64_t{order.site_first} << 32 | order.site_then;
  size_t at = mix(sites + uint64_t{order.row_first} * kRows + order.row_then) % kSlots;
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
    for (size_t b = 0; b < kRows; ++b) {
      runs_of_pair[a][b] += other.runs_of_pair[a][b];
    }
  }
  for (const Slot& slot : other.slots) {
    if (slot.runs != 0) {
      add(slot.order, slot.runs);
    }
  }
}

}  // namespace daxfuzz::residual
