// fuzz/explain/rows.h - kept steps as rows: long chains of calls shortened, the same for several pages said once.
//
// Tested by: fuzz/explain/explain_test.cc.
#pragma once

#include <span>
#include <vector>

#include "fs/rt/engine.h"
#include "fuzz/explain/explanation.h"
#include "fuzz/explain/slice.h"
#include "fuzz/explain/timeline.h"
#include "fuzz/explain/words.h"

namespace daxfuzz::explain {

// Fills columns and rows of `out`, without the row of the finding.
void draw_rows(const Timeline& timeline, const Slice& slice, std::span<const daxfs::rt::TakenSwitch> taken,
               const prog::Program& program, const Words& words, Explanation* out);

}  // namespace daxfuzz::explain
