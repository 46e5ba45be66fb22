// fuzz/oracle/durable.h - what fsync and its like promise: O8.
//
// That stores, writes and pages are durable is what fuzz/exec/durability.h saw; here is judged whether the call meant
// them. Errors of writeback are told to each open file once, and to somebody for certain.
//
// Locking: none; one thread, after the run. The invariant is O8, of fuzz/exec/durability.h.
// Tested by: fuzz/oracle/judge_test.cc
#pragma once

#include <optional>

#include "fuzz/oracle/judge.h"
#include "fuzz/oracle/model.h"

namespace daxfuzz::oracle {

std::optional<Objection> check_durable(Model& model, const OpRecord& record);

}  // namespace daxfuzz::oracle
