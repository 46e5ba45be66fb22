// props/props.h - for programs of properties: a property is also tried on a planted bug, which it must find.
//
// A property that never failed is not trusted. Where the library has a switch for a bug of the property's area, the
// program itself runs the property with the switch on (must_fail); docs/properties.md names the plants that were made
// by hand, seen to fail, and undone.
#pragma once

#include <iostream>
#include <string>

#include <rapidcheck.h>

#include "fs/base/historical.h"

namespace daxfuzz::props {

// True if the property, run with the historical bug on, finds a counterexample. Prints the smallest.
template <typename Testable>
bool must_fail(const std::string& description, std::string_view bug, Testable&& testable) {
  daxfs::BugSet bugs;
  if (daxfs::select_historical(bug, &bugs) == 0) { return true; }  // compiled without them
  daxfs::set_historical(bugs);
  rc::detail::TestMetadata metadata;
  metadata.id = metadata.description = description;
  rc::detail::TestParams params;  // of its own: a test must not fail because a day's numbers were unlucky
  params.seed = 1;
  params.maxSuccess = 20000;
  const auto result = rc::detail::checkTestable(std::forward<Testable>(testable), metadata, params);
  daxfs::set_historical({});
  std::cerr << "\n- " << description << ", with bug " << bug << ": ";
  rc::detail::FailureResult failure;
  if (!result.match(failure)) {
    std::cerr << "NOT FOUND\n";
    return false;
  }
  std::cerr << "found after " << failure.numSuccess << " tests, shrunk in " << failure.reproduce.shrinkPath.size()
            << " steps\n"
            << failure.description << "\n";
  return true;
}

}  // namespace daxfuzz::props
