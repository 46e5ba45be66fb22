// fs/ext4/extent_tree_remove.cc - removing ranges, and moving extents along the file.
#include <algorithm>

#include "fs/base/report.h"
#include "fs/ext4/extent_tree.h"

namespace daxfs::ext4 {

// From the right to the left, a leaf at a time; blocks of a leaf are freed before its entries go,
// so that an error in the bitmaps leaves entries for what was not freed.
Status ExtentTree::remove_range(LogicalBlock first, LogicalBlock end) {
  if (first >= end) { return ok_status(); }
  {
    FS_ASSIGN_OR_RETURN(const Lookup found, lookup(first));
    if (found.run.has_value() && found.run->lblk < first && found.run->end() > end.value()) {
      FS_RETURN_IF_ERROR(split_at(end));
    }
  }
  ExtentPath path;
  uint64_t upto = end.value();
  while (upto > first.value()) {
    FS_RETURN_IF_ERROR(find(LogicalBlock(static_cast<uint32_t>(upto - 1)), &path));
    if (path.leaf().pos < 0) { break; }
    FS_ASSIGN_OR_RETURN(upto, remove_in_leaf(&path, first, LogicalBlock(static_cast<uint32_t>(upto))));
  }
  return ok_status();
}

// RETURNS where what is left to remove ends. REQUIRES: the path was found for end - 1, and an
// extent begins before end.
Result<uint64_t> ExtentTree::remove_in_leaf(ExtentPath* path, LogicalBlock first, LogicalBlock end) {
  FS_RETURN_IF_ERROR(will_change(path, path->depth()));
  ExtentNode leaf = path->node();
  const uint64_t leaf_begin = leaf.key(0).value();
  bool any = false;
  Status status;
  unsigned gone_end = slot(path->leaf().pos) + 1;  // entries [gone_begin, gone_end) were freed whole
  unsigned gone_begin = gone_end;
  for (unsigned i = gone_end; i-- > 0;) {
    const ExtentRun run = leaf.extent(i);
    if (run.end() <= first.value()) { break; }
    const LogicalBlock cut = std::max(run.lblk, first);
    const auto cut_len = static_cast<uint32_t>(std::min<uint64_t>(run.end(), end.value()) - cut.value());
    status = verify_run(run);
    if (status.ok()) { status = host_.free_data(run.block_of(cut), cut_len); }
    if (!status.ok()) { break; }
    any = true;
    if (cut_len == run.len) {
      gone_begin = i;
      continue;
    }
    ExtentRun rest = run;
    rest.len -= cut_len;
    if (cut == run.lblk) {  // the end stays: can only be the first one looked at
      rest.lblk += cut_len;
      rest.pblk += cut_len;
      gone_begin = gone_end = i;
    }
    leaf.set_extent(i, rest);
  }
  if (gone_begin < gone_end) { leaf.erase(gone_begin, gone_end - gone_begin); }
  if (any && leaf.entries() == 0 && path->depth() > 0) {
    FS_RETURN_IF_ERROR(remove_empty(path));
  } else if (any) {
    FS_RETURN_IF_ERROR(changed(path, path->depth()));
    if (leaf.entries() > 0 && leaf.key(0).value() != leaf_begin) {
      FS_RETURN_IF_ERROR(correct_keys(path, path->depth()));
    }
  }
  FS_RETURN_IF_ERROR(status);
  return leaf_begin;
}

// Frees the path's empty leaf, and the nodes above that become empty by it.
Status ExtentTree::remove_empty(ExtentPath* path) {
  unsigned level = path->depth();
  for (;;) {
    const FsBlock block = (*path)[level].pin.block;
    --level;
    FS_RETURN_IF_ERROR(will_change(path, level));
    ExtentNode node = (*path)[level].pin.node;
    node.erase(slot((*path)[level].pos));
    if (level == 0 && node.entries() == 0) { node.set_depth(0); }
    if (level == 0 || node.entries() > 0) {
      FS_RETURN_IF_ERROR(changed(path, level));
      if (level > 0 && (*path)[level].pos == 0) { FS_RETURN_IF_ERROR(correct_keys(path, level)); }
    }
    FS_RETURN_IF_ERROR(host_.free_node(block));
    if (level == 0 || node.entries() > 0) { return ok_status(); }
  }
}

Status ExtentTree::shift_left(LogicalBlock start, uint32_t blocks) {
  ExtentPath path;
  FS_ASSIGN_OR_RETURN(std::optional<ExtentRun> first, next_extent(start));
  if (!first.has_value() || blocks == 0) { return ok_status(); }
  if (first->lblk < start || first->lblk.value() < blocks) { return Errc::kInval; }
  if (first->lblk.value() > blocks) {
    FS_RETURN_IF_ERROR(find(first->lblk - 1, &path));
    const std::optional<ExtentRun> before = path.run();
    if (before.has_value() && before->end() + blocks > first->lblk.value()) { return Errc::kInval; }
  } else if (first->lblk.value() > 0) {
    // Lands on block 0: nothing may lie before it.
    FS_ASSIGN_OR_RETURN(const std::optional<ExtentRun> any, next_extent(LogicalBlock(0)));
    if (any->lblk < first->lblk) { return Errc::kInval; }
  }
  std::optional<LogicalBlock> key = first->lblk;
  while (key.has_value()) {
    FS_RETURN_IF_ERROR(find(*key, &path));
    if (path.leaf().pos < 0) { return FS_CORRUPT("extent at %u changed under its lock", key->value()); }
    key = path.next_leaf();
    FS_RETURN_IF_ERROR(will_change(&path, path.depth()));
    ExtentNode leaf = path.node();
    const unsigned from = slot(path.leaf().pos);
    for (unsigned i = from; i < leaf.entries(); ++i) { leaf.set_key(i, leaf.key(i) - blocks); }
    if (from > 0 && extents_mergeable(leaf.extent(from - 1), leaf.extent(from))) {
      ExtentRun merged = leaf.extent(from - 1);
      merged.len += leaf.extent(from).len;
      leaf.set_extent(from - 1, merged);
      leaf.erase(from);
    }
    FS_RETURN_IF_ERROR(changed(&path, path.depth()));
    if (from == 0) { FS_RETURN_IF_ERROR(correct_keys(&path, path.depth())); }
  }
  return ok_status();
}

Status ExtentTree::shift_right(LogicalBlock start, uint32_t blocks) {
  const LogicalBlock last(static_cast<uint32_t>(kLogicalEnd - 1));
  ExtentPath path;
  FS_RETURN_IF_ERROR(find(last, &path));
  const std::optional<ExtentRun> end = path.run();
  if (!end.has_value() || end->end() <= start.value() || blocks == 0) { return ok_status(); }
  if (end->end() + blocks > kLogicalEnd) { return Errc::kInval; }
  path.reset();
  FS_RETURN_IF_ERROR(split_at(start));

  LogicalBlock cursor = last;
  for (;;) {
    FS_RETURN_IF_ERROR(find(cursor, &path));
    FS_RETURN_IF_ERROR(will_change(&path, path.depth()));
    ExtentNode leaf = path.node();
    const LogicalBlock leaf_begin = leaf.key(0);
    unsigned i = leaf.entries();
    while (i > 0 && leaf.key(i - 1) >= start) {
      --i;
      leaf.set_key(i, leaf.key(i) + blocks);
    }
    FS_RETURN_IF_ERROR(changed(&path, path.depth()));
    if (i == 0) { FS_RETURN_IF_ERROR(correct_keys(&path, path.depth())); }
    bool first_leaf = true;
    for (unsigned level = 0; level < path.depth(); ++level) { first_leaf = first_leaf && path[level].pos == 0; }
    if (i > 0 || first_leaf || leaf_begin <= start) { return ok_status(); }
    cursor = leaf_begin - 1;
  }
}

}  // namespace daxfs::ext4
