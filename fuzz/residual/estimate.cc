#include "fuzz/residual/estimate.h"

#include <algorithm>
#include <tuple>

namespace daxfuzz::residual {
namespace {

void count(Estimate* estimate, uint32_t runs) {
  ++estimate->seen;
  estimate->once += runs == 1;
  estimate->twice += runs == 2;
  estimate->sightings += runs;
}

template <typename F>
uint64_t count_pairs(F&& wanted) {
  uint64_t pairs = 0;
  for (size_t a = 0; a < kSystemRow; ++a) {
    for (size_t b = a; b < kSystemRow; ++b) { pairs += wanted(a, b); }
  }
  return pairs;
}

}  // namespace

double Estimate::unseen() const {
  if (runs == 0 || once == 0) { return 0; }
  const auto m = static_cast<double>(runs);
  const auto q1 = static_cast<double>(once);
  return (m - 1) / m * q1 * (q1 - 1) / (2 * (static_cast<double>(twice) + 1));
}

double Estimate::coverage() const {
  return sightings == 0 ? 0 : 1 - static_cast<double>(once) / static_cast<double>(sightings);
}

double Estimate::next() const { return runs == 0 ? 0 : static_cast<double>(once) / static_cast<double>(runs); }

uint64_t Residual::pairs_possible() const {
  return count_pairs([](size_t, size_t) { return true; });
}

uint64_t Residual::pairs_never_together() const {
  return count_pairs([&](size_t a, size_t b) { return pair(a, b).runs == 0; });
}

uint64_t Residual::pairs_without_conflict() const {
  return count_pairs(
      [&](size_t a, size_t b) { return pair(a, b).runs != 0 && pair(a, b).seen + pair(b, a).seen == 0; });
}

std::vector<std::pair<size_t, size_t>> Residual::most_left() const {
  std::vector<std::tuple<double, size_t, size_t>> left;
  for (size_t a = 0; a < kRows; ++a) {
    for (size_t b = 0; b < kRows; ++b) {
      if (const double unseen = pair(a, b).unseen(); unseen >= 1) { left.emplace_back(-unseen, a, b); }
    }
  }
  std::sort(left.begin(), left.end());
  std::vector<std::pair<size_t, size_t>> out;
  for (const auto& [unseen, a, b] : left) { out.emplace_back(a, b); }
  return out;
}

Residual residual(const OrderTable& table) {
  Residual out;
  out.pairs.resize(kRows * kRows);
  out.all.runs = table.runs;
  out.dropped = table.dropped;
  for (size_t a = 0; a < kRows; ++a) {
    for (size_t b = 0; b < kRows; ++b) { out.pairs[a * kRows + b].runs = table.runs_of_pair[a][b]; }
  }
  for (const OrderTable::Slot& slot : table.slots) {
    if (slot.runs == 0) { continue; }
    count(&out.all, slot.runs);
    count(&out.pairs[slot.order.row_first * kRows + slot.order.row_then], slot.runs);
  }
  return out;
}

const char* row_name(size_t row) {
  // Names of the table are string literals.
  return row == kSystemRow ? "system" : prog::op_info(static_cast<prog::OpCode>(row)).name.data();
}

}  // namespace daxfuzz::residual
