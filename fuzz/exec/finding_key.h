// fuzz/exec/finding_key.h - what a finding is called, and which findings are the same one.
//
// Tested by: fuzz/exec/finding_key_test.cc, corpus/keys_test.cc
#pragma once

#include <string>
#include <string_view>

#include "fs/base/report.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::exec {

// Names a finding for people and scripts.
std::string finding_title(const daxfs::Finding& finding);
// Verdict, invariant tag, the function that noticed, which assertion of it (by its message without
// the numbers; what the image checker and the judge of results say, by its shape), how the objects
// came to be so where the assertion knows (About::how) and the kind of
// system call it was in (none at rest, in interrupts and in deadlocks; of a livelock all calls in
// it, and no function): stable across compilers, flavours and unrelated edits. 16 hex digits.
std::string finding_key(const daxfs::Finding& finding);
// What stays of a title when names, numbers and lists are taken out: "got # at file offset #; only # possible".
std::string title_shape(std::string_view title);
// "daxfs::dax::disassociate_entry" from a compiler's pretty name: no return type, parameters, template arguments,
// anonymous namespaces or lambdas. The short one is without "daxfs::".
std::string qualified_function(std::string_view pretty);
std::string short_function(std::string_view pretty);
// What finding_key takes the system call for: calls that end in the same code are one kind. "" for none.
std::string call_kind(const prog::Op& op);

}  // namespace daxfuzz::exec
