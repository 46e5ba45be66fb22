// props/image_tree.h - the tree that an image holds, as kernel_calls.h lists a mounted one, by the checker's own reader.
//
// For machines whose kernel mounts nothing for us.
// Locking: none.  Tested by: props/differential_test.cc.
#pragma once

#include <cstddef>
#include <span>

#include "props/kernel_calls.h"

namespace daxfuzz::props {

Tree read_image_tree(std::span<const std::byte> image);

}  // namespace daxfuzz::props
