// fuzz/oracle/words.h - the words of objections: printf's formats as strings.
//
// Locking: none; YIELDS never, so calls that are judged while tasks run may use it.
// Tested by: what judges say, fuzz/oracle/judge_test.cc, fuzz/exec/lone_call_test.cc.
#pragma once

#include <cstdint>
#include <string>

#include "fs/base/compiler.h"

namespace daxfuzz::oracle {

// At most 319 characters; what is longer is cut.
std::string words(const char* format, ...) FS_PRINTF(1, 2);

// For %llu.
constexpr unsigned long long wide(uint64_t value) { return value; }

}  // namespace daxfuzz::oracle
