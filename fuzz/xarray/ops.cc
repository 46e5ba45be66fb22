// fuzz/xarray/ops.cc - operations from numbers and bytes.
#include "fuzz/xarray/ops.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace daxfuzz::xarray {

namespace {

using daxfs::lib::XEntry;

// Where indices come from. Dense ones meet each other; sparse ones make tall trees.
struct Shape {
  unsigned order_max;
  std::array<uint64_t, 4> bases;
  uint64_t spread;
};
constexpr Shape kShapes[] = {
    {4, {0, 0, 0, 0}, 64},
    {9, {0, 0, 0, 0}, 4096},
    {9, {512, 1024, 960, 512}, 1024},  // around the border of a huge page
    {12, {0, 4095, uint64_t{1} << 40, uint64_t{1} << 62}, 600},
    {9, {~uint64_t{0} - 1500, 0, ~uint64_t{0} - 700, ~uint64_t{0} - 1500}, 1500},  // the last indices there are
    {62, {0, uint64_t{1} << 33, uint64_t{1} << 63, 0}, uint64_t{1} << 62},
    {3, {0, 0, 0, 60}, 16},
    {7, {0, 64, 128, 0}, 256},
};

// What each of the 32 values of five bits means.
constexpr OpKind kKinds[32] = {
    OpKind::kStore,      OpKind::kStore,  OpKind::kStore,      OpKind::kStore,      OpKind::kStore,    OpKind::kStore,
    OpKind::kErase,      OpKind::kErase,  OpKind::kErase,      OpKind::kLoad,       OpKind::kLoad,     OpKind::kGet,
    OpKind::kGet,        OpKind::kMark,   OpKind::kMark,       OpKind::kMark,       OpKind::kMark,     OpKind::kUnmark,
    OpKind::kUnmarkAll,  OpKind::kSplit,  OpKind::kSplit,      OpKind::kConflict,   OpKind::kConflict, OpKind::kFind,
    OpKind::kFindMarked, OpKind::kWalk,   OpKind::kWalkMarked, OpKind::kWalkMarked, OpKind::kWalkOn,   OpKind::kWalkOn,
    OpKind::kWalkOn,     OpKind::kWalkOn,
};

// Takes bits off a number, low ones first.
class Bits {
 public:
  explicit Bits(uint64_t word) : word_(word) {}
  uint64_t take(unsigned count) {
    const uint64_t value = word_ & ((uint64_t{1} << count) - 1);
    word_ >>= count;
    return value;
  }

 private:
  uint64_t word_;
};

alignas(8) char g_pointees[64];

XEntry entry_from(uint64_t kind, uint64_t number) {
  switch (kind) {
    case 0: return XEntry::zero_entry();
    case 1:
    case 2: return XEntry::from_pointer(&g_pointees[8 * (number % 8)]);
    default: return XEntry::from_value(kind == 3 ? number << 50 : number);
  }
}

constexpr uint64_t first_of(uint64_t index, unsigned order) { return index >> order << order; }

}  // namespace

unsigned fanout_of(uint8_t shape) { return (shape & 8) != 0 ? 4 : 64; }

Op op_from_word(uint8_t shape_byte, uint64_t word) {
  const Shape& shape = kShapes[shape_byte % std::size(kShapes)];
  Bits bits(word);
  Op op;
  op.kind = kKinds[bits.take(5)];
  const uint64_t order = bits.take(7);
  const uint64_t mark = bits.take(2) % kMarkCount;
  const uint64_t entry_kind = bits.take(3);
  const uint64_t number = bits.take(7);
  const uint64_t base = bits.take(2);
  const uint64_t offset = bits.take(22);
  const uint64_t span = bits.take(16);
  // Half of all cursors are of order 0.
  const auto some_order = static_cast<uint8_t>(order < 64 ? 0 : (order - 64) % (shape.order_max + 1));
  // Wide spreads need more bits than were drawn.
  op.index = shape.bases[base] + (shape.spread > (uint64_t{1} << 22) ? offset << 40 | offset : offset) % shape.spread;
  switch (op.kind) {
    case OpKind::kStore:
    case OpKind::kSplit:
      op.order = some_order;
      op.entry = entry_from(entry_kind, number);
      if (op.kind == OpKind::kStore) { op.index = first_of(op.index, op.order); }
      break;
    case OpKind::kErase:
    case OpKind::kLoad:
    case OpKind::kConflict: op.order = some_order; break;
    case OpKind::kMark:
    case OpKind::kUnmark: op.mark = static_cast<uint8_t>(mark); break;
    case OpKind::kFindMarked: op.mark = static_cast<uint8_t>(mark); [[fallthrough]];
    case OpKind::kFind: op.last = span % 4 == 0 ? ~uint64_t{0} : op.index + span % 97; break;
    case OpKind::kWalkMarked: op.mark = static_cast<uint8_t>(mark); break;
    case OpKind::kWalkOn: op.index = 0; break;
    case OpKind::kGet:
    case OpKind::kUnmarkAll:
    case OpKind::kWalk: break;
  }
  return op;
}

Sequence decode(std::span<const uint8_t> bytes) {
  Sequence sequence;
  if (bytes.empty()) { return sequence; }
  const uint8_t shape = bytes[0];
  sequence.fanout = fanout_of(shape);
  bytes = bytes.subspan(1);
  const size_t count = std::min((bytes.size() + 7) / 8, kOpsMax);
  sequence.ops.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t word = 0;
    for (size_t k = 0; k < 8 && 8 * i + k < bytes.size(); ++k) { word |= uint64_t{bytes[8 * i + k]} << (8 * k); }
    sequence.ops.push_back(op_from_word(shape, word));
  }
  return sequence;
}

}  // namespace daxfuzz::xarray
