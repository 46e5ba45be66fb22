// fs/lib/xarray_model_test.cc - long random operation sequences against the interval map, for both
// fan-outs.
//
// Model checks XA1..XA5 by check() and every observable result; the seeds are fixed, so a failure
// repeats.
#include "fs/lib/xarray_model.h"

#include <bit>
#include <random>
#include <sstream>
#include <vector>

#include <gtest/gtest.h>

#include "fs/lib/xarray.h"

namespace daxfs::lib {
namespace {

alignas(8) char g_pointees[64];

constexpr XaMark kMarks[] = {XaMark::k0, XaMark::k1, XaMark::k2};

// Where indices come from. Dense ones meet each other; sparse ones make tall trees.
struct Shape {
  const char* name;
  unsigned order_max;
  std::vector<uint64_t> bases;
  uint64_t spread;
};

template <unsigned kShift>
class Checker {
 public:
  Checker(uint64_t seed, const Shape& shape) : shape_(shape), random_(seed) {}

  void run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step) + " " + shape_.name);
      one();
      // The validator walks everything: after every step while that is little, else now and then.
      if (model_.items().size() < 64 || step % 16 == 0) {
        const std::string wrong = xa_.check();
        ASSERT_EQ(wrong, "") << xa_.dump();
      }
      if (step % 32 == 0) { compare_all(); }
    }
    if (testing::Test::HasFailure()) { return; }
    compare_all();
    drain();
  }

 private:
  uint64_t pick(uint64_t n) { return random_() % n; }
  uint64_t pick_index() {
    const uint64_t index = shape_.bases[pick(shape_.bases.size())] + pick(shape_.spread);
    if (pick(3) != 0 || model_.items().empty()) { return index; }
    // Often one that exists, or its neighbour.
    auto it = model_.at_or_after(index);
    if (it == model_.items().end()) { it = model_.items().begin(); }
    return it->first + pick(it->last - it->first + 2);
  }
  unsigned pick_order() { return pick(2) == 0 ? 0 : static_cast<unsigned>(pick(shape_.order_max + 1)); }
  XEntry pick_entry() {
    switch (pick(12)) {
      case 0: return XEntry::zero_entry();
      case 1:
      case 2:
      case 3: return XEntry::from_pointer(&g_pointees[8 * pick(8)]);
      default: return XEntry::from_value(pick(2) == 0 ? pick(100) : random_() >> 1);
    }
  }

  void one() {
    switch (pick(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: store(pick_index(), pick_order(), pick_entry()); break;
      case 5:
      case 6: store(pick_index(), pick_order(), XEntry::null()); break;
      case 7:
      case 8:
      case 9: change_mark(); break;
      case 10: split(); break;
      case 11: conflicts(); break;
      case 12: find_range(); break;
      case 13: find_marked_range(); break;
      case 14: paused_walk(); break;
      default: whole_array_calls(); break;
    }
  }

  void store(uint64_t index, unsigned order, XEntry entry) {
    auto old = model_.covering(XArrayModel::first_of(index, order));
    const XEntry expected = old == model_.items().end() ? XEntry::null() : old->entry;
    rt::SpinGuard guard(xa_.lock());
    XaState<kShift> xas(xa_, index, order);
    ASSERT_EQ(xas.order(), order);
    const XEntry got = xas.store(entry);
    if (got.is_node()) {
      ASSERT_GT(order, 0u);  // smaller entries were in the range
    } else {
      ASSERT_EQ(got.raw(), expected.raw()) << "index " << index << " order " << order;
    }
    model_.store(index, order, entry);
    if (entry) {
      // The cursor that stored reads its own entry without a new walk.
      ASSERT_EQ(xas.load().raw(), entry.raw());
    }
  }

  void change_mark() {
    const uint64_t index = pick_index();
    const XaMark mark = kMarks[pick(3)];
    auto it = model_.covering(index);
    rt::SpinGuard guard(xa_.lock());
    XaState<kShift> xas(xa_, index);
    const XEntry entry = xas.load();
    ASSERT_EQ(static_cast<bool>(entry), it != model_.items().end());
    if (!entry) { return; }
    const unsigned bit = 1u << static_cast<unsigned>(mark);
    ASSERT_EQ(xas.get_mark(mark), (it->marks & bit) != 0);
    switch (pick(6)) {
      case 0:
        xas.init_marks();
        it->marks = 0;
        break;
      case 1:
      case 2:
        xas.clear_mark(mark);
        it->marks &= ~bit;
        break;
      default: xas.set_mark(mark); it->marks |= bit;
    }
    ASSERT_EQ(xas.get_mark(mark), (it->marks & bit) != 0);
  }

  void split() {
    auto it = model_.at_or_after(pick_index());
    if (it == model_.items().end()) { return; }
    const uint64_t size = it->last - it->first + 1;
    const auto from = static_cast<unsigned>(std::countr_zero(size));
    const auto to = static_cast<unsigned>(pick(from + 1));
    // Splitting a huge entry to single slots would only test patience.
    if (from - to > 9) { return; }
    const XEntry entry = pick_entry();
    rt::SpinGuard guard(xa_.lock());
    XaState<kShift> xas(xa_, it->first + pick(size), to);
    xas.split(entry, from);
    model_.split(it, to, entry);
  }

  void conflicts() {
    const uint64_t index = pick_index();
    const unsigned order = pick_order();
    const uint64_t last = XArrayModel::last_of(index, order);
    rt::SpinGuard guard(xa_.lock());
    XaState<kShift> xas(xa_, index, order);
    auto it = model_.at_or_after(XArrayModel::first_of(index, order));
    for (XEntry entry = xas.find_conflict(); entry; entry = xas.find_conflict()) {
      ASSERT_TRUE(it != model_.items().end() && it->first <= last) << "index " << index << " order " << order;
      ASSERT_EQ(entry.raw(), it->entry.raw());
      ++it;
    }
    ASSERT_TRUE(it == model_.items().end() || it->first > last) << "missed " << it->first;
    ASSERT_EQ(xas.index(), XArrayModel::first_of(index, order));
  }

  void find_range() {
    const uint64_t begin = pick_index();
    const uint64_t last = pick(4) == 0 ? ~uint64_t{0} : begin + pick(shape_.spread);
    rt::SpinGuard guard(xa_.lock());
    XaState<kShift> xas(xa_, begin);
    auto it = model_.at_or_after(begin);
    for (XEntry entry = xas.find(last); entry; entry = xas.next_entry(last)) {
      ASSERT_TRUE(it != model_.items().end() && it->first <= last);
      ASSERT_EQ(entry.raw(), it->entry.raw());
      ASSERT_EQ(xas.index(), it->first < begin ? begin : it->first);
      ASSERT_EQ(xas.first_index(), it->first);
      ++it;
    }
    ASSERT_TRUE(last < begin || it == model_.items().end() || it->first > last) << "missed " << it->first;
    if (last >= begin && last != ~uint64_t{0}) {
      // A cursor that stopped at `last` goes on from there.
      const XEntry entry = xas.find(~uint64_t{0});
      ASSERT_EQ(entry.raw(), it == model_.items().end() ? 0 : it->entry.raw()) << begin << ".." << last;
    }
  }

  void find_marked_range() {
    const uint64_t begin = pick_index();
    const uint64_t last = pick(4) == 0 ? ~uint64_t{0} : begin + pick(shape_.spread);
    const XaMark mark = kMarks[pick(3)];
    auto it = model_.at_or_after(begin);
    auto skip = [&] {
      while (it != model_.items().end() && (it->marks >> static_cast<unsigned>(mark) & 1) == 0) { ++it; }
    };
    skip();
    rt::SpinGuard guard(xa_.lock());
    XaState<kShift> xas(xa_, begin);
    for (XEntry entry = xas.find_marked(last, mark); entry; entry = xas.next_marked(last, mark)) {
      ASSERT_TRUE(it != model_.items().end() && it->first <= last) << xas.index();
      ASSERT_EQ(entry.raw(), it->entry.raw());
      ASSERT_EQ(xas.index(), it->first);
      ASSERT_TRUE(xas.get_mark(mark));
      ++it;
      skip();
    }
    ASSERT_TRUE(last < begin || it == model_.items().end() || it->first > last) << "missed " << it->first;
  }

  // An iteration that pauses after each entry while the array changes: it goes on behind the entry
  // it saw last.
  void paused_walk() {
    const uint64_t begin = pick_index();
    const bool marked = pick(2) == 0;
    const XaMark mark = kMarks[pick(3)];
    xa_.lock().lock();
    XaState<kShift> xas(xa_, begin);
    uint64_t next = begin;
    for (int visits = 0; visits < 12; ++visits) {
      const XEntry entry = marked ? xas.find_marked(~uint64_t{0}, mark) : xas.find(~uint64_t{0});
      auto it = model_.at_or_after(next);
      while (marked && it != model_.items().end() && (it->marks >> static_cast<unsigned>(mark) & 1) == 0) { ++it; }
      EXPECT_EQ(entry.raw(), it == model_.items().end() ? 0 : it->entry.raw()) << "after " << next;
      if (!entry || it == model_.items().end()) { break; }
      next = it->last + 1;
      xas.pause();
      xa_.lock().unlock();
      if (next == 0) {
        xa_.lock().lock();
        EXPECT_FALSE(marked ? xas.find_marked(~uint64_t{0}, mark) : xas.find(~uint64_t{0}));
        break;
      }
      store(it->first + pick(6), pick(3) == 0 ? pick_order() : 0, pick(2) == 0 ? XEntry::null() : pick_entry());
      change_mark();
      xa_.lock().lock();
    }
    xa_.lock().unlock();
  }

  void whole_array_calls() {
    const uint64_t index = pick_index();
    auto it = model_.covering(index);
    const bool here = it != model_.items().end();
    const bool visible = here && !it->entry.is_zero_entry();
    ASSERT_EQ(xa_.load(index).raw(), visible ? it->entry.raw() : 0);
    ASSERT_EQ(xa_.get_order(index), here ? static_cast<unsigned>(std::countr_zero(it->last - it->first + 1)) : 0u);
    ASSERT_EQ(xa_.get_mark(index, XaMark::k1), here && (it->marks & 2) != 0);
    if (pick(3) == 0) {
      ASSERT_EQ(xa_.erase(index).raw(), here ? it->entry.raw() : 0);
      if (here) { model_.items().erase(it); }
    }
  }

  void compare_all() {
    auto it = model_.items().begin();
    xa_.for_each(0, ~uint64_t{0}, [&](uint64_t first, XEntry entry) {
      ASSERT_TRUE(it != model_.items().end());
      ASSERT_EQ(first, it->first);
      ASSERT_EQ(entry.raw(), it->entry.raw());
      ++it;
    });
    ASSERT_TRUE(it == model_.items().end());
    unsigned all_marks = 0;
    for (const XArrayModel::Item& item : model_.items()) {
      const uint64_t first = item.first;
      all_marks |= item.marks;
      rt::SpinGuard guard(xa_.lock());
      for (uint64_t index : {first, item.last, first + (item.last - first) / 3}) {
        XaState<kShift> xas(xa_, index);
        ASSERT_EQ(xas.load().raw(), item.entry.raw());
        ASSERT_EQ(xas.first_index(), first);
        for (XaMark mark : kMarks) {
          ASSERT_EQ(xas.get_mark(mark), (item.marks >> static_cast<unsigned>(mark) & 1) != 0);
        }
        ASSERT_EQ(uint64_t{1} << xas.get_order(), item.last - first + 1);
      }
    }
    for (XaMark mark : kMarks) { ASSERT_EQ(xa_.marked(mark), (all_marks >> static_cast<unsigned>(mark) & 1) != 0); }
    ASSERT_EQ(xa_.empty(), model_.items().empty());
  }

  // Empty at the end: no node, no mark.
  void drain() {
    while (!model_.items().empty()) {
      auto it = model_.at_or_after(pick_index());
      if (it == model_.items().end()) { it = model_.items().begin(); }
      store(it->first + pick(it->last - it->first + 1), pick_order(), XEntry::null());
      ASSERT_EQ(xa_.check(), "");
    }
    ASSERT_TRUE(xa_.empty());
    for (XaMark mark : kMarks) { ASSERT_FALSE(xa_.marked(mark)); }
  }

  const Shape& shape_;
  std::mt19937_64 random_;
  BasicXArray<kShift> xa_{1};
  XArrayModel model_;
};

