// fs/base/symbols.h - names of functions, for reports.
//
// Asks the sanitizer's symbolizer where there is one: it knows inlined functions and lines. Elsewhere the dynamic
// symbols are all there is, so executables must export theirs.
//
// Locking: none. Allocates; slow.  Tested by: fs/base/base_test.cc, fs/rt/deadlock_test.cc.
#pragma once

#include <string>
#include <vector>

namespace daxfs {

// Functions at an address of code, inlined ones first; none if nobody knows. For a return address ask one byte before.
std::vector<std::string> functions_at(void* address);

// One line: function, and file and line where they are known; or "module+0x12", the same in every run, for addr2line.
std::string describe_code(void* address);

}  // namespace daxfs
