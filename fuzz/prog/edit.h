// fuzz/prog/edit.h - edits that keep a program valid and its schedule meaningful.
//
// Anchors of the schedule name operations by index. An edit that moves operations moves their
// anchors along; anchors of operations that go away go away too. Mutators and minimizers change
// operation lists only through these functions.
//
// Tested by: fuzz/prog/edit_test.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "fuzz/prog/program.h"

namespace daxfuzz::prog {

// Where an operation stands: a task's list, or a process' set-up list.
struct Place {
  bool init = false;
  uint8_t list = 0;  // index of the task, or of the process if `init`
  uint8_t op = 0;    // index in the list
  bool operator==(const Place&) const = default;
};

std::vector<Op>& op_list(Program& program, Place place);
const std::vector<Op>& op_list(const Program& program, Place place);

// Inserts before `place.op` (at most the list's length). Declines, with false, where a bound would
// be exceeded.
bool insert_op(Program& program, Place place, const Op& op);
// REQUIRES: the operation exists.
void remove_op(Program& program, Place place);
// Removes operations [place.op, end) of the list.
void remove_ops(Program& program, Place place, size_t count);

// Appends a task; false at the bound. REQUIRES: the process exists.
bool add_task(Program& program, uint8_t process);
// Later tasks move up; the schedule follows. REQUIRES: more than one task.
void remove_task(Program& program, uint8_t task);
// Appends an empty process; false at the bound.
bool add_process(Program& program);
// Its tasks move to process 0; later processes move up. REQUIRES: process 0 < `process` < number of
// processes.
void remove_process(Program& program, uint8_t process);

// Declines, with false, if the list of options got longer than one may be.
bool add_mount_option(Program& program, std::string_view option);

// Operand value for a path: a row of the pool if it has `text`, otherwise a string, added if
// needed. Bytes behind a NUL are dropped. Row 0 where the bounds for strings would be exceeded.
uint8_t intern_path(Program& program, std::string_view text);
// Puts strings in order of first use and drops unused ones. To be called after edits that add or
// remove uses of strings.
void canonicalise_strings(Program& program);

// `memory` as an operand of `kind` may have it.
Memory normal_memory(OperandKind kind, const Memory& memory);

// Sets every member that is no operand of `op.code` to its default, and makes slots, kinds and
// modes valid. `strings` bounds path operands.
void normalise_op(Op& op, size_t strings);

}  // namespace daxfuzz::prog
