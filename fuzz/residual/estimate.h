// fuzz/residual/estimate.h - from what was seen to what was not: estimates of unseen orders, by pair of operations.
//
// Runs are the samples, orders of conflicting accesses the species, and only whether a run showed an order counts. With
// m runs, q1 orders seen in exactly one of them and q2 in exactly two:
//   unseen    (m-1)/m * q1 (q1-1) / (2 (q2+1)): Chao2, bias corrected; a lower bound on average. A. Chao, "Estimating
//             the population size for capture-recapture data with unequal catchability", Biometrics 43, 1987.
//   coverage  1 - q1/u, u the sum of all orders' runs: the share of what runs show that was seen before (Turing). I. J.
//             Good, "The population frequencies of species and the estimation of population parameters", Biometrika
//             40, 1953.
//   next      q1/m: new orders that one run more is expected to show.
// Fuzzing as such sampling: M. Bohme, "STADS: Software testing as species discovery", ACM TOSEM 27, 2018.
//
// Locking: none; pure functions of a table that nobody writes.
// Not covered: runs of a fuzzer are no independent draws. Mutants resemble what was kept, so what the generator seldom
// makes is underestimated; a pair that never ran together has no estimate at all.
// Tested by: fuzz/residual/estimate_test.cc.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "fuzz/residual/order_table.h"

namespace daxfuzz::residual {

struct Estimate {
  uint64_t runs = 0;  // in which the pair ran in different tasks; of all: sampled
  uint64_t seen = 0;  // orders
  uint64_t once = 0;  // of these, in one run
  uint64_t twice = 0;
  uint64_t sightings = 0;  // sum of the runs of each order

  double unseen() const;
  double coverage() const;  // 0 when nothing was seen
  double next() const;
};

struct Residual {
  Estimate all;
  std::vector<Estimate> pairs;  // kRows * kRows: the earlier access' operation, then the later's
  uint64_t dropped = 0;

  const Estimate& pair(size_t first, size_t then) const { return pairs[first * kRows + then]; }
  // (first, then) of pairs with at least one unseen order, most first.
  std::vector<std::pair<size_t, size_t>> most_left() const;
  // Unordered pairs of operations, system tasks left out; an operation may meet itself.
  uint64_t pairs_possible() const;
  uint64_t pairs_never_together() const;
  uint64_t pairs_without_conflict() const;  // ran together, and touched nothing that both touch
};

Residual residual(const OrderTable& table);

// The operation's name; "system" for kSystemRow.
const char* row_name(size_t row);

}  // namespace daxfuzz::residual
