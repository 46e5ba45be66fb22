// fuzz/tools/results_json.h - the result lines of `daxfuzz run --results`: one JSON object an operation, then the tree.
//
// Tested by: fuzz/tools/daxfuzz_test.py.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "fuzz/exec/executor.h"

namespace daxfuzz::tools {

// Lines, each ended by a newline: operations in the order in which they began, set-up first; then
// {"tree":[...]} of `image` (empty: no such line).
std::string results_lines(const prog::Program& program, const exec::Outcome& outcome, std::span<const std::byte> image);

}  // namespace daxfuzz::tools
