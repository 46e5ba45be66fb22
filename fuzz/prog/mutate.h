// fuzz/prog/mutate.h - typed mutators, crossover and structural shrinking.
//
// Every result is valid. Each mutator has a name, so that a finding can print the chain of
// mutations that led to it.
//
// Tested by: fuzz/prog/mutate_test.cc, props/prog_codec_props.cc
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "fuzz/prog/options.h"
#include "fuzz/prog/program.h"
#include "fuzz/prog/random.h"

namespace daxfuzz::prog {

// Applies one or a few mutators. `*chain`, if given, gets their names appended, each followed by
// '-'.
void mutate(Program& program, Random& random, const Options& options = default_options(), std::string* chain = nullptr);

// A child with parts of both parents: tasks, runs of operations, set-up or schedule.
Program crossover(const Program& a, const Program& b, Random& random, const Options& options = default_options());

// Drops parts - preemptions, operations, tasks, processes, unusual names - until
// encoded_size(program) <= bytes_max, or only Program::minimal() is left. A program that fits
// already loses at least one part all the same, if it has any.
void shrink_below(Program& program, size_t bytes_max, Random& random);

// Bytes after which shrink_below cannot go.
size_t minimal_size();

struct MutatorInfo {
  std::string_view name;
  unsigned weight;
};
std::span<const MutatorInfo> mutators();
// Applies one mutator by its row; false when it found nothing to do. For tests.
bool apply_mutator(size_t row, Program& program, Random& random, const Options& options);

}  // namespace daxfuzz::prog
