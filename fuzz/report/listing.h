// fuzz/report/listing.h - the program's text line by line, with what the diagram knows about its
// preemptions.
//
// Tested by: fuzz/report/collect_test.cc.
#pragma once

#include <vector>

#include "fuzz/report/report.h"

namespace daxfuzz::report {

std::vector<ListingLine> make_listing(const prog::Program& program, const explain::Explanation& explanation);

}  // namespace daxfuzz::report
