// fuzz/oracle/words.h - the words of objections: printf's formats as strings.
//
// Locking: none; no scheduling point, so that calls can be judged while tasks run.
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
