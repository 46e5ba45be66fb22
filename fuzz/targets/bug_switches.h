// fuzz/targets/bug_switches.h - DAXFUZZ_BUGS="id id" switches historical bugs on, to try a target itself.
//
// Locking: before the first run.  Tested by: fuzz/targets/targets_test.py
#pragma once

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "fs/base/historical.h"

namespace daxfuzz {

// False, with a sentence on stderr, for a name that is no bug's.
inline bool select_bugs(std::string_view names) {
  daxfs::BugSet bugs;
  while (!names.empty()) {
    const size_t end = std::min(names.find(' '), names.size());
    const std::string_view id = names.substr(0, end);
    names.remove_prefix(std::min(end + 1, names.size()));
    if (!id.empty() && daxfs::select_historical(id, &bugs) == 0) {
      std::fprintf(stderr, "DAXFUZZ_BUGS: no historical bug '%.*s'; `daxfuzz bugs` lists them\n",
                   static_cast<int>(id.size()), id.data());
      return false;
    }
  }
  daxfs::set_historical(bugs);
  return true;
}

}  // namespace daxfuzz
