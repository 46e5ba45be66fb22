// fuzz/prog/generate.h - random programs, biased to tasks that meet on the same pages of the same
// file.
//
// The same seed and options give the same program and leave the generator at the same next number.
//
// Tested by: fuzz/prog/generate_test.cc, props/prog_codec_props.cc
#pragma once

#include "fuzz/prog/options.h"
#include "fuzz/prog/program.h"
#include "fuzz/prog/random.h"

namespace daxfuzz::prog {

Program generate(Random& random, const Options& options = default_options());

// Appends a failure on order (fail_bio=, fail_alloc=, fail_memory=) to the mount options, or takes one away. False:
// there was no room for one.
bool order_failure(Program& program, Random& random);

// An operation drawn by weight, with random operands. RETURNS: a `sync` when all weights are zero.
Op random_op(Random& random, const Options& options, const class World& world, uint8_t process);

}  // namespace daxfuzz::prog
