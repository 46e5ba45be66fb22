// fuzz/tools/fuzz_shared.h - what a fuzzing worker tells its parent through shared memory.
//
// Workers are processes, so that a crash of the library ends one of them and not the fuzzing. A worker writes its
// counters, the program it is running (for the parent to file if the worker dies) and its findings; the parent only
// reads.
//
// Tested by: fuzz/tools/daxfuzz_test.py.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fuzz/residual/order_table.h"
#include "fuzz/tools/fuzz_loop.h"

namespace daxfuzz::tools {

struct SharedFinding {
  char verdict[24];
  char key[17];
  char title[256];
  char path[512];
  uint64_t milliseconds;  // since the start
};

struct WorkerShared {
  static constexpr size_t kFindingsMax = 256;
  static constexpr size_t kProgramMax = 16384;

  LoopStats stats;
  uint32_t finding_count;    // written last
  uint32_t harness_defects;  // findings that did not replay
  SharedFinding findings[kFindingsMax];
  uint32_t program_size;
  uint8_t program[kProgramMax];  // binary form of the program that was run last
  daxfs::rt::SwitchLog taken;    // what that run took until now
  residual::OrderTable orders;   // of all generations of this worker
};

}  // namespace daxfuzz::tools
