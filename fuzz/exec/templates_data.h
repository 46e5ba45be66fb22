// fuzz/exec/templates_data.h - the generated table of image templates (make_templates.py).
// Tested by: what uses templates.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace daxfuzz::exec::internal {

// Blocks that are all `fill`, or (bytes != null) one block of these bytes and zeros behind them.
struct TemplateSegment {
  uint32_t first_block;
  uint32_t block_count;
  unsigned char fill;
  const unsigned char* bytes;
  size_t size;
};

struct TemplateData {
  std::string_view name;
  uint32_t blocks;
  const TemplateSegment* segments;
  size_t segment_count;
};

std::span<const TemplateData> template_table();

}  // namespace daxfuzz::exec::internal
