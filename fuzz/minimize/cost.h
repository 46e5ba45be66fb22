// fuzz/minimize/cost.h - which of two programs is the smaller one.
//
// First what a reader has to follow: operations, preemptions, tasks, processes. Then operations in tasks rather than in
// the set-up, which runs before anything races. Then how unusual the rest looks.
//
// Tested by: fuzz/minimize/minimizer_test.cc
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include "fuzz/prog/program.h"

namespace daxfuzz::minimize {

inline constexpr int64_t kPage = 4096;  // round numbers of operands are multiples of it

struct Cost {
  size_t ops = 0;  // set-up included
  size_t preemptions = 0;
  size_t tasks = 0;
  size_t processes = 0;
  size_t task_ops = 0;
  uint64_t detail = 0;  // of operands, image and mount options
  auto operator<=>(const Cost&) const = default;
};

Cost cost_of(const prog::Program& program);

}  // namespace daxfuzz::minimize
