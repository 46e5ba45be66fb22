// fuzz/oracle/errors.h - can anything in this run have caused the error that a call returned?
//
// Judged by the operands of the call and by what the run does at all, in whatever order: while no call sets a flag that
// forbids changes, nothing causes EPERM; a path of short names is not too long; a buffered write at a valid offset has
// nothing that is invalid. What depends on the tree of names is looked at there (names.h).
//
// Source: Linux 6.1's answers; its manual pages list more than these calls return.
// Invariants:
//   ER1 every error has a cause: in the operands, in what the run does, or in what the image holds.
//   (NR1, ENOSPC, is of room.h.)
// Not covered: wrong errors where an error is right; EINVAL of mremap and madvise; ENOMEM and EFAULT of calls on
// memory; ENXIO of lseek.
// Locking: none.  Tested by: fuzz/oracle/errors_test.cc
#pragma once

#include <optional>

#include "fuzz/oracle/history.h"
#include "fuzz/oracle/judge.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::oracle {

// Offsets and lengths from here on may be too far for some file: one without extents has no place for a block (2 TiB,
// less what the map takes itself), and reads there say EIO.
inline constexpr uint64_t kFar = uint64_t{1} << 40;

std::optional<Objection> check_error(const prog::Program& program, const History& history, const OpRecord& record);

}  // namespace daxfuzz::oracle
