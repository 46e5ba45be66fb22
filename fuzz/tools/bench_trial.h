// fuzz/tools/bench_trial.h - one trial of `daxfuzz bench-bugs`: a fuzz loop from nothing, until its first finding or
// the end of its budget of processor time.
//
// A trial is a process of its own, forked and never exec'd: what an earlier trial left (pools that grew, leaks of
// abandoned runs) must not help or hinder the next, and its processor time is its own. What it has to say is in
// shared memory at any time, so that it can be stopped at any time.
//
// Locking: none; the parent reads `end` last.  Tested by: fuzz/tools/bench_trial_test.cc, fuzz/tools/daxfuzz_test.py.
#pragma once

#include <cstdint>
#include <string>

#include "fs/base/historical.h"
#include "fuzz/benchbugs/results.h"
#include "fuzz/tools/fuzz_loop.h"

namespace daxfuzz::tools {

struct TrialTask {
  daxfs::BugSet bugs;
  PolicyKind policy = PolicyKind::kCoverage;
  uint64_t seed = 1;
  double cpu_seconds = 30;
  std::string findings_dir;  // where a finding is filed; empty: nowhere
};

struct TrialShared {
  uint64_t runs;
  uint64_t events;
  double cpu_seconds;
  uint32_t harness_defects;
  uint32_t ended;  // written last: what `end` says holds
  benchbugs::End end;
  char verdict[24], key[17], tag[16], title[256], path[512];
};

// What this process has used.
double process_cpu_seconds();

// REQUIRES: a process that ran no fuzz loop before. Takes about task.cpu_seconds at most.
void run_trial(const TrialTask& task, TrialShared* shared);

}  // namespace daxfuzz::tools
