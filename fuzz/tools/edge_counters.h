// fuzz/tools/edge_counters.h - edge coverage of fs/ for our own fuzzing loop: the inline 8-bit counters of every
// module.
//
// Linked into the `daxfuzz` tool only; targets get their engine's definitions.
// Source: SanitizerCoverage, clang documentation, "inline-8bit-counters".
// Tested by: fuzz/tools/daxfuzz_test.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace daxfuzz::tools {

class EdgeCounters {
 public:
  static EdgeCounters& get();

  size_t total() const { return total_; }
  void reset();  // before a run
  // Calls visit(edge number, count) for each edge that the run hit.
  template <typename F>
  void for_each_hit(F&& visit) const {
    size_t base = 0;
    for (const auto& range : ranges_) {
      scan(range, base, visit);
      base += range.size();
    }
  }

  void add_range(uint8_t* begin, uint8_t* end);  // for the compiler's constructors

 private:
  template <typename F>
  static void scan(std::span<uint8_t> range, size_t base, F& visit) {
    const uint8_t* const data = range.data();
    const size_t size = range.size();
    size_t i = 0;
    while (i < size) {
      if (i + 8 <= size) {
        uint64_t word;
        __builtin_memcpy(&word, data + i, sizeof(word));
        if (word == 0) {
          i += 8;
          continue;
        }
      }
      const size_t end = i + 8 <= size ? i + 8 : size;
      for (; i < end; ++i) {
        if (data[i] != 0) { visit(base + i, data[i]); }
      }
    }
  }

  std::vector<std::span<uint8_t>> ranges_;
  size_t total_ = 0;
};

}  // namespace daxfuzz::tools
