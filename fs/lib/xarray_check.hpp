// fs/lib/xarray_check.hpp - the structural validator and the dump of an XArray. Included by
// xarray.cc only.
//
// Checks: XA1..XA5 of xarray.h.
#pragma once

#include <string>

#include "fs/base/report.h"
#include "fs/lib/xarray.h"
#include "fs/lib/xarray_marks.hpp"

namespace daxfs::lib {

std::string describe_entry(XEntry entry);

template <unsigned kShift>
std::string BasicXArray<kShift>::check() const {
  const XEntry top = head();
  if (top.is_sibling() || top.is_retry()) { return "XA3: the head is a sibling or retry entry"; }
  if (!top.is_node()) {
    for (XaMark mark : kXaMarks) {
      if (!top && marked(mark)) { return "XA2: an empty array is marked"; }
    }
    return {};
  }
  const Node* root = Node::of(top);
  if (root->parent() != nullptr) { return "XA4: the root has a parent"; }
  if (root->offset != 0) { return "XA4: the root has an offset"; }
  for (XaMark mark : kXaMarks) {
    if (marked(mark) != (root->marks(mark) != 0)) { return "XA2: marks of the array and of its root differ"; }
  }
  const XEntry only = root->slot(0);
  if (root->count == 1 && (only.is_node() || (only && !only.is_zero_entry() && root->shift == 0))) {
    return "XA5: the root has one child in slot 0";
  }
  return check_node(root, "/");
}

template <unsigned kShift>
void BasicXArray<kShift>::assert_consistent() const {
  const std::string wrong = check();
  if (wrong.empty()) { return; }
  FS_BUG_ON(wrong.starts_with("XA1"), "XA1", "%s", wrong.c_str());
  FS_BUG_ON(wrong.starts_with("XA2"), "XA2", "%s", wrong.c_str());
  FS_BUG_ON(wrong.starts_with("XA3"), "XA3", "%s", wrong.c_str());
  FS_BUG_ON(wrong.starts_with("XA4"), "XA4", "%s", wrong.c_str());
  FS_BUG_ON(wrong.starts_with("XA5"), "XA5", "%s", wrong.c_str());
}

template <unsigned kShift>
std::string BasicXArray<kShift>::check_node(const Node* node, const std::string& path) const {
  unsigned count = 0;
  unsigned values = 0;
  if (node->shift % kShift != 0 || node->shift >= 64) { return "XA4: " + path + " has a shift between levels"; }
  if (std::string wrong = check_siblings(node, path); !wrong.empty()) { return wrong; }
  for (unsigned at = 0; at < Node::kFanout; ++at) {
    const XEntry entry = node->slot(at);
    // Paths are built where something is wrong only: tests check after every step.
    const auto here = [&] { return path + std::to_string(at); };
    const XEntry canonical = entry.is_sibling() ? node->slot(entry.sibling_offset()) : entry;
    count += entry ? 1 : 0;
    if ((node->used >> at & 1) != (entry ? 1 : 0)) { return "XA1: " + here() + " is in use, or not, unlike its slot"; }
    values += canonical.is_value() ? 1 : 0;
    if (entry.is_retry()) { return "XA4: " + here() + " holds a retry entry"; }
    const Node* child = entry.is_node() ? Node::of(entry) : nullptr;
    for (XaMark mark : kXaMarks) {
      const bool is_marked = node->marked(mark, at);
      if (is_marked && (!entry || entry.is_sibling())) { return "XA2: " + here() + " is marked and holds no entry"; }
      if (child != nullptr && is_marked != (child->marks(mark) != 0)) {
        return "XA2: " + here() + " and its child differ";
      }
    }
    if (child == nullptr) { continue; }
    if (node->shift == 0) { return "XA4: leaf slot " + here() + " holds a node"; }
    if (child->parent() != node || child->offset != at) {
      return "XA4: " + here() + " and its child do not name each other";
    }
    if (child->shift + kShift != node->shift) { return "XA4: " + here() + " skips a level"; }
    if (std::string wrong = check_node(child, here() + "/"); !wrong.empty()) { return wrong; }
  }
  if (Node::kFanout < 64) {
    for (XaMark mark : kXaMarks) {
      if (node->marks(mark) >> (Node::kFanout % 64) != 0) { return "XA2: " + path + " has marks beyond its slots"; }
    }
  }
  if (count == 0) { return "XA4: " + path + " is empty"; }
  if (count != node->count) {
    return "XA1: " + path + " counts " + std::to_string(node->count) + " of " + std::to_string(count) + " entries";
  }
  if (values != node->nr_values) {
    return "XA1: " + path + " counts " + std::to_string(node->nr_values) + " of " + std::to_string(values) + " values";
  }
  return {};
}

template <unsigned kShift>
std::string BasicXArray<kShift>::check_siblings(const Node* node, const std::string& path) const {
  for (unsigned at = 0; at < Node::kFanout;) {
    const auto here = [&] { return path + std::to_string(at); };
    if (node->slot(at).is_sibling()) { return "XA3: " + here() + " is a sibling without a canonical slot before it"; }
    unsigned end = at + 1;
    while (end < Node::kFanout && node->slot(end).is_sibling()) {
      if (node->slot(end).sibling_offset() != at) {
        return "XA3: " + path + std::to_string(end) + " names a slot other than " + here();
      }
      ++end;
    }
    const unsigned slots = end - at;
    if (slots > 1) {
      if (!node->slot(at) || node->slot(at).is_node()) { return "XA3: " + here() + " has siblings and holds no entry"; }
      if ((slots & (slots - 1)) != 0 || at % slots != 0) {
        return "XA3: " + here() + " covers no aligned power of two of slots";
      }
    }
    at = end;
  }
  return {};
}

template <unsigned kShift>
std::string BasicXArray<kShift>::dump() const {
  std::string out = "xarray " + std::to_string(id_);
  for (XaMark mark : kXaMarks) {
    if (marked(mark)) { out += " marked " + std::to_string(static_cast<unsigned>(mark)); }
  }
  out += '\n';
  const XEntry top = head();
  if (top.is_node()) {
    dump_node(Node::of(top), 0, 1, &out);
  } else if (top) {
    out += "  0: " + describe_entry(top) + "\n";
  }
  return out;
}

// A picture of the slots: `.` empty, `E` an entry, `<` its siblings, `N` a node; then a line an entry.
template <unsigned kShift>
void BasicXArray<kShift>::dump_node(const Node* node, uint64_t base, unsigned depth, std::string* out) const {
  const std::string indent(depth * 2, ' ');
  *out += indent + "node shift " + std::to_string(node->shift) + " count " + std::to_string(node->count) + " values " +
          std::to_string(node->nr_values) + "\n" + indent + "|";
  for (unsigned at = 0; at < Node::kFanout; ++at) {
    const XEntry entry = node->slot(at);
    *out += !entry ? '.' : entry.is_sibling() ? '<' : entry.is_node() ? 'N' : 'E';
  }
  *out += "|\n";
  for (unsigned at = 0; at < Node::kFanout; ++at) {
    const XEntry entry = node->slot(at);
    if (!entry || entry.is_sibling()) { continue; }
    const uint64_t index = base + (uint64_t{at} << node->shift);
    if (entry.is_node()) {
      dump_node(Node::of(entry), index, depth + 1, out);
      continue;
    }
    unsigned end = at + 1;
    while (end < Node::kFanout && node->slot(end).is_sibling()) { ++end; }
    *out += indent + std::to_string(index) + ".." + std::to_string(base + ((uint64_t{end} << node->shift) - 1)) + ": " +
            describe_entry(entry);
    for (XaMark mark : kXaMarks) {
      if (node->marked(mark, at)) { *out += " mark" + std::to_string(static_cast<unsigned>(mark)); }
    }
    *out += '\n';
  }
}

}  // namespace daxfs::lib
