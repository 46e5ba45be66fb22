// fuzz/exec/image_table.h - images that are compiled in: made by mke2fs when the project is built (make_templates.py,
// fuzz/image/make_images.py).
//
// Locking: none; constants.  Tested by: fuzz/exec/templates_test.cc, fuzz/image/image_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace daxfuzz::exec {

// Blocks that are all `fill`, or (bytes != null) one block of these bytes and zeros behind them.
struct ImageSegment {
  uint32_t first_block;
  uint32_t block_count;
  unsigned char fill;
  const unsigned char* bytes;
  size_t size;
};

struct ImageData {
  std::string_view name;
  uint32_t blocks;
  std::span<const ImageSegment> segments;
};

std::vector<std::byte> expand(const ImageData& data);

}  // namespace daxfuzz::exec
