// fuzz/xarray/ops.h - sequences of XArray operations as values, bytes and text.
//
// Bytes: the first says fan-out and shape (how far indices spread, how large entries become); each
// further eight are one operation, so that any bytes are a sequence. Text, for people and for
// corpus/xarray: a line an operation, `#` begins a comment:
//
//   xarray fanout 64          # or 4
//   store 512 order 9 value 7 # or `pointer 3`, or `reserved`; order 0 may be left out
//   erase 512 order 9
//   load 1023 order 9         # a cursor of that order
//   get 1023                  # the whole-array calls: load, get_order, get_mark
//   mark 512 1                # and `unmark 512 1`, `unmark_all 512`
//   split 512 order 0 value 7 # the entry at or behind 512, into entries of order 0
//   conflict 512 order 9      # all that find_conflict meets in the range
//   find 0 1023               # entries from 0 on that begin at or before 1023
//   find_marked 0 1023 1
//   walk 0                    # begins an iteration that pauses after each entry ...
//   walk_marked 0 1           # ... or after each marked one; operations may come between ...
//   walk_on                   # ... and it goes on
//
// Tested by: fuzz/xarray/xarray_ops_test.cc, props/xarray_props.cc
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/lib/xarray_entry.h"

namespace daxfuzz::xarray {

inline constexpr size_t kOpsMax = 4096;
inline constexpr unsigned kMarkCount = 3;

enum class OpKind : uint8_t {
  kStore,
  kErase,
  kLoad,
  kGet,
  kMark,
  kUnmark,
  kUnmarkAll,
  kSplit,
  kConflict,
  kFind,
  kFindMarked,
  kWalk,
  kWalkMarked,
  kWalkOn,
};

// Members that the kind's line of text does not name are as default-constructed.
struct Op {
  OpKind kind = OpKind::kWalkOn;
  uint8_t order = 0;
  uint8_t mark = 0;
  uint64_t index = 0;
  uint64_t last = 0;
  daxfs::lib::XEntry entry = {};  // kStore, kSplit: not null
  bool operator==(const Op&) const = default;
};

struct Sequence {
  unsigned fanout = 64;  // or 4
  std::vector<Op> ops;
  bool operator==(const Sequence&) const = default;
};

// From one number each: what the decoder, the benchmark and the properties draw from. `shape` is the first byte.
Op op_from_word(uint8_t shape, uint64_t word);
unsigned fanout_of(uint8_t shape);

Sequence decode(std::span<const uint8_t> bytes);  // total; at most kOpsMax operations
std::string print(const Sequence& sequence);
std::string print_op(const Op& op);
bool is_text(std::span<const uint8_t> bytes);
// *error: "FILE:LINE: what was expected".
bool parse(std::string_view text, std::string_view file, Sequence* sequence, std::string* error);

}  // namespace daxfuzz::xarray
