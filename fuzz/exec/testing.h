// fuzz/exec/testing.h - random runs, for tests.
//
// Locking: none.  Tested by: fuzz/exec/determinism_test.cc, fuzz/exec/e2fsck_test.cc.
#pragma once

#include <cstdint>
#include <string>

#include "fs/base/compiler.h"
#include "fuzz/exec/executor.h"
#include "fuzz/prog/text.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::exec {

inline constexpr bool kSanitized = DAXFS_SANITIZED != 0;

// The program's own schedule, a random walk and PCT in turn.
class Policies {
 public:
  daxfs::rt::Policy* choose(uint64_t turn, const Outcome& last) {
    switch (turn % 3) {
      case 0: return nullptr;
      case 1: walk_.reseed(turn, static_cast<uint32_t>(1 + turn % 64), last.tasks_begin); return &walk_;
      default:
        pct_.reseed(turn, static_cast<uint32_t>(1 + turn / 3 % 4), last.tasks_end - last.tasks_begin + 1,
                    last.tasks_begin);
        return &pct_;
    }
  }

 private:
  sched::RandomWalk walk_{1, 1};
  sched::Pct pct_{1, 1, 1};
};

inline std::string describe(const prog::Program& program, const Outcome& outcome) {
  return (outcome.finding ? finding_title(*outcome.finding) + "\n" : std::string()) + prog::print(program);
}

}  // namespace daxfuzz::exec
