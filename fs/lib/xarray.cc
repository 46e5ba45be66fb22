// fs/lib/xarray.cc - the whole-array operations, and the two fan-outs that exist.
#include "fs/lib/xarray.h"

#include <optional>

#include "fs/lib/xarray_check.hpp"
#include "fs/lib/xarray_store.hpp"
#include "fs/lib/xarray_walk.hpp"
#include "fs/rt/rcu.h"

namespace daxfs::lib {

// What an entry is, without addresses: dumps are compared between runs.
std::string describe_entry(XEntry entry) {
  if (!entry) { return "null"; }
  if (entry.is_value()) { return "value " + std::to_string(entry.value()); }
  if (entry.is_zero_entry()) { return "reserved"; }
  if (entry.is_retry()) { return "retry"; }
  if (entry.is_sibling()) { return "sibling of " + std::to_string(entry.sibling_offset()); }
  return entry.is_node() ? "node" : "pointer";
}

template <unsigned kShift>
uint64_t BasicXArray<kShift>::next_id() {
  return rt::new_object_id(rt::ObjectClass::kTree);
}

template <unsigned kShift>
BasicXArray<kShift>::BasicXArray(uint64_t id, XaReaders readers) : id_(id), readers_(readers) {}

template <unsigned kShift>
BasicXArray<kShift>::~BasicXArray() {
  if (head().is_node()) { free_subtree(Node::of(head())); }
}

template <unsigned kShift>
XEntry BasicXArray<kShift>::load(uint64_t index, Site site) {
  State xas(*this, index);
  XEntry entry;
  if (lockless()) {
    rt::RcuReadGuard guard(site);
    do { entry = xas.load(site); } while (entry.is_retry() && xas.retry(entry));
  } else {
    rt::SpinGuard guard(lock_, site);
    entry = xas.load(site);
  }
  return entry.is_zero_entry() ? XEntry::null() : entry;
}

template <unsigned kShift>
XEntry BasicXArray<kShift>::store(uint64_t index, XEntry entry, unsigned order, Site site) {
  rt::SpinGuard guard(lock_, site);
  State xas(*this, index, order);
  return xas.store(entry, site);
}

template <unsigned kShift>
XEntry BasicXArray<kShift>::erase(uint64_t index, Site site) {
  return store(index, XEntry::null(), 0, site);
}

template <unsigned kShift>
void BasicXArray<kShift>::set_mark(uint64_t index, XaMark mark, Site site) {
  rt::SpinGuard guard(lock_, site);
  State xas(*this, index);
  if (xas.load(site)) { xas.set_mark(mark, site); }
}

template <unsigned kShift>
void BasicXArray<kShift>::clear_mark(uint64_t index, XaMark mark, Site site) {
  rt::SpinGuard guard(lock_, site);
  State xas(*this, index);
  if (xas.load(site)) { xas.clear_mark(mark, site); }
}

template <unsigned kShift>
bool BasicXArray<kShift>::get_mark(uint64_t index, XaMark mark, Site site) {
  rt::SpinGuard guard(lock_, site);
  State xas(*this, index);
  return xas.load(site) && xas.get_mark(mark);
}

template <unsigned kShift>
unsigned BasicXArray<kShift>::get_order(uint64_t index, Site site) {
  rt::SpinGuard guard(lock_, site);
  State xas(*this, index);
  return xas.get_order(site);
}

template <unsigned kShift>
void BasicXArray<kShift>::destroy(Site site) {
  rt::SpinGuard guard(lock_, site);
  State xas(*this, 0);
  xas.point_write(site);
  const XEntry top = head();
  set_head(XEntry::null());
  for (XaMark mark : kXaMarks) { set_root_mark(mark, false); }
  if (top.is_node()) { free_subtree(Node::of(top)); }
}

template class BasicXArray<6>;
template class BasicXArray<2>;
template class XaState<6>;
template class XaState<2>;

}  // namespace daxfs::lib
