// fuzz/image/images_data.h - the generated table of images (make_images.py).
// Tested by: what uses images.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace daxfuzz::image::internal {

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

std::span<const ImageData> image_table();

}  // namespace daxfuzz::image::internal
