// fuzz/oracle/judge.h - may the results of this run be what they are?
//
// Knows programs and POSIX, not the library. Sound for concurrent histories: it objects only if no order of the
// operations' effects that respects their begins and ends explains a result. Where it cannot tell, it is silent.
//
// Invariants: O9 what a call returns, and every byte read or left on the medium, is what some order of the operations
// explains; O16 no read returns bytes of a block's former life.
// Tested by: fuzz/oracle/*_test.cc
#pragma once

#include <optional>
#include <string>

#include "fuzz/oracle/history.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::oracle {

struct Objection {
  const char* tag = "";  // oracle: "O9" contents, "O16" stale bytes, ...
  std::string title;     // "pread returned 0x41 at file offset 8192; only 0x00, 0x42 possible"
  std::string detail;
  uint8_t task = kInitTask;  // of the operation whose result it is
  uint16_t index = 0;        // of that operation; kInitTask and 0 also for a final file
  uint64_t ino = 0;          // of the file, if it is about a byte of one or its size
  uint64_t offset = 0;       // of the byte
  bool of_size = false;      // on the medium
};

std::optional<Objection> judge(const prog::Program& program, const History& history);

}  // namespace daxfuzz::oracle
