// fuzz/report/bundle.h - everything about a finding as the files of one folder.
//
// Tested by: fuzz/report/formats_test.cc, fuzz/report/report_test.py.
#pragma once

#include <string>
#include <vector>

#include "fuzz/report/report.h"

namespace daxfuzz::report {

struct BundleFile {
  std::string name;
  std::string contents;
};

// README.md, which is the index, comes last: who writes them in order has all that it names.
std::vector<BundleFile> bundle(const Report& report);

}  // namespace daxfuzz::report
