// fs/lib/xarray_model.h - what an XArray means, without a tree: an ordered map of ranges. For tests
// and benchmarks.
//
// Shares nothing with the array but XEntry. The rules it states are those of xarray.h: a store
// inside a larger entry replaces that entry; any other store replaces everything in its range and
// inherits the marks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "fs/lib/xarray_entry.h"

namespace daxfs::lib {

class XArrayModel {
 public:
  struct Item {
    uint64_t last = 0;
    XEntry entry;
    unsigned marks = 0;
    bool operator==(const Item&) const = default;
  };
  using Items = std::map<uint64_t, Item>;  // by first index

  const Items& items() const { return items_; }
  Items& items() { return items_; }

  static uint64_t first_of(uint64_t index, unsigned order) { return index >> order << order; }
  static uint64_t last_of(uint64_t index, unsigned order) {
    return first_of(index, order) + ((uint64_t{1} << order) - 1);
  }

  Items::iterator covering(uint64_t index) {
    auto it = items_.upper_bound(index);
    if (it == items_.begin()) { return items_.end(); }
    --it;
    return it->second.last >= index ? it : items_.end();
  }

  // The first item that covers `index` or begins behind it.
  Items::iterator at_or_after(uint64_t index) {
    auto it = covering(index);
    return it != items_.end() ? it : items_.lower_bound(index);
  }

  void store(uint64_t index, unsigned order, XEntry entry) {
    const uint64_t first = first_of(index, order);
    const uint64_t last = last_of(index, order);
    auto large = covering(first);
    if (large != items_.end() && large->second.last >= last) {
      if (entry) {
        large->second.entry = entry;
      } else {
        items_.erase(large);
      }
      return;
    }
    unsigned marks = 0;
    for (auto it = items_.lower_bound(first); it != items_.end() && it->first <= last;
         it = items_.erase(it)) {
      marks |= it->second.marks;
    }
    if (entry) { items_[first] = Item{last, entry, marks}; }
  }

  void split(Items::iterator whole, unsigned to_order, XEntry entry) {
    const uint64_t first = whole->first;
    const Item old = whole->second;
    items_.erase(whole);
    for (uint64_t at = first;; at += uint64_t{1} << to_order) {
      const uint64_t last = last_of(at, to_order);
      items_[at] = Item{last, entry, old.marks};
      if (last == old.last) { break; }
    }
  }

 private:
  Items items_;
};

}  // namespace daxfs::lib