const Shape kShapes[] = {
    {"dense, small orders", 4, {0}, 64},
    {"dense, orders up to a PMD", 9, {0}, 4096},
    {"around a PMD border", 9, {512, 1024}, 1024},
    {"sparse", 12, {0, 4095, uint64_t{1} << 18, uint64_t{1} << 40, uint64_t{1} << 62}, 600},
    {"the last indices there are", 9, {~uint64_t{0} - 1500, 0}, 1500},
    {"any order", 62, {0, uint64_t{1} << 33, uint64_t{1} << 63}, uint64_t{1} << 62},
};

// Sanitizers look for other mistakes, and are slow.
#if defined(DAXFS_ASAN) || defined(DAXFS_TSAN)
constexpr int kRounds = 1;
#else
constexpr int kRounds = 2;
#endif

template <unsigned kShift>
void check_shapes(int rounds, int steps) {
  const uint64_t live = XaNodePool<kShift>::live();
  for (const Shape& shape : kShapes) {
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
      SCOPED_TRACE("seed " + std::to_string(round));
      Checker<kShift>(static_cast<uint64_t>(round) * 7919 + 1, shape).run(steps);
    }
  }
  EXPECT_EQ(XaNodePool<kShift>::live(), live) << "leaked nodes";
}

// The model itself, against the plainest there is: each index of a few knows its range, entry and marks.
class EachIndex {
 public:
  static constexpr uint64_t kCount = 64;

