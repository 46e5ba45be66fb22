// fuzz/exec/lone_failure.h - whom a memory failure that nothing ran beside told of its page.
//
// Compares the mappings that the operation lists with what the page tables of all processes held before it.
//
// Locking: none; a look between two points of the task that made the call (observer_reads.h).
// Invariants:
//   LC8 memory_failure tells of each place where a process maps the page, private mappings too, and of no other.
// Tested by: fuzz/exec/lone_call_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fuzz/exec/machine.h"
#include "fuzz/oracle/history.h"
#include "fuzz/oracle/judge.h"

namespace daxfuzz::exec {

class LoneFailure {
 public:
  // Before the call. `processes`: how many the run has.
  void note(Machine& machine, size_t processes, uint32_t ino, uint64_t offset);
  // After it.
  std::optional<oracle::Objection> check(const oracle::OpRecord& record) const;

 private:
  bool noted_ = false;
  std::vector<oracle::FailureRow> mapped_;  // in order
};

}  // namespace daxfuzz::exec
