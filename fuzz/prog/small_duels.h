// fuzz/prog/small_duels.h - a few operations in several tasks about one thing: some names, one range of addresses, or
// the end and the position of one file.
//
// What generate.cc adds to its set-up for races that are not about pages and what is behind them.
//
// Locking: none.  Tested by: fuzz/prog/generate_test.cc
#pragma once

#include "fuzz/prog/options.h"
#include "fuzz/prog/program.h"
#include "fuzz/prog/random.h"
#include "fuzz/prog/world.h"

namespace daxfuzz::prog {

// One of the three. Every task gets an operation or two, in process 0. REQUIRES: mapping 0 and descriptor 0 are of one
// file there.
void add_small_duel(Program& program, World& world, Random& random, const Options& options);

}  // namespace daxfuzz::prog
