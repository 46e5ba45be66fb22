// fuzz/xarray/draw.cc - runs the operations one by one and draws the nodes after each that changed them.
#include "fuzz/xarray/draw.h"

#include "fuzz/xarray/lockstep.h"

namespace daxfuzz::xarray {

namespace {

using daxfs::lib::XEntry;

std::string words_of(XEntry entry) {
  if (entry.is_null()) { return "nothing"; }
  if (entry.is_node()) { return "a node: smaller entries are there"; }
  return describe(entry);
}

// What a reader is told; asked on a cursor of its own, beside the comparison with the model.
template <unsigned kShift>
std::string answer(daxfs::lib::BasicXArray<kShift>& xa, const Op& op) {
  daxfs::rt::SpinGuard guard(xa.lock());
  daxfs::lib::XaState<kShift> xas(xa, op.index, op.order);
  switch (op.kind) {
    case OpKind::kLoad: return "  -> " + words_of(xas.load());
    case OpKind::kConflict: return "  -> " + words_of(xas.find_conflict());
    case OpKind::kGet: return "  -> " + words_of(xas.load());
    default: return "";
  }
}

template <unsigned kShift>
std::string draw_as(const Sequence& sequence) {
  Lockstep<kShift> both;
  std::string text;
  std::string before = both.array().dump();
  for (const Op& op : sequence.ops) {
    text += print_op(op) + answer(both.array(), op) + "\n";
    if (!both.step(op) || !both.check()) { return text + "WRONG: " + both.wrong() + "\n"; }
    std::string now = both.array().dump();
    if (now != before) { text += now.substr(now.find('\n') + 1); }
    before = std::move(now);
  }
  return text;
}

}  // namespace

std::string draw(const Sequence& sequence) {
  return sequence.fanout == 4 ? draw_as<2>(sequence) : draw_as<6>(sequence);
}

}  // namespace daxfuzz::xarray
