// fs/base/site.h - a place in the source: the default argument of every function that is a scheduling point.
// Tested by: fs/base/base_test.cc.
#pragma once

#include <source_location>

namespace daxfs {

// Pass as the last, defaulted argument: `void lock(Site site = Site::current())`.
using Site = std::source_location;

}  // namespace daxfs
