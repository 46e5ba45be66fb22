// fs/ext4/extent_tree.cc - finding: paths, checks of what the medium says, iteration.
#include "fs/ext4/extent_tree.h"

#include <algorithm>
#include <utility>

#include "fs/base/report.h"

namespace daxfs::ext4 {

void ExtentPath::reset() {
  for (; depth_ > 0; --depth_) { levels_[depth_].pin = {}; }
}

std::optional<ExtentRun> ExtentPath::run() {
  if (leaf().pos < 0) { return std::nullopt; }
  return node().extent(slot(leaf().pos));
}

std::optional<LogicalBlock> ExtentPath::next_leaf() const {
  for (unsigned level = depth_; level-- > 0;) {
    const ExtentNode node = levels_[level].pin.node;
    const unsigned next = slot(levels_[level].pos) + 1;
    if (next < node.entries()) { return node.key(next); }
  }
  return std::nullopt;
}

Status ExtentTree::verify(const NodePin& pin, const ExtentNodeBounds& bounds) const {
  if (const char* what = pin.node.defect(bounds)) {
    return FS_CORRUPT("extent node %llu: %s", static_cast<unsigned long long>(pin.block.value()), what);
  }
  return ok_status();
}

Status ExtentTree::verify_run(const ExtentRun& run) const {
  if (host_.block_valid(run.pblk, run.len)) { return ok_status(); }
  return FS_CORRUPT("extent of logical block %u: blocks %llu+%u are not a file's", run.lblk.value(),
                    static_cast<unsigned long long>(run.pblk.value()), run.len);
}

Status ExtentTree::find(LogicalBlock lblk, ExtentPath* path) {
  path->reset();
  ExtentPath::Level& top = (*path)[0];
  top.pin.node = host_.root();
  const unsigned depth = top.pin.node.depth();
  if (depth > kExtentDepthMax) { return FS_CORRUPT("extent tree of depth %u", depth); }
  FS_RETURN_IF_ERROR(verify(
      top.pin, {.depth = depth, .entries_max = limits_.root_entries, .root = true, .block_end = limits_.block_end}));
  top.pos = top.pin.node.find(lblk);
  while (path->depth_ < depth) {
    FS_RETURN_IF_ERROR(enter_child(path));
    path->leaf().pos = path->node().find(lblk);
  }
  return ok_status();
}

// Follows the current entry of the path's lowest node; a block before the first key belongs to the
// first child.
Status ExtentTree::enter_child(ExtentPath* path) {
  ExtentPath::Level& parent = path->leaf();
  parent.pos = std::max(parent.pos, 0);
  const ExtentNode node = parent.pin.node;
  const ChildNode entry = node.child(slot(parent.pos));
  if (!host_.block_valid(entry.node, 1)) {
    return FS_CORRUPT("extent index of logical block %u: node %llu is not a file's block", entry.lblk.value(),
                      static_cast<unsigned long long>(entry.node.value()));
  }
  FS_ASSIGN_OR_RETURN(NodePin pin, host_.read_node(entry.node));
  const unsigned next = slot(parent.pos) + 1;
  const ExtentNodeBounds bounds{.depth = node.depth() - 1u,
                                .entries_max = kExtentNodeEntries,
                                .lblk_begin = entry.lblk.value(),
                                .lblk_end = next < node.entries() ? node.key(next).value() : parent.lblk_end,
                                .block_end = limits_.block_end};
  ExtentPath::Level& level = path->levels_[++path->depth_];
  level.pin = std::move(pin);
  level.pos = -1;
  level.lblk_end = bounds.lblk_end;
  return verify(level.pin, bounds);
}

uint64_t ExtentTree::next_key(ExtentPath* path) const {
  const unsigned next = static_cast<unsigned>(path->leaf().pos + 1);
  if (next < path->node().entries()) { return path->node().key(next).value(); }
  const std::optional<LogicalBlock> key = path->next_leaf();
  return key.has_value() ? key->value() : kLogicalEnd;
}

Result<ExtentTree::Lookup> ExtentTree::lookup(LogicalBlock lblk) {
  ExtentPath path;
  FS_RETURN_IF_ERROR(find(lblk, &path));
  Lookup found;
  if (path.depth() > 0) { found.leaf = path.leaf().pin.block; }
  const std::optional<ExtentRun> run = path.run();
  if (run.has_value() && run->contains(lblk)) {
    FS_RETURN_IF_ERROR(verify_run(*run));
    found.run = run;
    return found;
  }
  found.hole_end = next_key(&path);
  found.neighbor = run;
  const ExtentNode leaf = path.node();
  const unsigned next = static_cast<unsigned>(path.leaf().pos + 1);
  if (!run.has_value() && next < leaf.entries()) { found.neighbor = leaf.extent(next); }
  return found;
}

Result<std::optional<ExtentRun>> ExtentTree::next_extent(LogicalBlock from) {
  ExtentPath path;
  FS_RETURN_IF_ERROR(find(from, &path));
  std::optional<ExtentRun> run = path.run();
  if (!run.has_value() || run->end() <= from.value()) {
    const unsigned next = static_cast<unsigned>(path.leaf().pos + 1);
    if (next < path.node().entries()) {
      run = path.node().extent(next);
    } else if (const std::optional<LogicalBlock> key = path.next_leaf()) {
      FS_RETURN_IF_ERROR(find(*key, &path));
      run = path.run();
    } else {
      return std::optional<ExtentRun>();
    }
  }
  FS_RETURN_IF_ERROR(verify_run(*run));
  return run;
}

Result<uint64_t> ExtentTree::check() {
  uint64_t nodes = 0;
  std::optional<LogicalBlock> key = LogicalBlock(0);
  ExtentPath path;
  while (key.has_value()) {
    FS_RETURN_IF_ERROR(find(*key, &path));
    // A node is counted on the first path through it: when every entry below it is the first one.
    for (unsigned level = path.depth(); level > 0; --level) {
      ++nodes;
      if (path[level - 1].pos != 0) { break; }
    }
    const ExtentNode leaf = path.node();
    for (unsigned i = 0; i < leaf.entries(); ++i) { FS_RETURN_IF_ERROR(verify_run(leaf.extent(i))); }
    key = path.next_leaf();
  }
  return nodes;
}

Status ExtentTree::will_change(ExtentPath* path, unsigned level) {
  return level == 0 ? ok_status() : host_.will_change((*path)[level].pin);
}

Status ExtentTree::changed(ExtentPath* path, unsigned level) {
  if (level > 0) { return host_.changed((*path)[level].pin); }
  host_.root_changed();
  return ok_status();
}

Status ExtentTree::correct_keys(ExtentPath* path, unsigned level) {
  const LogicalBlock key = (*path)[level].pin.node.key(0);
  while (level-- > 0) {
    FS_RETURN_IF_ERROR(will_change(path, level));
    (*path)[level].pin.node.set_key(slot((*path)[level].pos), key);
    FS_RETURN_IF_ERROR(changed(path, level));
    if ((*path)[level].pos != 0) { break; }
  }
  return ok_status();
}

}  // namespace daxfs::ext4
