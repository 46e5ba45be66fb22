// fs/base/text.h - printf into a string, whole: for messages of any length.
//
// Locking: none; pure functions, no scheduling point.  Tested by: fs/base/base_test.cc.
#pragma once

#include <cstdarg>
#include <string>

#include "fs/base/compiler.h"

namespace daxfs {

FS_PRINTF(1, 2) std::string format(const char* pattern, ...);
FS_PRINTF(1, 0) std::string vformat(const char* pattern, va_list arguments);

}  // namespace daxfs
