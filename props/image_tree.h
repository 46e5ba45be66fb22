// props/image_tree.h - what an image holds, listed as kernel_calls.h lists a mounted one, by fs/check's own reader.
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
