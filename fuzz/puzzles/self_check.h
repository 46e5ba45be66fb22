// fuzz/puzzles/self_check.h - a fuzzer that misses a planted bug proves nothing: find one before every job.
// Tested by: every `daxfuzz fuzz`, which begins with it.
#pragma once

#include <string>

namespace daxfuzz::puzzles {

// Runs the puzzles with a small budget. Empty when each planted bug was found and the sound twin of each stayed silent;
// otherwise which was not.
std::string self_check();

}  // namespace daxfuzz::puzzles
