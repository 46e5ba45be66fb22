// props/extent_status_steps.h - the extent status cache against a map of blocks: an operation of each number.
//
// Locking: none.  Tested by: props/structure_props.cc runs it; docs/properties.md says on what it was seen to fail.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace daxfuzz::props {

// RETURNS: what is wrong, or nothing. The cache may forget what it was told, but not say anything else.
std::string extent_status_steps(const std::vector<uint64_t>& words);

}  // namespace daxfuzz::props