  XEntry store(uint64_t index, unsigned order, XEntry entry) {
    const uint64_t first = XArrayModel::first_of(index, order);
    XArrayModel::Item item{first, XArrayModel::last_of(index, order), entry, 0};
    const XEntry old = at_[first].entry;
    if (old && at_[first].last >= item.last) {  // inside a larger entry
      item = at_[first];
      item.entry = entry;
    }
    for (uint64_t i = item.first; i <= item.last; ++i) { item.marks |= at_[i].marks; }
    fill(entry ? item : XArrayModel::Item{}, item.first, item.last);
    return old;
  }
  void split(uint64_t index, unsigned order, XEntry entry) {
    const XArrayModel::Item whole = at_[index];
    for (uint64_t i = whole.first; i <= whole.last; ++i) {
      at_[i] = {XArrayModel::first_of(i, order), XArrayModel::last_of(i, order), entry, whole.marks};
    }
  }
  void mark(uint64_t index, unsigned marks) {
    const XArrayModel::Item item = at_[index];
    for (uint64_t i = item.first; item.entry && i <= item.last; ++i) { at_[i].marks ^= marks; }
  }
  XArrayModel::Items items() const {
    XArrayModel::Items found;
    for (uint64_t i = 0; i < kCount; ++i) {
      if (at_[i].entry && at_[i].first == i) { found.push_back(at_[i]); }
    }
    return found;
  }

