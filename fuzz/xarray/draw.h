// fuzz/xarray/draw.h - a sequence of operations as a story in pictures: what each answered, and the tree after it.
//
// Tested by: fuzz/xarray/lockstep_test.cc (docs/walkthroughs has the output of today)
#pragma once

#include <string>

#include "fuzz/xarray/ops.h"

namespace daxfuzz::xarray {

// Ends where array and model disagree, and says so.
std::string draw(const Sequence& sequence);

}  // namespace daxfuzz::xarray
