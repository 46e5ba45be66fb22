#include "fuzz/exec/image_table.h"

#include <cstring>

#include "fs/base/types.h"

namespace daxfuzz::exec {

std::vector<std::byte> expand(const ImageData& data) {
  std::vector<std::byte> bytes(size_t{data.blocks} * daxfs::kBlockSize);
  for (const ImageSegment& segment : data.segments) {
    std::byte* at = bytes.data() + size_t{segment.first_block} * daxfs::kBlockSize;
    std::memset(at, segment.fill, size_t{segment.block_count} * daxfs::kBlockSize);
    if (segment.bytes != nullptr) { std::memcpy(at, segment.bytes, segment.size); }
  }
  return bytes;
}

}  // namespace daxfuzz::exec
