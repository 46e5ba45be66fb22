#include "fuzz/tools/edge_counters.h"

#include <cstring>

namespace daxfuzz::tools {

EdgeCounters& EdgeCounters::get() {
  static EdgeCounters& instance = *new EdgeCounters;
  return instance;
}

void EdgeCounters::add_range(uint8_t* begin, uint8_t* end) {
  if (begin == end) { return; }
  for (const auto& known : ranges_) {
    if (known.data() == begin) { return; }
  }
  ranges_.emplace_back(begin, static_cast<size_t>(end - begin));
  total_ += static_cast<size_t>(end - begin);
}

void EdgeCounters::reset() {
  for (const auto& range : ranges_) { std::memset(range.data(), 0, range.size()); }
}

}  // namespace daxfuzz::tools

// NOLINTBEGIN(bugprone-reserved-identifier): the compiler calls them
extern "C" {
void __sanitizer_cov_8bit_counters_init(char* begin, char* end) {
  daxfuzz::tools::EdgeCounters::get().add_range(reinterpret_cast<uint8_t*>(begin), reinterpret_cast<uint8_t*>(end));
}
void __sanitizer_cov_pcs_init(const uintptr_t* /*begin*/, const uintptr_t* /*end*/) {}
}
// NOLINTEND(bugprone-reserved-identifier)
