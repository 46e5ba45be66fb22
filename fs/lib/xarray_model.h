// fs/lib/xarray_model.h - what an XArray means, without a tree: a sorted list of ranges. For tests
// and benchmarks.
//
// Shares nothing with the array but XEntry. The rules it states are those of xarray.h: a store
// inside a larger entry replaces that entry; any other store replaces everything in its range and
// inherits the marks. A list, because few thousand items move in less time than a map of as many nodes is searched.
//
// Tested by: fs/lib/xarray_model_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fs/lib/xarray_entry.h"

namespace daxfs::lib {

class XArrayModel {
 public:
  struct Item {
    uint64_t first = 0;
    uint64_t last = 0;
    XEntry entry;
    unsigned marks = 0;
    bool operator==(const Item&) const = default;
  };
  using Items = std::vector<Item>;   // by index; ranges are disjoint
  using iterator = Items::iterator;  // until the next store or split

  const Items& items() const { return items_; }
  Items& items() { return items_; }
  iterator end() { return items_.end(); }

  static uint64_t first_of(uint64_t index, unsigned order) { return index >> order << order; }
  static uint64_t last_of(uint64_t index, unsigned order) {
    return first_of(index, order) + ((uint64_t{1} << order) - 1);
  }

  // The first item that covers `index` or begins behind it.
  iterator at_or_after(uint64_t index) {
    if (items_.empty()) { return items_.end(); }
    // A binary search whose steps are no branches: nobody could predict them.
    Item* at = items_.data();
    for (size_t left = items_.size(); left > 1;) {
      const size_t half = left / 2;
      at = at[half - 1].last < index ? at + half : at;
      left -= half;
    }
    return items_.begin() + (at - items_.data()) + (at->last < index ? 1 : 0);
  }

  // The item that covers `index`, or end().
  iterator covering(uint64_t index) {
    const iterator it = at_or_after(index);
    return it != items_.end() && it->first <= index ? it : items_.end();
  }

  // Returns what covered the first index of the range before.
  XEntry store(uint64_t index, unsigned order, XEntry entry) {
    const uint64_t first = first_of(index, order);
    const uint64_t last = last_of(index, order);
    const iterator begin = at_or_after(first);
    XEntry old;
    if (begin != items_.end() && begin->first <= first) {
      old = begin->entry;
      if (begin->last >= last) {  // inside a larger entry
        if (entry) {
          begin->entry = entry;
        } else {
          items_.erase(begin);
        }
        return old;
      }
    }
    unsigned marks = 0;
    iterator end = begin;
    for (; end != items_.end() && end->first <= last; ++end) { marks |= end->marks; }
    if (!entry) {
      items_.erase(begin, end);
    } else if (begin == end) {
      items_.insert(begin, Item{first, last, entry, marks});
    } else {
      *begin = Item{first, last, entry, marks};
      items_.erase(begin + 1, end);
    }
    return old;
  }

  void split(iterator whole, unsigned to_order, XEntry entry) {
    const Item old = *whole;
    const uint64_t count = ((old.last - old.first) >> to_order) + 1;
    whole = items_.insert(whole, count - 1, old);
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t first = old.first + (i << to_order);
      whole[static_cast<ptrdiff_t>(i)] = Item{first, last_of(first, to_order), entry, old.marks};
    }
  }

 private:
  Items items_;
};

}  // namespace daxfs::lib
