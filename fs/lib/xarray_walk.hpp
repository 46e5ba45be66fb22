// fs/lib/xarray_walk.hpp - bodies of XaState that read: load, find, find_conflict, pause. Included
// by xarray.cc only.
//
// Kernel: lib/xarray.c (xas_start, xas_descend, xas_load, xas_find, xas_find_marked,
//   xas_find_conflict, xas_pause).
#pragma once

#include <bit>
#include <cinttypes>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/lib/xarray.h"

namespace daxfs::lib {

// ---- Points. The object is coarse on purpose: an operation on one index restructures its
// neighbours' nodes.

template <unsigned kShift>
void XaState<kShift>::point_read(Site site) const {
  rt::point(rt::PointKind::kTreeRead, rt::object_id(rt::ObjectClass::kTree, xa_.id_, 1 + index_ / 512), site);
  if (!xa_.lockless()) { xa_.lock_.assert_held(site); }
}

// Whether the tree may change under this walk: then there is a point between any two of its levels.
template <unsigned kShift>
bool XaState<kShift>::steps() const {
  return xa_.lockless() && !xa_.lock_.held();
}

template <unsigned kShift>
void XaState<kShift>::point_step() const {
  rt::point(rt::PointKind::kTreeRead, rt::object_id(rt::ObjectClass::kTree, xa_.id_, 1 + index_ / 512));
}

template <unsigned kShift>
void XaState<kShift>::point_write(Site site) const {
  rt::point(rt::PointKind::kTreeWrite, rt::object_id(rt::ObjectClass::kTree, xa_.id_, 1 + index_ / 512), site);
  xa_.lock_.assert_held(site);
}

// ---- The cursor's place.

template <unsigned kShift>
void XaState<kShift>::set_order(uint64_t index, unsigned order) {
  FS_BUG_ON(order >= 64, "XA6", "cursor of order %u", order);
  index_ = index >> order << order;
  shift_ = static_cast<uint8_t>(order - order % kShift);
  sibs_ = static_cast<uint8_t>((1u << (order % kShift)) - 1);
  reset();
}

template <unsigned kShift>
unsigned XaState<kShift>::order() const {
  return shift_ + static_cast<unsigned>(std::popcount(sibs_));
}

template <unsigned kShift>
uint64_t XaState<kShift>::first_index() const {
  if (place_ != Place::kNode) { return place_ == Place::kRoot ? 0 : index_; }
  const uint64_t node_mask = (uint64_t{kFanout} << node_->shift) - 1;  // wraps to all ones at the very top
  return (index_ & ~node_mask) + (uint64_t{offset_} << node_->shift);
}

// To the first index below slot `offset` of the current node.
template <unsigned kShift>
void XaState<kShift>::move_index(unsigned offset) {
  const uint64_t node_mask = (uint64_t{kFanout} << node_->shift) - 1;
  index_ = (index_ & ~node_mask) + (uint64_t{offset} << node_->shift);
}

// Over slots that hold nothing, as looking into each would: to the first that begins behind `last`, at most.
template <unsigned kShift>
void XaState<kShift>::skip_unused(uint64_t last) {
  unsigned next = node_->next_used(offset_);
  if (next == offset_) { return; }
  const uint64_t here = index_;
  move_index(next);
  if (index_ - 1 >= last) {
    index_ = here;
    next = node_->offset_of(last) + 1;
    move_index(next);
  }
  offset_ = index_ == 0 ? kFanout : next;  // a wrap at the very top: no index is left
}

template <unsigned kShift>
void XaState<kShift>::ascend() {
  const unsigned offset = node_->offset;
  Node* parent = node_->parent();
  if (parent == nullptr) {
    set_root();
  } else {
    set_node(parent, offset);
  }
}

template <unsigned kShift>
XEntry XaState<kShift>::reload() const {
  if (place_ == Place::kRoot) { return xa_.head(); }
  XEntry entry = node_->slot(node_->offset_of(index_));
  return entry.is_sibling() ? node_->slot(entry.sibling_offset()) : entry;
}

// The entry from which a walk starts, with the cursor at it.
template <unsigned kShift>
XEntry XaState<kShift>::start() {
  if (valid()) { return reload(); }
  const XEntry head = xa_.head();
  if (head.is_node()) {
    Node* node = Node::of(head);
    if (node->shift + kShift < 64 && index_ >> (node->shift + kShift) != 0) { return set_bounds(); }
  } else if (index_ != 0) {
    return set_bounds();
  }
  set_root();
  return head;
}

// Bug kSiblingMaskLost (8d2c0d36d682): the tag of the sibling's word is left in.
template <unsigned kShift>
unsigned XaState<kShift>::canonical_slot(XEntry sibling) {
  if (historical(Bug::kSiblingMaskLost)) { return static_cast<unsigned>(sibling.raw() >> 1) & kMask; }
  return sibling.sibling_offset();
}

// The cursor goes to the canonical slot of `sibling`, a slot of `node`; returns the entry there.
template <unsigned kShift>
XEntry XaState<kShift>::to_canonical(Node* node, XEntry sibling, bool steps) {
  set_node(node, canonical_slot(sibling));
  if (steps) { point_step(); }
  const XEntry entry = node->slot(offset_);
  // A lockless walk saw the sibling before, and the canonical slot after a split or a store of
  // smaller entries.
  return entry.is_node() || entry.is_sibling() ? XEntry::retry_entry() : entry;
}

// From `entry`, which is a node, down to the node of shift `to` or to the first entry that is none. A child's shift
// follows from its parent's (XA4), so that the walk waits for one word a level.
template <unsigned kShift>
XEntry XaState<kShift>::descend(XEntry entry, unsigned to) {
  const bool steps = this->steps();
  Node* node = Node::of(entry);
  unsigned shift = node->shift;
  if (shift < to) { return entry; }
  const uint64_t index = index_;
  while (true) {
    const unsigned offset = static_cast<unsigned>(index >> shift) & kMask;
    if (steps) { point_step(); }
    entry = node->slot(offset);
    if (!entry.is_node() || shift == to) {
      if (entry.is_sibling()) { return to_canonical(node, entry, steps); }
      set_node(node, offset);
      return entry;
    }
    node = Node::of(entry);
    shift -= kShift;
  }
}

template <unsigned kShift>
XEntry XaState<kShift>::load_inner() {
  const XEntry entry = start();
  return entry.is_node() ? descend(entry, shift_) : entry;
}

// ---- Reads.

template <unsigned kShift>
XEntry XaState<kShift>::load(Site site) {
  point_read(site);
  return load_inner();
}

template <unsigned kShift>
bool XaState<kShift>::retry(XEntry entry) {
  if (entry.is_zero_entry()) { return true; }
  if (!entry.is_retry()) { return false; }
  reset();
  return true;
}

template <unsigned kShift>
void XaState<kShift>::pause() {
  if (!valid()) { return; }
  if (place_ == Place::kRoot) {
    ++index_;
  } else {
    unsigned next = offset_ + 1;
    while (next < kFanout && node_->slot(next).is_sibling()) { ++next; }
    if (offset_ < kFanout) { move_index(next); }
    if (index_ == 0) {
      place_ = Place::kBounds;  // went past the last index there is
      return;
    }
  }
  reset();
}

template <unsigned kShift>
XEntry XaState<kShift>::find(uint64_t last, Site site) {
  point_read(site);
  if (place_ == Place::kBounds) { return XEntry::null(); }
  if (index_ > last) { return XEntry::null(); }
  if (place_ == Place::kRoot) {  // the single entry at index 0 was the current one
    index_ = 1;
    return set_bounds();
  }
  if (place_ == Place::kRestart) {
    const XEntry entry = load_inner();
    if (entry || at_top()) { return entry; }
  }
  move_index(++offset_);

  const bool steps = this->steps();
  while (place_ == Place::kNode && index_ <= last) {
    if (offset_ == kFanout) {
      ascend();
      ++offset_;
      continue;
    }
    if (!steps) {
      skip_unused(last);
      if (offset_ == kFanout || index_ > last) { continue; }
    }
    if (steps) { point_step(); }
    const XEntry entry = node_->slot(offset_);
    if (entry.is_node()) {
      set_node(Node::of(entry), 0);
      continue;
    }
    if (entry && !entry.is_sibling()) { return entry; }
    move_index(++offset_);
  }
  if (place_ != Place::kNode) { return set_bounds(); }
  // Beyond `last`. A later call with a larger one goes on behind the entry that was returned, all
  // of it.
  while (offset_ < kFanout && node_->slot(offset_).is_sibling()) { move_index(++offset_); }
  if (index_ == 0) { return set_bounds(); }
  reset();
  return XEntry::null();
}

// Where find_marked starts when the cursor stands nowhere. If the array is one entry or the index
// lies behind it, the search is over: returns true, and `*found` is the answer.
template <unsigned kShift>
bool XaState<kShift>::begin_marked(XaMark mark, XEntry* found) {
  const XEntry head = xa_.head();
  if (!head.is_node()) {
    if (index_ == 0 && head && xa_.marked(mark)) {
      set_root();
      *found = head;
    } else {
      *found = set_bounds();
    }
    return true;
  }
  Node* node = Node::of(head);
  if (node->shift + kShift < 64 && index_ >> (node->shift + kShift) != 0) {
    *found = set_bounds();
    return true;
  }
  set_node(node, node->offset_of(index_));
  return false;
}

// Of the current node, at or after slot `from`; kFanout for none. Bug kIterRetryKeepsTags (3cb9185c6730): the iterator
// remembers the marks of a leaf, and keeps them when it starts over.
template <unsigned kShift>
unsigned XaState<kShift>::next_marked_slot(XaMark mark, unsigned from) {
  if (!historical(Bug::kIterRetryKeepsTags) || node_->shift != 0) { return node_->next_marked(mark, from); }
  if (const uint64_t chunk = index_ / kFanout; chunk != chunk_) {
    chunk_ = chunk;
    chunk_marks_ = node_->marks(mark);
  }
  const uint64_t bits = from < kFanout ? chunk_marks_ >> from : 0;
  return bits == 0 ? kFanout : from + static_cast<unsigned>(std::countr_zero(bits));
}

template <unsigned kShift>
XEntry XaState<kShift>::find_marked(uint64_t last, XaMark mark, Site site) {
  point_read(site);
  if (place_ == Place::kBounds || index_ > last) { return XEntry::null(); }
  const bool steps = this->steps();
  bool advance = true;  // past the current entry; false: the slot at the cursor is a candidate itself
  if (place_ == Place::kRoot) {
    index_ = 1;
    return set_bounds();
  }
  if (place_ == Place::kRestart) {
    XEntry found;
    if (begin_marked(mark, &found)) { return found; }
    advance = false;
  }

  while (index_ <= last) {
    if (offset_ >= kFanout) {
      ascend();
      if (place_ != Place::kNode) { break; }
      ++offset_;
      advance = false;
      continue;
    }
    if (!advance) {
      if (steps) { point_step(); }
      const XEntry entry = node_->slot(offset_);
      if (entry.is_sibling()) {
        offset_ = entry.sibling_offset();
        move_index(offset_);
      }
    }
    const unsigned next = next_marked_slot(mark, offset_ + (advance ? 1 : 0));
    if (next > offset_) {
      advance = false;
      move_index(next);
      offset_ = next;
      if (index_ - 1 >= last) { break; }  // index 0 is a wrap at the very top: minus one is the largest index
      if (next == kFanout) { continue; }
    }
    if (steps) { point_step(); }
    const XEntry entry = node_->slot(offset_);
    if (historical(Bug::kIterRetryKeepsTags) && (!entry || entry.is_sibling())) { return XEntry::null(); }
    if (!entry) {  // lockless: erased after its mark was read
      advance = true;
      continue;
    }
    if (!entry.is_node()) {
      move_index(offset_);
      return entry;
    }
    Node* child = Node::of(entry);
    set_node(child, child->offset_of(index_));
    advance = false;
  }
  if (place_ == Place::kNode) {  // beyond `last`: a later call with a larger `last` goes on from the index
    if (index_ == 0) { return set_bounds(); }
    reset();
    return XEntry::null();
  }
  return set_bounds();
}

template <unsigned kShift>
unsigned XaState<kShift>::get_order(Site site) {
  point_read(site);
  return order_of(load_inner());
}

// The order of `entry`, which load_inner just returned.
template <unsigned kShift>
unsigned XaState<kShift>::order_of(XEntry entry) const {
  if (!entry || entry.is_node() || entry.is_retry() || place_ != Place::kNode) { return 0; }
  unsigned order = 0;
  while (offset_ + (1u << order) < kFanout) {
    const XEntry next = node_->slot(offset_ + (1u << order));
    if (!next.is_sibling() || next.sibling_offset() != offset_) { break; }
    ++order;
  }
  return order + node_->shift;
}

template <unsigned kShift>
XEntry XaState<kShift>::find_conflict(Site site) {
  point_read(site);
  xa_.lock_.assert_held(site);
  // A head that is no node was the last answer, and there is nothing else.
  if (place_ == Place::kRoot && !xa_.head().is_node()) { return XEntry::null(); }
  if (at_top()) {
    XEntry entry = start();
    if (place_ == Place::kBounds) { return XEntry::null(); }
    if (entry.is_node()) { entry = descend(entry, 0); }
    if (entry) { return entry; }
    if (place_ != Place::kNode) { return XEntry::null(); }
  }
  if (node_->shift > shift_) { return XEntry::null(); }

  // The walk went down the range's first path; go through the rest of the range in order.
  while (true) {
    const unsigned next = node_->next_used(offset_ + 1);
    if (node_->shift == shift_) {
      if (next > (offset_ | sibs_)) { break; }
    } else if (next == kFanout) {
      ascend();
      // The tree is lower than the cursor's level and ends here.
      if (place_ != Place::kNode) { return XEntry::null(); }
      continue;
    }
    offset_ = next;
    XEntry entry = node_->slot(offset_);
    if (entry.is_sibling()) { continue; }
    while (entry.is_node()) {
      set_node(Node::of(entry), 0);
      entry = node_->slot(0);
    }
    if (entry) { return entry; }
  }
  offset_ |= sibs_;
  offset_ -= sibs_;
  return XEntry::null();
}

}  // namespace daxfs::lib
