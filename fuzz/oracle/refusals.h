// fuzz/oracle/refusals.h - calls that nothing can make succeed: what Linux refuses for the operands, or for what the
// descriptor was opened for, whatever the rest of the run does.
//
// The other half of errors.h, which asks whether an error has a cause; here a cause must have had its error, though
// not which one.
//
// Source: Linux 6.1's checks of arguments; the manual pages list the same under EBADF, EFBIG, EINVAL and EOPNOTSUPP.
// Invariants:
//   ER2 no call succeeds whose operands, or whose descriptor, forbid it.
// Not covered: flags that have no name in programs; calls by name on what is no regular file (names.h has the tree);
// unaligned direct writes that something ran beside.
// Locking: none.  Tested by: fuzz/oracle/refusals_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "fuzz/oracle/history.h"
#include "fuzz/oracle/judge.h"
#include "fuzz/oracle/model.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::oracle {

// The modes of fallocate that ext4 knows (some for files with extents alone); it refuses all others.
bool is_known_mode(uint32_t mode);
// The path, or a name in it: ENAMETOOLONG.
bool is_too_long(std::string_view path);

// By the operands alone.
std::optional<Objection> check_operands(const prog::Program& program, const OpRecord& record);
// By the descriptor, its file's size, and the mappings at the addresses.
std::optional<Objection> check_objects(Model& model, const OpRecord& record);

}  // namespace daxfuzz::oracle
