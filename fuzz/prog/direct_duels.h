// fuzz/prog/direct_duels.h - two tasks on a file whose transfers go around caches.
//
// One transfers; the other one transfers, too, or changes what is behind it: EOF, blocks, the descriptor. Part of the
// file's blocks are data, and part are not.
//
// Locking: none.  Tested by: fuzz/prog/generate_test.cc
#pragma once

#include "fuzz/prog/options.h"
#include "fuzz/prog/program.h"
#include "fuzz/prog/random.h"
#include "fuzz/prog/world.h"

namespace daxfuzz::prog {

// Adds operations to two tasks, and to the set-up of process 0; may add mount options. Does nothing if there is one
// task only, or no descriptor 1.
void add_direct_duel(Program& program, World& world, Random& random, const Options& options);

}  // namespace daxfuzz::prog
