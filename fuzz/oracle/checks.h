// fuzz/oracle/checks.h - results against the model: the objections.
//
// Tested by: fuzz/oracle/judge_test.cc, fuzz/oracle/judge_random_test.cc
#pragma once

#include <optional>

#include "fuzz/oracle/judge.h"
#include "fuzz/oracle/model.h"

namespace daxfuzz::oracle {

// Bytes, counts, sizes and signals of one operation.
std::optional<Objection> check_result(Model& model, const OpRecord& record);
// A file on the medium after the unmount.
std::optional<Objection> check_final(Model& model, const FinalFile& found, std::span<const FinalPiece> pieces);

}  // namespace daxfuzz::oracle
