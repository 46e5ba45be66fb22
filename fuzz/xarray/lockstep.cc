// fuzz/xarray/lockstep.cc - each operation on the array and on the interval map.
#include "fuzz/xarray/lockstep.h"

#include <bit>

namespace daxfuzz::xarray {

using daxfs::lib::XaMark;
using daxfs::lib::XArrayModel;
using daxfs::lib::XEntry;

namespace {

// A search compares so many entries: long ones would only repeat.
constexpr int kVisitsMax = 4;
// Splits to less than this would test patience.
constexpr unsigned kSplitMax = 9;

unsigned bit_of(XaMark mark) { return 1u << static_cast<unsigned>(mark); }

// Half of the operations go by the calls of the array, the others by a cursor of their own.
bool by_whole_array(const Op& op) { return op.index % 2 == 1 && (op.entry || op.order == 0); }

}  // namespace

std::string describe(XEntry entry) {
  if (entry.is_null()) { return "nothing"; }
  if (entry.is_value()) { return "value " + std::to_string(entry.value()); }
  if (entry.is_node()) { return "a node"; }
  if (entry.is_zero_entry()) { return "a reservation"; }
  if (entry.is_retry()) { return "the retry entry"; }
  return entry.is_sibling() ? "a sibling entry" : "a pointer";
}

template <unsigned kShift>
bool Lockstep<kShift>::fail(const char* what, uint64_t index, const std::string& got, const std::string& expected) {
  wrong_ = std::string(what) + " " + std::to_string(index) + ": " + got + ", the model says " + expected;
  return false;
}

template <unsigned kShift>
bool Lockstep<kShift>::same(const char* what, uint64_t index, XEntry got, XEntry expected) {
  if (__builtin_expect(got == expected, 1)) { return true; }
  return fail(what, index, describe(got), describe(expected));
}

template <unsigned kShift>
bool Lockstep<kShift>::step(const Op& op) {
  switch (op.kind) {
    case OpKind::kStore:
    case OpKind::kErase: return store(op);
    case OpKind::kLoad: return load(op);
    case OpKind::kGet: return get(op);
    case OpKind::kMark:
    case OpKind::kUnmark:
    case OpKind::kUnmarkAll: return change_mark(op);
    case OpKind::kSplit: return split(op);
    case OpKind::kConflict: return conflict(op);
    case OpKind::kFind:
    case OpKind::kFindMarked: return find(op);
    case OpKind::kWalk:
    case OpKind::kWalkMarked: walk_.emplace(xa_, op, op.kind == OpKind::kWalkMarked); return walk_on();
    case OpKind::kWalkOn: return walk_on();
  }
  return true;
}

template <unsigned kShift>
bool Lockstep<kShift>::store(const Op& op) {
  XEntry got;
  XEntry stored = op.entry;
  if (by_whole_array(op)) {
    got = op.entry ? xa_.store(op.index, op.entry, op.order) : xa_.erase(op.index);
  } else {
    daxfs::rt::SpinGuard guard(xa_.lock());
    State xas(xa_, op.index, op.order);
    got = xas.store(op.entry);
    // The cursor that stored reads its own entry without a new walk.
    if (op.entry) { stored = xas.load(); }
  }
  const XEntry expected = model_.store(op.index, op.order, op.entry);
  if (got.is_node() && op.order != 0) {
    // Smaller entries were in the range.
  } else if (!same("the store returned what was at", op.index, got, expected)) {
    return false;
  }
  return same("the cursor that stored reads at", op.index, stored, op.entry);
}

template <unsigned kShift>
bool Lockstep<kShift>::load(const Op& op) {
  const uint64_t first = XArrayModel::first_of(op.index, op.order);
  const uint64_t last = XArrayModel::last_of(op.index, op.order);
  XEntry got;
  uint64_t got_first = 0;
  {
    daxfs::rt::SpinGuard guard(xa_.lock());
    State xas(xa_, op.index, op.order);
    got = xas.load();
    got_first = got && !got.is_node() ? xas.first_index() : 0;
  }
  if (got.is_node()) {
    const auto it = model_.at_or_after(first);
    const bool smaller = it != model_.items().end() && it->first <= last && it->last - it->first < last - first;
    return (op.order != 0 && smaller) || fail("load of", op.index, describe(got), "no smaller entries");
  }
  const auto it = model_.covering(first);
  const bool here = it != model_.items().end();
  if (!same("load of", op.index, got, here ? it->entry : XEntry::null())) { return false; }
  return !here || got_first == it->first ||
         fail("the entry loaded for", op.index, "begins at " + std::to_string(got_first), std::to_string(it->first));
}

template <unsigned kShift>
bool Lockstep<kShift>::get(const Op& op) {
  const auto it = model_.covering(op.index);
  const bool here = it != model_.items().end();
  const bool visible = here && !it->entry.is_zero_entry();
  if (!same("get of", op.index, xa_.load(op.index), visible ? it->entry : XEntry::null())) { return false; }
  const unsigned order = xa_.get_order(op.index);
  const auto expected = here ? static_cast<unsigned>(std::countr_zero(it->last - it->first + 1)) : 0u;
  if (order != expected) { return fail("order of", op.index, std::to_string(order), std::to_string(expected)); }
  const bool mark = xa_.get_mark(op.index, XaMark::k1);
  if (mark != (here && (it->marks & bit_of(XaMark::k1)) != 0)) {
    return fail("mark 1 of", op.index, mark ? "set" : "clear", mark ? "clear" : "set");
  }
  return true;
}

template <unsigned kShift>
bool Lockstep<kShift>::change_mark(const Op& op) {
  const XaMark mark{op.mark};
  const auto it = model_.covering(op.index);
  const bool here = it != model_.items().end();
  bool before = false;
  bool after = false;
  if (by_whole_array(op) && op.kind != OpKind::kUnmarkAll) {
    before = xa_.get_mark(op.index, mark);
    op.kind == OpKind::kMark ? xa_.set_mark(op.index, mark) : xa_.clear_mark(op.index, mark);
    after = xa_.get_mark(op.index, mark);
    if (!here) { return !before && !after ? true : fail("the mark of", op.index, "set", "clear, as nothing is there"); }
  } else {
    daxfs::rt::SpinGuard guard(xa_.lock());
    State xas(xa_, op.index);
    const XEntry entry = xas.load();
    if (!same("the entry to mark at", op.index, entry, here ? it->entry : XEntry::null())) { return false; }
    if (!here) { return true; }
    before = xas.get_mark(mark);
    if (op.kind == OpKind::kMark) {
      xas.set_mark(mark);
    } else if (op.kind == OpKind::kUnmark) {
      xas.clear_mark(mark);
    } else {
      xas.init_marks();
    }
    after = xas.get_mark(mark);
  }
  const bool had = (it->marks & bit_of(mark)) != 0;
  if (op.kind == OpKind::kMark) {
    it->marks |= bit_of(mark);
  } else {
    it->marks &= op.kind == OpKind::kUnmark ? ~bit_of(mark) : 0;
  }
  const bool has = (it->marks & bit_of(mark)) != 0;
  if (before != had) { return fail("the mark, before, of", op.index, before ? "set" : "clear", had ? "set" : "clear"); }
  return after == has || fail("the mark, after, of", op.index, after ? "set" : "clear", has ? "set" : "clear");
}

template <unsigned kShift>
bool Lockstep<kShift>::split(const Op& op) {
  const auto it = model_.at_or_after(op.index);
  if (it == model_.items().end()) { return true; }
  const auto from = static_cast<unsigned>(std::countr_zero(it->last - it->first + 1));
  const unsigned to = op.order % (from + 1);
  if (from - to > kSplitMax) { return true; }
  {
    daxfs::rt::SpinGuard guard(xa_.lock());
    State xas(xa_, it->first, to);
    xas.split(op.entry, from);
  }
  model_.split(it, to, op.entry);
  return true;
}

template <unsigned kShift>
bool Lockstep<kShift>::conflict(const Op& op) {
  const uint64_t last = XArrayModel::last_of(op.index, op.order);
  daxfs::rt::SpinGuard guard(xa_.lock());
  State xas(xa_, op.index, op.order);
  auto it = model_.at_or_after(XArrayModel::first_of(op.index, op.order));
  for (int visit = 0; visit < kVisitsMax; ++visit) {
    const bool more = it != model_.items().end() && it->first <= last;
    const XEntry got = xas.find_conflict();
    if (!same("conflict in the range of", op.index, got, more ? it->entry : XEntry::null())) { return false; }
    if (!more) { return true; }
    const bool whole = it->first <= XArrayModel::first_of(op.index, op.order) && it->last >= last;
    if (whole) { return true; }  // nothing is behind it
    ++it;
  }
  return true;
}

template <unsigned kShift>
XArrayModel::iterator Lockstep<kShift>::model_next(uint64_t index, const XaMark* mark) {
  auto it = model_.at_or_after(index);
  while (mark != nullptr && it != model_.items().end() && (it->marks & bit_of(*mark)) == 0) { ++it; }
  return it;
}

template <unsigned kShift>
bool Lockstep<kShift>::find(const Op& op) {
  const XaMark mark{op.mark};
  const XaMark* marked = op.kind == OpKind::kFindMarked ? &mark : nullptr;
  daxfs::rt::SpinGuard guard(xa_.lock());
  State xas(xa_, op.index);
  auto it = model_next(op.index, marked);
  for (int visit = 0; visit < kVisitsMax; ++visit) {
    const bool more = op.index <= op.last && it != model_.items().end() && it->first <= op.last;
    const XEntry got = marked != nullptr ? xas.find_marked(op.last, mark) : xas.find(op.last);
    if (!same("find from", op.index, got, more ? it->entry : XEntry::null())) { return false; }
    if (!more) { return true; }
    if (xas.first_index() != it->first) {
      return fail("the entry found from", op.index, "begins at " + std::to_string(xas.first_index()),
                  std::to_string(it->first));
    }
    ++it;
    while (marked != nullptr && it != model_.items().end() && (it->marks & bit_of(mark)) == 0) { ++it; }
  }
  return true;
}

template <unsigned kShift>
bool Lockstep<kShift>::walk_on() {
  if (!walk_) { return true; }
  Walk& walk = *walk_;
  const auto it = walk.ended ? model_.items().end() : model_next(walk.next, walk.marked ? &walk.mark : nullptr);
  const bool more = it != model_.items().end();
  XEntry got;
  {
    daxfs::rt::SpinGuard guard(xa_.lock());
    got = walk.marked ? walk.cursor.find_marked(~uint64_t{0}, walk.mark) : walk.cursor.find(~uint64_t{0});
    if (got) { walk.cursor.pause(); }
  }
  if (!same("the walk looked from", walk.next, got, more ? it->entry : XEntry::null())) { return false; }
  if (!more) {
    walk_.reset();
    return true;
  }
  walk.next = it->last + 1;
  walk.ended = walk.next == 0;
  return true;
}

template <unsigned kShift>
bool Lockstep<kShift>::check() {
  wrong_ = xa_.check();
  if (!wrong_.empty()) {
    wrong_ += "\n" + xa_.dump();
    return false;
  }
  auto it = model_.items().begin();
  unsigned all_marks = 0;
  daxfs::rt::SpinGuard guard(xa_.lock());
  State xas(xa_, 0);
  while (XEntry entry = xas.find(~uint64_t{0})) {
    if (it == model_.items().end()) { return fail("entry at", xas.first_index(), describe(entry), "nothing"); }
    if (xas.first_index() != it->first) {
      return fail("the next entry begins at", xas.first_index(), describe(entry), "at " + std::to_string(it->first));
    }
    if (!same("entry at", it->first, entry, it->entry)) { return false; }
    for (const XaMark mark : {XaMark::k0, XaMark::k1, XaMark::k2}) {
      const bool set = xas.get_mark(mark);
      if (set != ((it->marks & bit_of(mark)) != 0)) {
        return fail("mark at", it->first, set ? "set" : "clear", set ? "clear" : "set");
      }
    }
    all_marks |= it->marks;
    State at(xa_, it->last);
    const unsigned order = at.get_order();
    if (order != static_cast<unsigned>(std::countr_zero(it->last - it->first + 1))) {
      return fail("order at the last index of the entry at", it->first, std::to_string(order), "another");
    }
    ++it;
  }
  if (it != model_.items().end()) { return fail("entry at", it->first, "nothing", describe(it->entry)); }
  for (const XaMark mark : {XaMark::k0, XaMark::k1, XaMark::k2}) {
    if (xa_.marked(mark) != ((all_marks & bit_of(mark)) != 0)) {
      return fail("mark of the whole array", static_cast<unsigned>(mark), xa_.marked(mark) ? "set" : "clear", "not so");
    }
  }
  return true;
}

template <unsigned kShift>
bool Lockstep<kShift>::finish() {
  walk_.reset();
  if (model_.items().size() % 2 == 1) {  // all at once, as when a file goes away; else one by one
    xa_.destroy();
    model_ = XArrayModel();
  }
  while (!model_.items().empty()) {
    const Op op{.kind = OpKind::kErase, .index = model_.items().back().last};
    if (!store(op)) { return false; }
  }
  wrong_ = xa_.check();
  if (!wrong_.empty()) { return false; }
  const uint64_t nodes = daxfs::lib::XaNodePool<kShift>::live();
  if (!xa_.empty() || nodes != nodes_before_) {
    wrong_ = "at the end the array is " + std::string(xa_.empty() ? "empty" : "not empty") + " and " +
             std::to_string(nodes - nodes_before_) + " nodes are left";
    return false;
  }
  return true;
}

namespace {

template <unsigned kShift>
std::string run_as(const Sequence& sequence, size_t* failed_at) {
  Lockstep<kShift> both;
  for (size_t i = 0; i < sequence.ops.size(); ++i) {
    *failed_at = i;
    // Walking over everything after each operation is affordable while that is little.
    const bool small = both.model().items().size() < 64 || i % 16 == 0;
    if (!both.step(sequence.ops[i]) || (small && !both.check())) {
      return "after operation " + std::to_string(i + 1) + " (" + print_op(sequence.ops[i]) + "): " + both.wrong();
    }
  }
  *failed_at = sequence.ops.size();
  if (!both.check() || !both.finish()) { return "at the end: " + both.wrong(); }
  return {};
}

}  // namespace

std::string run(const Sequence& sequence, size_t* failed_at) {
  size_t at = 0;
  if (failed_at == nullptr) { failed_at = &at; }
  return sequence.fanout == 4 ? run_as<2>(sequence, failed_at) : run_as<6>(sequence, failed_at);
}

template class Lockstep<6>;
template class Lockstep<2>;

}  // namespace daxfuzz::xarray
