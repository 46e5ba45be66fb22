// fuzz/tools/fuzz_worker.h - one worker process of `daxfuzz fuzz`.
//
// Tested by: fuzz/tools/daxfuzz_test.py.
#pragma once

#include <cstdint>
#include <string>

#include "fs/base/historical.h"
#include "fuzz/tools/fuzz_loop.h"
#include "fuzz/tools/fuzz_shared.h"

namespace daxfuzz::tools {

struct WorkerOptions {
  LoopOptions loop;
  daxfs::BugSet bugs;
  std::string corpus_dir;  // read at the start, written as it grows; empty: in memory only
  std::string findings_dir;
  uint64_t deadline_ms = 0;  // monotonic; 0: none
  uint64_t start_ms = 0;
  bool stop_on_finding = false;
};

// How a worker process exits.
enum WorkerExit : int { kWorkerDone = 0, kWorkerRecycle = 3, kWorkerBroken = 2 };

uint64_t monotonic_ms();

// Runs until the deadline, a finding (if asked to stop there), or until abandoned runs have leaked so much that a fresh
// process is due.
int run_worker(const WorkerOptions& options, WorkerShared* shared);

}  // namespace daxfuzz::tools