 private:
  void fill(const XArrayModel::Item& item, uint64_t first, uint64_t last) {
    for (uint64_t i = first; i <= last; ++i) { at_[i] = item; }
  }

  XArrayModel::Item at_[kCount];
};

TEST(XArrayModel, IsWhatEachIndexKnowsByItself) {
  std::mt19937_64 random(1);
  XArrayModel model;
  EachIndex each;
  for (int step = 0; step < 100'000; ++step) {
    const uint64_t index = random() % EachIndex::kCount;
    const auto order = static_cast<unsigned>(random() % 3 == 0 ? random() % 7 : 0);
    const XEntry entry = random() % 3 == 0 ? XEntry::null() : XEntry::from_value(random() % 100);
    const auto it = model.covering(index);
    if (const uint64_t kind = random() % 8; kind < 5 || it == model.end()) {
      ASSERT_EQ(model.store(index, order, entry), each.store(index, order, entry)) << "step " << step;
    } else if (kind < 7) {
      it->marks ^= 1u << order % 3;
      each.mark(index, 1u << order % 3);
    } else if (it->last - it->first + 1 >= uint64_t{1} << order) {
      model.split(it, order, XEntry::from_value(7));
      each.split(index, order, XEntry::from_value(7));
    }
    ASSERT_EQ(model.items(), each.items()) << "step " << step;
    const auto next = model.at_or_after(index);
    ASSERT_TRUE(next == model.items().begin() || (next - 1)->last < index);
    ASSERT_TRUE(next == model.end() || next->last >= index);
  }
}

TEST(XArrayModel, FanOut64AgreesWithTheIntervalMap) { check_shapes<6>(kRounds, 2000); }
TEST(XArrayModel, FanOut4AgreesWithTheIntervalMap) { check_shapes<2>(kRounds, 2000); }

}  // namespace
}  // namespace daxfs::lib
