// fuzz/oracle/room.h - may a call of this run have met a full filesystem?
//
// What all operations of a program can take at most, added up and doubled, against what was free before the first of
// them: if it fits, no order of them explains ENOSPC, nor SIGBUS for want of a block. Freed blocks are not counted, and
// a call that asks for more than there is makes everything possible.
//
// Invariants: NR1 nothing fails for want of room while there is plenty.
// Locking: none.  Tested by: fuzz/oracle/room_test.cc
#pragma once

#include <cstdint>

#include "fuzz/oracle/history.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::oracle {

// The most that the program can take, blocks and inodes; saturates.
struct Demand {
  uint64_t blocks = 0;
  uint64_t inodes = 0;
};
Demand demand_of(const prog::Program& program);

// There is room for all that the program may do, and nothing fails on order.
bool plenty_of_room(const prog::Program& program, const History& history);

}  // namespace daxfuzz::oracle
