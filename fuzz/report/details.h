// fuzz/report/details.h - a finding's dump of tasks and locks as a reader of the program wants it.
//
// The engine's dump (fs/rt/fiber/deadlock.cc) has compilers' long names, build folders, operations counted from 0 and
// the harness's own task; programs and diagrams count from 1 and know no harness. Other text passes as it is.
//
// Tested by: fuzz/report/collect_test.cc.
#pragma once

#include <string>
#include <string_view>

namespace daxfuzz::report {

// `every_task`: the dump is of all tasks, so that who reported is in it anyway.
std::string readable_detail(std::string_view detail, bool every_task);

}  // namespace daxfuzz::report
