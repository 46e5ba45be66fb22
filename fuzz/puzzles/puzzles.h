// fuzz/puzzles/puzzles.h - tiny scenes with a planted bug each: they test the fuzzer, not the filesystem.
//
// A puzzle is a root task for rt::run; with `broken` it has its bug, without it is sound. The budget is the number of
// random schedules within which the bug must show (measured generously: ten times the median).
//
// Tested by: fuzz/puzzles/puzzles_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "fs/base/report.h"

namespace daxfuzz::puzzles {

struct Puzzle {
  std::string_view name;
  std::string_view expects;    // what must be found, for people
  daxfs::Verdict verdict;      // of the finding
  void (*scene)(bool broken);  // runs inside a root task
  uint32_t schedules_max;      // budget
};

std::span<const Puzzle> puzzles();

// How many random schedules it took to see the puzzle's verdict; 0 if the budget was not enough.
// With broken == false every finding counts, so 0 means silent.
uint32_t solve(const Puzzle& puzzle, bool broken, uint64_t seed);

}  // namespace daxfuzz::puzzles
