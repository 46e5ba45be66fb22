// fs/lib/xarray_store.hpp - bodies of XaState that change the tree: store, node life, split.
// Included by xarray.cc only.
//
// Kernel: lib/xarray.c (xas_create, xas_expand, xas_store, xas_delete_node, xas_shrink, xas_split).
// Invariants: XA1, XA4..XA7 and XA9 of xarray.h are kept or asserted here.
#pragma once

#include <cinttypes>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/lib/xarray.h"
#include "fs/lib/xarray_marks.hpp"

namespace daxfs::lib {

// ---- Nodes.

// A node for the slot at which the cursor stands; the caller puts it there.
template <unsigned kShift>
XaNode<kShift>* XaState<kShift>::allocate(unsigned shift) {
  Node* node = XaNodePool<kShift>::allocate();
  node->shift = static_cast<uint8_t>(shift);
  if (place_ == Place::kNode) {
    node->offset = static_cast<uint8_t>(offset_);
    node->set_parent(node_);
    ++node_->count;
    FS_BUG_ON(node_->count > kFanout, "XA1", "node of shift %u counts %u entries", node_->shift, node_->count);
  }
  return node;
}

template <unsigned kShift>
void BasicXArray<kShift>::release_node(Node* node) {
  if (lockless()) {
    XaNodePool<kShift>::free_rcu(node);
  } else {
    XaNodePool<kShift>::free(node);
  }
}

// Frees `top`, which is no longer reachable, and everything below. Lockless walkers still inside
// find retry entries.
template <unsigned kShift>
void BasicXArray<kShift>::free_subtree(Node* top) {
  if (lockless()) {
    for (unsigned at = top->next_used(0); at < Node::kFanout; at = top->next_used(at + 1)) {
      const XEntry entry = top->slot(at);
      if (entry.is_node()) {
        free_subtree(Node::of(entry));
      } else {
        top->set_slot(at, XEntry::retry_entry());
      }
    }
  } else if (top->shift != 0) {
    Node* child = nullptr;  // freed while the next one is fetched
    for (unsigned at = top->next_used(0); at < Node::kFanout; at = top->next_used(at + 1)) {
      const XEntry entry = top->slot(at);
      if (!entry.is_node()) { continue; }
      __builtin_prefetch(&Node::of(entry)->shift, 1);
      if (child != nullptr) { free_subtree(child); }
      child = Node::of(entry);
    }
    if (child != nullptr) { free_subtree(child); }
  }
  top->count = 0;
  top->nr_values = 0;
  release_node(top);
}

// ---- Growing.

// The largest index that the tree must reach for the cursor's range to have a slot of its own.
template <unsigned kShift>
uint64_t XaState<kShift>::max_index() const {
  uint64_t max = index_;
  if (shift_ != 0 || sibs_ != 0) {
    const uint64_t mask = size() - 1;
    max |= mask;
    // A range that begins at 0 fits a tree of its own size only as the head, which holds entries of
    // order 0 alone.
    if (max == mask) { ++max; }
  }
  return max;
}

// Puts nodes above the head until the cursor's range fits. Returns the shift one level above the
// head's slots: where
// create() starts to descend. Leaves the cursor at the root.
template <unsigned kShift>
int XaState<kShift>::expand(XEntry head) {
  const uint64_t max = max_index();
  unsigned shift = 0;
  set_root();
  if (!head) {
    if (max == 0) { return 0; }
    while ((max >> shift) >= kFanout) { shift += kShift; }
    return static_cast<int>(shift + kShift);
  }
  if (head.is_node()) { shift = Node::of(head)->shift + kShift; }

  while (shift < 64 && (max >> shift) != 0) {  // 2^shift indices are covered so far
    Node* node = allocate(shift);              // the cursor is at the root: no parent
    node->count = 1;
    node->nr_values = head.is_value() ? 1 : 0;
    for (XaMark mark : kXaMarks) {
      if (xa_.marked(mark)) { node->set_marks(mark, 1); }
    }
    node->set_slot(0, head);
    if (head.is_node()) { Node::of(head)->set_parent(node); }
    head = node->as_entry();
    xa_.set_head(head);
    shift += kShift;
  }
  return static_cast<int>(shift);
}

// Walks to the cursor's slot and makes the nodes on the way; returns what is in the slot. Stops
// early, above the cursor's level, at an entry that covers the index.
template <unsigned kShift>
XEntry XaState<kShift>::create(bool allow_root) {
  int shift = 0;
  XEntry entry;
  if (place_ == Place::kNode) {
    shift = node_->shift;
    entry = node_->slot(offset_);
  } else {
    shift = expand(xa_.head());
    // Only entries that the head word can hold go there; others get a node even at index 0.
    if (shift == 0 && !allow_root) { shift = static_cast<int>(kShift); }
    entry = xa_.head();
  }
  while (shift > shift_) {
    shift -= static_cast<int>(kShift);
    Node* node = nullptr;
    if (!entry) {
      node = allocate(static_cast<unsigned>(shift));
      if (place_ == Place::kNode) {
        node_->set_slot(offset_, node->as_entry());
      } else {
        xa_.set_head(node->as_entry());
      }
    } else if (entry.is_node()) {
      node = Node::of(entry);
    } else {
      break;
    }
    set_node(node, static_cast<unsigned>(index_ >> shift) & kMask);
    entry = node->slot(offset_);
    // Bug kCreateIgnoresSibling (8a14f4d8328c): what is met in the slot is taken as it is, a sibling
    // of a larger entry too.
    if (entry.is_sibling() && !historical(Bug::kCreateIgnoresSibling)) { entry = to_canonical(node, entry, false); }
  }
  return entry;
}

// ---- Storing.

template <unsigned kShift>
XEntry XaState<kShift>::store(XEntry entry, Site site) {
  point_write(site);
  FS_BUG_ON(entry.is_internal() && !entry.is_zero_entry(), "XA7", "internal entry stored at index %" PRIu64, index_);
  const XEntry first = entry ? create(!entry.is_zero_entry()) : load_inner();
  if (!valid()) { return first; }  // erased beyond the end

  Node* node = place_ == Place::kNode ? node_ : nullptr;
  const uint8_t sibs = sibs_;
  if (node != nullptr) {
    FS_BUG_ON(node->shift < shift_, "XA6", "cursor of order %u at index %" PRIu64 " stands at level %u: reset it",
              order(), index_, node->shift);
    // Inside a larger entry, or erasing where nothing is: one slot stands for the whole range.
    if (shift_ < node->shift) { sibs_ = 0; }
  }
  if (first == entry && sibs_ == 0) {
    sibs_ = sibs;
    return first;
  }

  if (node != nullptr && sibs_ != 0) { squash_marks(); }
  if (!entry) { clear_marks_inner(); }
  int count = 0;
  int values = 0;
  if (node != nullptr) {
    store_slots(entry, first, &count, &values);
  } else {
    xa_.set_head(entry);
    if (first.is_node()) { xa_.free_subtree(Node::of(first)); }
  }
  sibs_ = sibs;
  if (node != nullptr) {
    update_node(count, values);
    // A reservation needs its slot; what comes in its place may go to the head (XA5).
    if (entry && first.is_zero_entry() && node->parent() == nullptr) { shrink(); }
  }
  return first;
}

// Writes the slots of the range, and when erasing also the siblings that reach beyond it; frees
// subtrees below them.
template <unsigned kShift>
void XaState<kShift>::store_slots(XEntry entry, XEntry first, int* count, int* values) {
  Node* node = node_;
  const unsigned last = offset_ + sibs_;
  FS_BUG_ON(last > kMask, "XA6", "range of order %u at slot %u leaves its node", order(), offset_);
  const bool erase = !entry;
  const bool value = entry.is_value();
  XEntry replaced = first;  // the canonical entry of the slot being written
  XEntry next = first;
  for (unsigned at = offset_;;) {
    node->set_slot(at, entry);
    if (next.is_node() || (at != offset_ && !next.is_null() && !next.is_sibling())) { ++xa_.overlaid_; }
    if (next.is_node()) { xa_.free_subtree(Node::of(next)); }
    *count += (next.is_null() ? 1 : 0) - (erase ? 1 : 0);
    *values += (value ? 1 : 0) - (replaced.is_value() ? 1 : 0);
    if (!erase) {
      if (at == last) {
        // Inside a larger entry its other slots are siblings of this one already, but now of
        // another kind of entry.
        for (; at < kMask && node->slot(at + 1).is_sibling(); ++at) {
          *values += (value ? 1 : 0) - (replaced.is_value() ? 1 : 0);
        }
        break;
      }
      entry = XEntry::sibling(offset_);
    } else if (at == kMask) {
      break;
    }
    next = node->slot(++at);
    if (!next.is_sibling()) {
      if (erase && at > last) { break; }
      replaced = next;
    } else if (erase && historical(Bug::kDeleteLeavesSiblings)) {
      break;  // a90eb3a2a405
    }
  }
}

template <unsigned kShift>
void XaState<kShift>::update_node(int count, int values) {
  node_->count = static_cast<uint8_t>(node_->count + count);
  node_->nr_values = static_cast<uint8_t>(node_->nr_values + values);
  FS_BUG_ON(node_->count > kFanout, "XA1", "node of shift %u counts %u entries", node_->shift, node_->count);
  FS_BUG_ON(node_->nr_values > node_->count, "XA1", "node of shift %u counts %u values among %u entries", node_->shift,
            node_->nr_values, node_->count);
  if (count < 0) { delete_node(); }
}

// ---- Shrinking.

// Removes the current node if it became empty, and so upwards (XA4); then makes the tree as low as
// it can be (XA5).
template <unsigned kShift>
void XaState<kShift>::delete_node() {
  Node* node = node_;
  while (node->count == 0) {
    Node* parent = node->parent();
    if (parent == nullptr) {
      xa_.set_head(XEntry::null());
      xa_.release_node(node);
      place_ = Place::kBounds;
      return;
    }
    set_node(parent, node->offset);
    parent->set_slot(offset_, XEntry::null());
    FS_BUG_ON(parent->count == 0, "XA4", "a node of shift %u with a child counts no entries", parent->shift);
    --parent->count;
    xa_.release_node(node);
    node = parent;
  }
  if (node->parent() == nullptr) { shrink(); }
}

template <unsigned kShift>
void XaState<kShift>::shrink() {
  Node* node = node_;
  while (node->count == 1) {
    const XEntry entry = node->slot(0);
    if (!entry) { break; }
    // The head word holds entries of order 0 only, and a reservation needs a slot.
    if (!entry.is_node() && (node->shift != 0 || entry.is_zero_entry())) { break; }
    place_ = Place::kBounds;
    if (entry.is_node()) { Node::of(entry)->set_parent(nullptr); }
    xa_.set_head(entry);
    node->count = 0;
    node->nr_values = 0;
    if (!entry.is_node()) { node->set_slot(0, XEntry::retry_entry()); }
    xa_.release_node(node);
    if (!entry.is_node()) { break; }
    node = Node::of(entry);
  }
}

// ---- Splitting.

template <unsigned kShift>
unsigned XaState<kShift>::marks_at(const Node* node, unsigned offset) const {
  unsigned marks = 0;
  for (XaMark mark : kXaMarks) {
    if (node->marked(mark, offset)) { marks |= 1u << static_cast<unsigned>(mark); }
  }
  return marks;
}

// Fills `slots` slots of `node` from `first` on, all of which are counted already, with entries of
// the cursor's order.
template <unsigned kShift>
void XaState<kShift>::fill_split(Node* node, unsigned first, unsigned slots, XEntry entry, unsigned marks) {
  const unsigned step = node->shift > shift_ ? 1 : sibs_ + 1u;
  uint64_t heads = 0;
  // From high to low: while a lockless reader may look, siblings never name a slot that was not
  // written yet.
  for (unsigned at = first + slots; at > first;) {
    at -= step;
    if (node->shift > shift_) {
      Node* child = XaNodePool<kShift>::allocate();
      child->shift = static_cast<uint8_t>(node->shift - kShift);
      child->offset = static_cast<uint8_t>(at);
      child->count = kFanout;
      child->nr_values = entry.is_value() && child->shift == shift_ ? kFanout : 0;
      child->set_parent(node);
      fill_split(child, 0, kFanout, entry, marks);
      node->set_slot(at, child->as_entry());
    } else {
      node->set_slot(at, entry);
      for (unsigned sibling = at + 1; sibling < at + step; ++sibling) { node->set_slot(sibling, XEntry::sibling(at)); }
    }
    heads |= uint64_t{1} << at;
  }
  for (XaMark mark : kXaMarks) {
    if ((marks >> static_cast<unsigned>(mark) & 1) != 0) { node->set_marks(mark, node->marks(mark) | heads); }
  }
}

template <unsigned kShift>
void XaState<kShift>::split(XEntry entry, unsigned from_order, Site site) {
  point_write(site);
  FS_BUG_ON(!entry, "XA9", "split into nothing at index %" PRIu64, index_);
  FS_BUG_ON(entry.is_internal() && !entry.is_zero_entry(), "XA7", "internal entry stored at index %" PRIu64, index_);
  XaState whole(xa_, index_, from_order);
  const XEntry old = whole.load_inner();
  const unsigned found_order = whole.order_of(old);
  FS_BUG_ON(!old || old.is_node() || found_order != from_order || from_order < order(), "XA9",
            "split of order %u to %u at index %" PRIu64 " where order %u is", from_order, order(), index_, found_order);
  reset();
  if (whole.place_ != Place::kNode) {  // the head: order 0 to order 0
    xa_.set_head(entry);
    return;
  }
  Node* node = whole.node_;
  const unsigned slots = whole.sibs_ + 1u;
  const int values_before = old.is_value() ? static_cast<int>(slots) : 0;
  const int values_after = entry.is_value() && node->shift == shift_ ? static_cast<int>(slots) : 0;
  fill_split(node, whole.offset_, slots, entry, marks_at(node, whole.offset_));
  node->nr_values = static_cast<uint8_t>(node->nr_values - values_before + values_after);
  if (node->parent() == nullptr &&
      (node->shift > shift_ || old.is_zero_entry())) {  // its only slot may be a child or the head's now (XA5)
    set_node(node, 0);
    shrink();
    reset();
  }
}

}  // namespace daxfs::lib
