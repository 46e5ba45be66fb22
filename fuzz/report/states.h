// fuzz/report/states.h - the objects that a finding is about, before the tasks and when it was
// noticed.
//
// Pages of the finding's objects (Finding::about) by the values that the library told about them; a
// finding that names no objects gets the pages that tasks changed. Not covered: contents, names,
// link counts (nobody tells them).
//
// Tested by: fuzz/report/collect_test.cc.
#pragma once

#include <vector>

#include "fuzz/report/report.h"

namespace daxfuzz::report {

// Needs finding, program and recording.
std::vector<StateLine> states_of(const Report& report);

}  // namespace daxfuzz::report
