// fs/ext4/extent_node.cc - records of an extent node, and all checks that one node allows.
#include "fs/ext4/extent_node.h"

#include <cstring>

#include "fs/base/crc32c.h"

namespace daxfs::ext4 {

namespace {

const char* extent_defect(const ExtentRun& run, uint64_t begin, uint64_t end, FsBlock block_end) {
  if (run.len == 0) { return "an extent of length 0"; }
  if (run.lblk.value() < begin) { return "extents out of order or overlapping"; }
  if (run.end() > end) { return "an extent reaches past its node's range"; }
  if (run.pblk.value() == 0) { return "an extent at block 0"; }
  if (run.pblk.value() + run.len > block_end.value()) { return "an extent past the end of the device"; }
  return nullptr;
}

}  // namespace

void ExtentNode::format(unsigned depth, uint16_t max_entries) {
  header() = ExtentHeader{.eh_magic = kExtentMagic,
                          .eh_entries = 0,
                          .eh_max = max_entries,
                          .eh_depth = static_cast<uint16_t>(depth),
                          .eh_generation = 0};
}

ExtentRun ExtentNode::extent(unsigned i) const {
  const ExtentEntry& entry = at<ExtentEntry>(i);
  return ExtentRun{.lblk = LogicalBlock(entry.ee_block),
                   .len = entry.length(),
                   .pblk = FsBlock(entry.start()),
                   .unwritten = entry.unwritten()};
}

void ExtentNode::set_extent(unsigned i, const ExtentRun& run) {
  ExtentEntry& entry = at<ExtentEntry>(i);
  entry.ee_block = run.lblk.value();
  entry.ee_len = static_cast<uint16_t>(run.unwritten ? run.len + kExtentInitMax : run.len);
  entry.set_start(run.pblk.value());
}

ChildNode ExtentNode::child(unsigned i) const {
  const ExtentIndex& entry = at<ExtentIndex>(i);
  return ChildNode{.lblk = LogicalBlock(entry.ei_block), .node = FsBlock(entry.leaf())};
}

void ExtentNode::set_child(unsigned i, const ChildNode& child) {
  ExtentIndex& entry = at<ExtentIndex>(i);
  entry.ei_block = child.lblk.value();
  entry.set_leaf(child.node.value());
  entry.ei_unused = 0;
}

void ExtentNode::insert_gap(unsigned i) {
  const unsigned n = entries();
  std::memmove(bytes_ + offset(i + 1), bytes_ + offset(i), (n - i) * size_t{kExtentRecordSize});
  set_entries(n + 1);
}

void ExtentNode::erase(unsigned i, unsigned count) {
  const unsigned n = entries();
  std::memmove(bytes_ + offset(i), bytes_ + offset(i + count), (n - i - count) * size_t{kExtentRecordSize});
  // Stale records may stay behind the last entry; zeros keep images of equal trees equal.
  std::memset(bytes_ + offset(n - count), 0, count * size_t{kExtentRecordSize});
  set_entries(n - count);
}

void ExtentNode::move_tail(unsigned i, ExtentNode other) {
  const unsigned count = entries() - i;
  const unsigned have = other.entries();
  std::memcpy(other.bytes_ + offset(have), bytes_ + offset(i), count * size_t{kExtentRecordSize});
  other.set_entries(have + count);
  erase(i, count);
}

int ExtentNode::find(LogicalBlock lblk) const {
  int low = 0;
  int high = entries();
  while (low < high) {
    const int middle = (low + high) / 2;
    if (key(static_cast<unsigned>(middle)) <= lblk) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

const char* ExtentNode::defect(const ExtentNodeBounds& bounds) const {
  if (header().eh_magic != kExtentMagic) { return "bad magic"; }
  if (depth() != bounds.depth) { return "unexpected depth"; }
  if (max() > bounds.entries_max) { return "too large a maximum of entries"; }
  // Two, so that a split always has something to move; nobody ever wrote less.
  if (max() < 2) { return "too small a maximum of entries"; }
  const unsigned n = entries();
  if (n > max()) { return "more entries than the maximum"; }
  if (n == 0) { return bounds.root && depth() == 0 ? nullptr : "no entries"; }
  if (!bounds.root && key(0).value() != bounds.lblk_begin) { return "first entry differs from the index above"; }
  uint64_t next = bounds.lblk_begin;
  for (unsigned i = 0; i < n; ++i) {
    if (is_leaf()) {
      const ExtentRun run = extent(i);
      if (const char* what = extent_defect(run, next, bounds.lblk_end, bounds.block_end)) { return what; }
      next = run.end();
      continue;
    }
    const ChildNode entry = child(i);
    if (entry.lblk.value() < next) { return "index entries out of order"; }
    if (entry.lblk.value() >= bounds.lblk_end) { return "an index entry past its node's range"; }
    if (entry.node.value() == 0 || entry.node >= bounds.block_end) { return "an index entry outside the device"; }
    next = uint64_t{entry.lblk.value()} + 1;
  }
  return nullptr;
}

uint32_t ExtentNode::compute_csum(uint32_t seed) const { return crc32c(seed, bytes_, offset(max())); }

}  // namespace daxfs::ext4
