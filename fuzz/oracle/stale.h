// fuzz/oracle/stale.h - bytes that no file may show, whatever else is known of it.
//
// The model of results is silent where it cannot tell what a file holds: after a failure on order, when names changed
// under descriptors, where transfers overlap. What it need not know: free blocks, in image templates and with
// poison_freed, and frames that nobody filled hold one byte throughout (daxfs::kStaleByte). No file ever holds a long
// run of it unless a program writes that; and what the page cache wrote is zeros from the end of the file to the end of
// its block.
//
// Invariants:
//   O16  what a call returns, and what the medium holds of a file, was not left there by a previous owner.
// Not covered: files with DAX have behind their end what mappings stored there; runs shorter than 64 bytes;
// tails where a device writes into a mapping, which it may do behind the zeroing.
// Tested by: fuzz/oracle/stale_test.cc
#pragma once

#include <optional>
#include <span>

#include "fuzz/oracle/history.h"
#include "fuzz/oracle/judge.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::oracle {

// Whether a run of the byte can only be a leftover: the program stores none of it, and the image is a template.
bool leftovers_tell(const History& history);

// What a call returned, or what the medium holds. REQUIRES: leftovers_tell().
std::optional<Objection> check_leftovers(const OpRecord& record);
std::optional<Objection> check_leftovers(const FinalFile& found, std::span<const FinalPiece> pieces);

// Behind the end of a file that never had DAX. Failures on order leave there what they leave.
std::optional<Objection> check_tail(const prog::Program& program, const History& history, const FinalFile& found);

}  // namespace daxfuzz::oracle
