// fuzz/residual/summary.h - what was not explored, for people and for scripts: text, JSON, and a
// heat map in HTML.
//
// Tested by: fuzz/residual/page_test.cc.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "fuzz/residual/estimate.h"

namespace daxfuzz::residual {

// Two or three lines, each with its end.
std::string summary(const Residual& residual);

// {"sampled_runs", "orders": {...}, "pairs": [{"first", "then", ...}]}: pairs that ran together, in
// the table's order; "never_together": [["open", "mmap"], ...].
nlohmann::json to_json(const Residual& residual);

// One page, no script, nothing to fetch.
std::string page(const Residual& residual);

}  // namespace daxfuzz::residual
