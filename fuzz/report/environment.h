// fuzz/report/environment.h - what made this tool: engine, sanitizers, compiler, versions.
//
// Tested by: fuzz/report/collect_test.cc.
#pragma once

#include "fuzz/report/report.h"

namespace daxfuzz::report {

Environment environment();

}  // namespace daxfuzz::report
