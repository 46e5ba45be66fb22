// fuzz/tools/exit_code.h - what scripts get (docs/contracts of the command line: docs/running.md).
//
// Tested by: fuzz/tools/daxfuzz_test.py.
#pragma once

#include <cstdio>
#include <string>

#include "fs/base/report.h"

namespace daxfuzz::tools {

enum ExitCode : int {
  kExitOk = 0,
  kExitUsage = 1,  // bad option, unreadable or malformed input
  kExitHarness = 2,
  kExitLivelock = 70,
  kExitOutOfMemory = 71,
  kExitInterrupted = 72,
  kExitFinding = 77,
};

constexpr int exit_code_of(daxfs::Verdict verdict) {
  switch (verdict) {
    case daxfs::Verdict::kOk: return kExitOk;
    case daxfs::Verdict::kHarness: return kExitHarness;
    case daxfs::Verdict::kLivelock: return kExitLivelock;
    default: return kExitFinding;
  }
}

// For `return usage("what is wrong, and what was expected");`.
inline int usage(const std::string& message) {
  std::fprintf(stderr, "daxfuzz: %s\n", message.c_str());
  return kExitUsage;
}

}  // namespace daxfuzz::tools
