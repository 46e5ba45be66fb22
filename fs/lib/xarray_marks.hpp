// fs/lib/xarray_marks.hpp - bodies of XaState that read and change marks. Included by xarray.cc
// only.
//
// Kernel: lib/xarray.c (xas_set_mark, xas_clear_mark, xas_get_mark, xas_init_marks,
//   xas_squash_marks).
#pragma once

#include <cinttypes>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/lib/xarray.h"

namespace daxfs::lib {

inline constexpr XaMark kXaMarks[kXaMarkCount] = {XaMark::k0, XaMark::k1, XaMark::k2};

template <unsigned kShift>
void BasicXArray<kShift>::set_root_mark(XaMark mark, bool on) {
  const uint8_t bit = static_cast<uint8_t>(1u << static_cast<unsigned>(mark));
  const uint8_t old = __atomic_load_n(&marks_, __ATOMIC_RELAXED);
  __atomic_store_n(&marks_, static_cast<uint8_t>(on ? old | bit : old & ~bit), __ATOMIC_RELAXED);
}

template <unsigned kShift>
bool XaState<kShift>::get_mark(XaMark mark) const {
  if (!valid()) { return false; }
  if (place_ == Place::kRoot) { return xa_.marked(mark); }
  return offset_ < kFanout && node_->marked(mark, offset_);
}

// Where the entry's marks live. Bug kMarkOnSibling: at the slot of the cursor's own index.
template <unsigned kShift>
unsigned XaState<kShift>::mark_slot() const {
  return historical(Bug::kMarkOnSibling) && place_ == Place::kNode ? node_->offset_of(index_) : offset_;
}

template <unsigned kShift>
void XaState<kShift>::set_mark_inner(XaMark mark) {
  unsigned offset = mark_slot();
  for (Node* node = node_; node != nullptr; node = node->parent()) {
    const uint64_t old = node->marks(mark);
    const uint64_t bit = uint64_t{1} << offset;
    if ((old & bit) != 0) { return; }  // XA2: then everything above is marked already
    node->set_marks(mark, old | bit);
    offset = node->offset;
  }
  xa_.set_root_mark(mark, true);
}

template <unsigned kShift>
void XaState<kShift>::clear_mark_inner(XaMark mark) {
  unsigned offset = mark_slot();
  for (Node* node = node_; node != nullptr; node = node->parent()) {
    const uint64_t old = node->marks(mark);
    const uint64_t bit = uint64_t{1} << offset;
    if ((old & bit) == 0) { return; }
    node->set_marks(mark, old & ~bit);
    if ((old & ~bit) != 0) { return; }  // a neighbour keeps the mark above alive
    offset = node->offset;
  }
  xa_.set_root_mark(mark, false);
}

template <unsigned kShift>
void XaState<kShift>::set_mark(XaMark mark, Site site) {
  point_write(site);
  if (!valid()) { return; }
  const XEntry entry = place_ == Place::kRoot ? xa_.head() : node_->slot(offset_);
  FS_BUG_ON(!entry || entry.is_node() || entry.is_sibling(), "XA8", "mark set where no entry is, index %" PRIu64,
            index_);
  set_mark_inner(mark);
}

template <unsigned kShift>
void XaState<kShift>::clear_mark(XaMark mark, Site site) {
  point_write(site);
  if (!valid()) { return; }
  const XEntry entry = place_ == Place::kRoot ? xa_.head() : node_->slot(offset_);
  FS_BUG_ON(entry.is_node() || entry.is_sibling(), "XA8", "mark cleared on a subtree, index %" PRIu64, index_);
  clear_mark_inner(mark);
}

template <unsigned kShift>
void XaState<kShift>::clear_marks_inner() {
  for (XaMark mark : kXaMarks) { clear_mark_inner(mark); }
}

template <unsigned kShift>
void XaState<kShift>::init_marks(Site site) {
  point_write(site);
  if (!valid()) { return; }
  const XEntry entry = place_ == Place::kRoot ? xa_.head() : node_->slot(offset_);
  FS_BUG_ON(entry.is_node() || entry.is_sibling(), "XA8", "marks cleared on a subtree, index %" PRIu64, index_);
  clear_marks_inner();
}

// The slots of the cursor's range become one entry: it has every mark that one of them had.
template <unsigned kShift>
void XaState<kShift>::squash_marks() {
  const uint64_t rest = ((uint64_t{1} << sibs_) - 1) << (offset_ + 1);
  for (XaMark mark : kXaMarks) {
    const uint64_t old = node_->marks(mark);
    if ((old & rest) != 0) { node_->set_marks(mark, (old & ~rest) | uint64_t{1} << offset_); }
  }
}

}  // namespace daxfs::lib
