// fs/ext4/extent_tree_insert.cc - inserting and changes of state: merge, split, grow.
#include <algorithm>

#include "fs/base/report.h"
#include "fs/ext4/extent_tree.h"

namespace daxfs::ext4 {

namespace {

ExtentRun head_of(ExtentRun run, uint32_t len) {
  run.len = len;
  return run;
}

ExtentRun tail_of(const ExtentRun& run, LogicalBlock from) {
  return ExtentRun{.lblk = from,
                   .len = static_cast<uint32_t>(run.end() - from.value()),
                   .pblk = run.block_of(from),
                   .unwritten = run.unwritten};
}
}  // namespace

Status ExtentTree::insert(const ExtentRun& run) { return insert_run(run, true); }

Status ExtentTree::insert_run(const ExtentRun& run, bool merge) {
  FS_BUG_ON(run.len == 0 || run.len > extent_length_max(run.unwritten), "ET1", "inserting an extent of %u blocks",
            run.len);
  ExtentPath path;
  for (;;) {
    FS_RETURN_IF_ERROR(find(run.lblk, &path));
    const std::optional<ExtentRun> before = path.run();
    const uint64_t next = next_key(&path);
    if ((before.has_value() && before->end() > run.lblk.value()) || next < run.end()) {
      // Not ours: the caller saw a hole here. A block of the tree must have another owner, too.
      return FS_CORRUPT("inserting at %u+%u over another extent", run.lblk.value(), run.len);
    }
    if (merge) {
      FS_ASSIGN_OR_RETURN(const bool merged, merge_into_neighbor(&path, run));
      if (merged) { return ok_status(); }
    }
    if (!path.node().is_full()) {
      FS_RETURN_IF_ERROR(insert_into_leaf(&path, run));
      return merge ? merge_around(&path) : ok_status();
    }
    FS_ASSIGN_OR_RETURN(const bool inserted, make_room(&path, run));
    if (inserted) { return ok_status(); }
    // Reloaded: the split moved entries to other nodes.
  }
}

// Extends the extent before or behind by `run`. One that then touches the other side too is merged
// as well.
Result<bool> ExtentTree::merge_into_neighbor(ExtentPath* path, const ExtentRun& run) {
  const ExtentNode leaf = path->node();
  const unsigned next = static_cast<unsigned>(path->leaf().pos + 1);
  const std::optional<ExtentRun> before = path->run();
  if (before.has_value() && extents_mergeable(*before, run)) {
    FS_RETURN_IF_ERROR(will_change(path, path->depth()));
    path->node().set_extent(next - 1, head_of(*before, before->len + run.len));
    FS_RETURN_IF_ERROR(changed(path, path->depth()));
    FS_RETURN_IF_ERROR(merge_around(path));
    return true;
  }
  if (next < leaf.entries() && extents_mergeable(run, leaf.extent(next))) {
    FS_RETURN_IF_ERROR(will_change(path, path->depth()));
    path->node().set_extent(next, head_of(run, run.len + leaf.extent(next).len));
    FS_RETURN_IF_ERROR(changed(path, path->depth()));
    if (next == 0) { FS_RETURN_IF_ERROR(correct_keys(path, path->depth())); }
    return true;
  }
  return false;
}

// Puts `run` behind the path's current entry. REQUIRES: room.
Status ExtentTree::insert_into_leaf(ExtentPath* path, const ExtentRun& run) {
  FS_RETURN_IF_ERROR(will_change(path, path->depth()));
  const unsigned at = static_cast<unsigned>(++path->leaf().pos);
  path->node().insert_gap(at);
  path->node().set_extent(at, run);
  FS_RETURN_IF_ERROR(changed(path, path->depth()));
  return at == 0 ? correct_keys(path, path->depth()) : ok_status();
}

// One step towards room in the leaf for `run`. RETURNS true if the step itself inserted the run.
Result<bool> ExtentTree::make_room(ExtentPath* path, const ExtentRun& run) {
  // Behind the last entry of a leaf, the next leaf is as good a place.
  if (slot(path->leaf().pos) + 1 == path->node().entries()) {
    if (const std::optional<LogicalBlock> key = path->next_leaf()) {
      ExtentPath next;
      FS_RETURN_IF_ERROR(find(*key, &next));
      if (!next.node().is_full()) {
        next.leaf().pos = -1;
        FS_RETURN_IF_ERROR(insert_into_leaf(&next, run));
        return true;
      }
    }
  }
  unsigned level = path->depth();
  while (level > 0 && (*path)[level - 1].pin.node.is_full()) { --level; }
  if (level == 0) {
    path->reset();
    FS_RETURN_IF_ERROR(grow(run));
    return false;
  }
  return split_node(path, level, run);
}

// Moves the root's entries into a new node, which becomes the root's only child.
Status ExtentTree::grow(const ExtentRun& run) {
  ExtentNode root = host_.root();  // whose node blocks, if any, this path does not hold
  if (root.depth() >= kExtentDepthMax) { return Errc::kNoSpc; }
  FS_ASSIGN_OR_RETURN(NodePin pin, host_.allocate_node(root.is_leaf() ? run.pblk : root.child(0).node));
  pin.node.format(root.depth(), limits_.node_entries);
  root.move_tail(0, pin.node);
  const ChildNode entry{.lblk = pin.node.key(0), .node = pin.block};
  root.set_depth(root.depth() + 1u);
  root.insert_gap(0);
  root.set_child(0, entry);
  host_.root_changed();
  return host_.changed(pin);
}

// Gives the full node at `level` a new right neighbour and moves what lies behind the path's entry
// there.
// REQUIRES: the parent has room. RETURNS true if the new node was a leaf that took just `run`.
Result<bool> ExtentTree::split_node(ExtentPath* path, unsigned level, const ExtentRun& run) {
  ExtentPath::Level& old = (*path)[level];
  ExtentPath::Level& parent = (*path)[level - 1];
  const unsigned entries = old.pin.node.entries();
  const unsigned behind = static_cast<unsigned>(old.pos + 1);
  const bool leaf = level == path->depth();
  const bool append = leaf && behind == entries;
  // Neither half may stay empty (ET3): an index node gives up its last entry when appending.
  const unsigned middle = leaf ? std::max(behind, 1u) : std::min(behind, entries - 1);
  FS_BUG_ON(!append && (middle == 0 || middle >= entries), "ET3", "splitting a node of %u entries at %u", entries,
            middle);

  FS_ASSIGN_OR_RETURN(NodePin pin, host_.allocate_node(run.pblk));
  for (unsigned i = 1; i <= path->depth(); ++i) {
    if ((*path)[i].pin.block == pin.block) {
      return FS_CORRUPT("extent node %llu is free in its bitmap", static_cast<unsigned long long>(pin.block.value()));
    }
  }
  pin.node.format(old.pin.node.depth(), limits_.node_entries);
  FS_RETURN_IF_ERROR(host_.will_change(old.pin));
  FS_RETURN_IF_ERROR(will_change(path, level - 1));
  if (append) {
    pin.node.insert_gap(0);
    pin.node.set_extent(0, run);
  } else {
    old.pin.node.move_tail(middle, pin.node);
    FS_RETURN_IF_ERROR(host_.changed(old.pin));
  }
  const unsigned at = slot(parent.pos) + 1;
  parent.pin.node.insert_gap(at);
  parent.pin.node.set_child(at, {.lblk = pin.node.key(0), .node = pin.block});
  FS_RETURN_IF_ERROR(host_.changed(pin));
  FS_RETURN_IF_ERROR(changed(path, level - 1));
  return append;
}

// Cuts the extent that contains `at` there. RETURNS: whether there was something to cut. On an error
// nothing changed.
Result<bool> ExtentTree::split_at(LogicalBlock at) {
  ExtentPath path;
  FS_RETURN_IF_ERROR(find(at, &path));
  const std::optional<ExtentRun> run = path.run();
  if (!run.has_value() || !run->contains(at) || run->lblk == at) { return false; }
  const unsigned i = slot(path.leaf().pos);
  FS_RETURN_IF_ERROR(will_change(&path, path.depth()));
  path.node().set_extent(i, head_of(*run, at - run->lblk));
  FS_RETURN_IF_ERROR(changed(&path, path.depth()));
  path.reset();

  host_.searched_in_split(at, run->end());
  const Status inserted = insert_run(tail_of(*run, at), false);
  if (inserted.ok()) { return true; }
  // Reloaded: a step of the failed insertion may have moved the head.
  FS_RETURN_IF_ERROR(find(run->lblk, &path));
  if (path.run() != head_of(*run, at - run->lblk)) {
    return FS_CORRUPT("extent at %u changed under its lock", run->lblk.value());
  }
  FS_RETURN_IF_ERROR(will_change(&path, path.depth()));
  path.node().set_extent(slot(path.leaf().pos), *run);
  FS_RETURN_IF_ERROR(changed(&path, path.depth()));
  return inserted;
}

Status ExtentTree::isolate(LogicalBlock first, uint32_t len) {
  const uint64_t end = uint64_t{first.value()} + len;
  bool cut = false;
  if (end < kLogicalEnd) { FS_ASSIGN_OR_RETURN(cut, split_at(LogicalBlock(static_cast<uint32_t>(end)))); }
  const auto begins = split_at(first);
  if (begins.error() == Errc::kNoSpc && cut) { FS_RETURN_IF_ERROR(join_at(LogicalBlock(static_cast<uint32_t>(end)))); }
  return begins.ok() ? ok_status() : Status(begins.error());
}

Status ExtentTree::set_state(LogicalBlock first, uint32_t len, bool unwritten) {
  FS_BUG_ON(len == 0 || len > extent_length_max(unwritten), "ET4", "changing the state of %u+%u", first.value(), len);
  FS_RETURN_IF_ERROR(isolate(first, len));
  ExtentPath path;
  FS_RETURN_IF_ERROR(find(first, &path));
  std::optional<ExtentRun> run = path.run();
  if (!run.has_value() || run->lblk != first || run->len != len || run->unwritten == unwritten) {
    return FS_CORRUPT("extent at %u changed under its lock", first.value());
  }
  run->unwritten = unwritten;
  FS_RETURN_IF_ERROR(will_change(&path, path.depth()));
  path.node().set_extent(slot(path.leaf().pos), *run);
  FS_RETURN_IF_ERROR(changed(&path, path.depth()));
  return merge_around(&path);
}

Result<bool> ExtentTree::transfer_to_neighbor(const ExtentRun& run, LogicalBlock first, uint32_t len) {
  const uint64_t end = uint64_t{first.value()} + len;
  const bool at_head = first == run.lblk;
  if (len >= run.len || (!at_head && end != run.end())) { return false; }
  ExtentPath path;
  FS_RETURN_IF_ERROR(find(run.lblk, &path));
  if (path.run() != run) { return FS_CORRUPT("extent at %u changed under its lock", run.lblk.value()); }
  const unsigned i = slot(path.leaf().pos);
  const unsigned neighbor = at_head ? i - 1 : i + 1;
  if ((at_head && i == 0) || neighbor >= path.node().entries()) { return false; }
  ExtentRun piece{.lblk = first, .len = len, .pblk = run.block_of(first), .unwritten = false};
  const ExtentRun other = path.node().extent(neighbor);
  if (!(at_head ? extents_mergeable(other, piece) : extents_mergeable(piece, other))) { return false; }

  FS_RETURN_IF_ERROR(will_change(&path, path.depth()));
  if (at_head) {
    path.node().set_extent(neighbor, head_of(other, other.len + len));
    path.node().set_extent(i, tail_of(run, LogicalBlock(static_cast<uint32_t>(end))));
  } else {
    piece.len += other.len;
    path.node().set_extent(neighbor, piece);
    path.node().set_extent(i, head_of(run, run.len - len));
  }
  FS_RETURN_IF_ERROR(changed(&path, path.depth()));
  path.leaf().pos = static_cast<int>(neighbor);
  FS_RETURN_IF_ERROR(merge_around(&path));
  return true;
}

// Takes a cut back, and no other: neighbours that were isolated for writes in flight stay by themselves.
Status ExtentTree::join_at(LogicalBlock at) {
  ExtentPath path;
  FS_RETURN_IF_ERROR(find(at, &path));
  const int pos = path.leaf().pos;
  if (pos < 1) {
    return ok_status();  // where two leaves meet it stays
  }
  const ExtentRun a = path.node().extent(slot(pos) - 1);
  const ExtentRun b = path.node().extent(slot(pos));
  if (b.lblk != at || !extents_mergeable(a, b)) { return ok_status(); }
  FS_RETURN_IF_ERROR(will_change(&path, path.depth()));
  path.node().set_extent(slot(pos) - 1, head_of(a, a.len + b.len));
  path.node().erase(slot(pos));
  path.leaf().pos = pos - 1;
  FS_RETURN_IF_ERROR(changed(&path, path.depth()));
  return pull_up(&path);
}

// Merges the path's extent with its neighbours in the leaf; ends at the merged extent.
Status ExtentTree::merge_around(ExtentPath* path) {
  bool merged = false;
  // Left first: then the position is right for the other side, too.
  for (const int side : {-1, 0}) {
    const int left = path->leaf().pos + side;
    ExtentNode leaf = path->node();
    if (left < 0 || slot(left) + 1 >= leaf.entries()) { continue; }
    const ExtentRun a = leaf.extent(slot(left));
    const ExtentRun b = leaf.extent(slot(left) + 1);
    if (!extents_mergeable(a, b)) { continue; }
    if (!merged) { FS_RETURN_IF_ERROR(will_change(path, path->depth())); }
    leaf = path->node();
    leaf.set_extent(slot(left), head_of(a, a.len + b.len));
    leaf.erase(slot(left) + 1);
    path->leaf().pos = left;
    merged = true;
  }
  if (merged) { FS_RETURN_IF_ERROR(changed(path, path->depth())); }
  return pull_up(path);
}

// A single leaf under the root whose extents fit the root moves into it.
Status ExtentTree::pull_up(ExtentPath* path) {
  if (path->depth() != 1) { return ok_status(); }
  ExtentNode root = (*path)[0].pin.node;
  const ExtentNode leaf = path->node();
  if (root.entries() != 1 || leaf.entries() > root.max()) { return ok_status(); }
  const FsBlock block = path->leaf().pin.block;
  const int pos = path->leaf().pos;
  // The leaf's bytes stay as they are: it is about to be forgotten.
  root.format(0, root.max());
  for (unsigned i = 0; i < leaf.entries(); ++i) {
    root.insert_gap(i);
    root.set_extent(i, leaf.extent(i));
  }
  host_.root_changed();
  path->reset();
  (*path)[0].pos = pos;
  return host_.free_node(block);
}

}  // namespace daxfs::ext4
