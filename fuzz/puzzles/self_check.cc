#include "fuzz/puzzles/self_check.h"

#include "fuzz/puzzles/puzzles.h"

namespace daxfuzz::puzzles {

std::string self_check() {
  for (const Puzzle& puzzle : puzzles()) {
    if (solve(puzzle, /*broken=*/true, 1) == 0) {
      return "puzzle " + std::string(puzzle.name) + ": " + std::string(puzzle.expects) + " was not found";
    }
    if (solve(puzzle, /*broken=*/false, 1) != 0) {
      return "puzzle " + std::string(puzzle.name) + ": a finding in the sound variant";
    }
  }
  return {};
}

}  // namespace daxfuzz::puzzles
