#include "fuzz/residual/summary.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include <nlohmann/json.hpp>

namespace daxfuzz::residual {
namespace {

constexpr size_t kNamed = 3;  // pairs that the text names

}  // namespace

std::string summary(const Residual& residual) {
  const Estimate& all = residual.all;
  char line[512];
  std::snprintf(line, sizeof(line),
                "orders of conflicting accesses: %" PRIu64 " seen in %" PRIu64
                " sampled runs, at least %.0f more estimated unseen; the next sampled run shows "
                "%.2f new ones\n",
                all.seen, all.runs, all.unseen(), all.next());
  std::string text = line;
  std::snprintf(line, sizeof(line),
                "pairs of operations: %" PRIu64 " of %" PRIu64 " never ran together, %" PRIu64
                " did and touched nothing in common",
                residual.pairs_never_together(), residual.pairs_possible(), residual.pairs_without_conflict());
  text += line;
  const auto pairs = residual.most_left();
  for (size_t i = 0; i < std::min(kNamed, pairs.size()); ++i) {
    const auto [first, then] = pairs[i];
    std::snprintf(line, sizeof(line), "%s%s, then %s (%" PRIu64 " seen, %.0f unseen)",
                  i == 0 ? "; least explored: " : "; ", row_name(first), row_name(then),
                  residual.pair(first, then).seen, residual.pair(first, then).unseen());
    text += line;
  }
  text += '\n';
  if (residual.dropped != 0) { text += "(the table of orders was full: estimates are too low)\n"; }
  return text;
}

nlohmann::json to_json(const Residual& residual) {
  const auto numbers = [](const Estimate& estimate) {
    return nlohmann::json{{"runs", estimate.runs},
                          {"orders", estimate.seen},
                          {"once", estimate.once},
                          {"twice", estimate.twice},
                          {"unseen_at_least", estimate.unseen()},
                          {"coverage", estimate.coverage()},
                          {"new_per_run", estimate.next()}};
  };
  nlohmann::json pairs = nlohmann::json::array();
  nlohmann::json never = nlohmann::json::array();
  for (size_t a = 0; a < kRows; ++a) {
    for (size_t b = 0; b < kRows; ++b) {
      const Estimate& pair = residual.pair(a, b);
      if (pair.runs != 0) {
        nlohmann::json entry = numbers(pair);
        entry["first"] = row_name(a);
        entry["then"] = row_name(b);
        pairs.push_back(entry);
      } else if (a <= b && b != kSystemRow) {
        never.push_back({row_name(a), row_name(b)});
      }
    }
  }
  return {{"sampled_runs", residual.all.runs},
          {"orders", numbers(residual.all)},
          {"dropped", residual.dropped},
          {"pairs_possible", residual.pairs_possible()},
          {"pairs_never_together", residual.pairs_never_together()},
          {"pairs_without_conflict", residual.pairs_without_conflict()},
          {"pairs", pairs},
          {"never_together", never}};
}

}  // namespace daxfuzz::residual
