// fuzz/exec/honesty.h - the gate before a finding is told to anybody: it replays, every time, with the same trace.
//
// What does not is a defect of the harness (state that survived a run, a choice that was not recorded) and would cost
// its reader's trust in all other findings.
//
// Tested by: fuzz/exec/honesty_test.cc, fuzz/tools/fuzz_loop_test.cc
#pragma once

#include <cstdint>
#include <functional>

#include "fs/base/compiler.h"
#include "fs/base/report.h"
#include "fuzz/exec/executor.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::exec {

inline constexpr unsigned kHonestReplays = 20;

// The tag of a loop without a scheduling point, which a clock ends (fuzz/tools/crash_trap.h): each run of it costs
// seconds.
inline constexpr const char* kLoopTag = "LOOP";

// How many replays a finding needs; at least one of them warm and one cold.
unsigned replays_needed(const daxfs::Finding& finding);

// Whether each replay has a machine that never ran anything, as every command will. Only with TSan: containers that a
// warm machine keeps are as large as earlier runs made them, and which of two accesses that race it meets first, or
// whether it still knows the earlier one, may depend on that.
#if defined(DAXFS_TSAN)
inline constexpr bool kReplaysCold = true;
#else
inline constexpr bool kReplaysCold = false;
#endif

// Replays the program's own schedule until a run differs, at most replays_needed() times: the first half on `executor`,
// whose machine is warm, the others on one that never ran anything. RETURNS: how many showed a finding with the same
// key, and this trace hash. `before` (for tests of the gate) is told the number of each replay.
unsigned equal_replays(Executor& executor, const prog::Program& program, const daxfs::Finding& finding,
                       uint64_t trace_hash, const std::function<void(unsigned)>& before = nullptr,
                       uint64_t events_max = RunConfig().events_max);

}  // namespace daxfuzz::exec
