// fs/ext4/indirect.cc - paths through a block map, and what is done at their ends.
#include "fs/ext4/indirect.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "fs/base/report.h"

namespace daxfs::ext4 {

namespace {

constexpr uint64_t kSlots = kMapNodeSlots;
constexpr uint64_t kMapEnd = kDirectBlocks + kSlots + kSlots * kSlots + kSlots * kSlots * kSlots;

uint32_t number_at(const std::byte* numbers, uint32_t slot) {
  uint32_t number;
  std::memcpy(&number, numbers + slot * sizeof(number), sizeof(number));
  return number;
}

void set_number(std::byte* numbers, uint32_t slot, uint64_t number) {
  const auto stored = static_cast<uint32_t>(number);
  std::memcpy(numbers + slot * sizeof(stored), &stored, sizeof(stored));
}

// Blocks below one slot of a node of the level above `depth` nodes.
uint64_t span_below(unsigned depth) {
  uint64_t span = 1;
  for (; depth > 0; --depth) { span *= kSlots; }
  return span;
}

// The first block below the root's slot for trees of this depth.
uint64_t tree_begin(unsigned depth) {
  uint64_t begin = kDirectBlocks;
  for (unsigned i = 1; i < depth; ++i) { begin += span_below(i); }
  return begin;
}

bool all_holes(const std::byte* numbers) {
  return std::all_of(numbers, numbers + kBlockSize, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

uint64_t block_map_max_bytes(bool huge_file) {
  // i_blocks counts the blocks of the map, too: in sectors and 32 bits, or in blocks and 48.
  const uint64_t counted = huge_file ? (uint64_t{1} << 48) - 1 : UINT32_MAX / (kBlockSize / kSectorSize);
  const uint64_t all_nodes = 1 + (1 + kSlots) + (1 + kSlots + kSlots * kSlots);
  if (kMapEnd + all_nodes <= counted) { return kMapEnd * kBlockSize; }
  const uint64_t in_triple = counted - kDirectBlocks - kSlots - kSlots * kSlots;
  const uint64_t nodes =
      1 + (1 + kSlots) + 1 + div_round_up(in_triple, kSlots) + div_round_up(in_triple, kSlots * kSlots);
  return (counted - nodes) * kBlockSize;
}

// Where a block's number is: a slot in the root, and one in each node below it.
struct IndirectMap::Path {
  unsigned depth = 0;    // nodes that lead to the block; the last one holds its number
  unsigned reached = 0;  // of them, those that are there
  LogicalBlock lblk;
  std::array<uint32_t, kMapDepthMax + 1> slots{};
  std::array<NodePin, kMapDepthMax + 1> pins;  // [0] is the root's

  // RETURNS: false if no number can be.
  bool aim(LogicalBlock at) {
    lblk = at;
    uint64_t rest = at.value();
    if (rest < kDirectBlocks) {
      slots[0] = at.value();
      return true;
    }
    if (rest >= kMapEnd) { return false; }
    depth = 1;
    while (depth < kMapDepthMax && rest >= tree_begin(depth + 1)) { ++depth; }
    rest -= tree_begin(depth);
    slots[0] = kDirectBlocks + depth - 1;
    for (unsigned level = depth; level > 0; --level) {
      slots[level] = static_cast<uint32_t>(rest % kSlots);
      rest /= kSlots;
    }
    return true;
  }
  std::byte* numbers() const { return pins[reached].node.bytes(); }
  uint32_t slot() const { return slots[reached]; }
  uint32_t number() const { return number_at(numbers(), slot()); }
  bool at_leaf() const { return reached == depth; }
  // Slots of the node reached that are of the same depth.
  uint32_t slots_end() const { return reached > 0 ? kMapNodeSlots : depth == 0 ? kDirectBlocks : slot() + 1; }
  // The first block below the slot reached.
  uint64_t slot_begin() const {
    uint64_t inside = 0;
    for (unsigned level = reached + 1; level <= depth; ++level) { inside = inside * kSlots + slots[level]; }
    return lblk.value() - inside;
  }
};

struct IndirectMap::Removal {
  uint64_t first;
  uint64_t end;
  uint64_t budget;  // nodes that may still be met
};

Status IndirectMap::check_number(uint32_t number) const {
  if (host_.block_valid(FsBlock(number), 1)) { return ok_status(); }
  return FS_CORRUPT("block map: block %u is not a file's", number);
}

// Down to the number of the block, or to the first that is missing.
Status IndirectMap::walk(LogicalBlock lblk, Path* path) {
  FS_BUG_ON(!path->aim(lblk), "IM1", "no map has a place for block %u", lblk.value());
  path->pins[0].node = ExtentNode(host_.map_root());
  while (!path->at_leaf() && path->number() != 0) {
    FS_RETURN_IF_ERROR(check_number(path->number()));
    FS_ASSIGN_OR_RETURN(path->pins[path->reached + 1], host_.read_node(FsBlock(path->number())));
    ++path->reached;
  }
  return ok_status();
}

// The numbers around the path's that continue each other. REQUIRES: the path's own is a file's block.
ExtentRun IndirectMap::run_at(const Path& path) const {
  const std::byte* numbers = path.numbers();
  uint32_t begin = path.slot();
  uint32_t end = begin + 1;
  const auto fits = [&](uint32_t slot, uint64_t number) {
    return number_at(numbers, slot) == number && host_.block_valid(FsBlock(number), 1);
  };
  const uint64_t number = path.number();
  while (begin > 0 && fits(begin - 1, number - (path.slot() - begin) - 1)) { --begin; }
  while (end < path.slots_end() && fits(end, number + (end - path.slot()))) { ++end; }
  const uint32_t before = path.slot() - begin;
  return {.lblk = path.lblk - before, .len = end - begin, .pblk = FsBlock(number - before), .unwritten = false};
}

Result<BlockTree::Lookup> IndirectMap::lookup(LogicalBlock lblk) {
  Lookup found;
  if (insert_max(lblk) == 0) { return found; }
  Path path;
  FS_RETURN_IF_ERROR(walk(lblk, &path));
  if (path.reached > 0) { found.leaf = path.pins[path.reached].block; }
  if (path.number() != 0) {
    FS_RETURN_IF_ERROR(check_number(path.number()));
    found.run = run_at(path);
    return found;
  }
  uint32_t end = path.slot() + 1;
  while (end < path.slots_end() && number_at(path.numbers(), end) == 0) { ++end; }
  found.hole_end = path.slot_begin() + (end - path.slot()) * span_below(path.depth - path.reached);
  if (!path.at_leaf()) { return found; }
  for (uint32_t slot = path.slot(); slot-- > 0;) {
    const uint32_t number = number_at(path.numbers(), slot);
    if (number == 0) { continue; }
    FS_RETURN_IF_ERROR(check_number(number));
    found.neighbor = ExtentRun{.lblk = lblk - (path.slot() - slot), .len = 1, .pblk = FsBlock(number)};
    break;
  }
  return found;
}

Result<std::optional<ExtentRun>> IndirectMap::next_extent(LogicalBlock from) {
  // Each lookup of a hole ends at a number, or at the end of a node.
  uint64_t budget = 2 * host_.limits().block_end.value() + kMapNodeSlots;
  uint64_t at = from.value();
  while (at < kMapEnd) {
    FS_ASSIGN_OR_RETURN(const Lookup found, lookup(LogicalBlock(static_cast<uint32_t>(at))));
    if (found.run.has_value()) { return found.run; }
    at = found.hole_end;
    if (budget-- == 0) { return FS_CORRUPT("block map: more blocks than the device has, from %u on", from.value()); }
  }
  return std::optional<ExtentRun>();
}

uint32_t IndirectMap::insert_max(LogicalBlock lblk) const {
  const uint64_t at = lblk.value();
  if (at < kDirectBlocks) { return static_cast<uint32_t>(kDirectBlocks - at); }
  return at >= kMapEnd ? 0 : static_cast<uint32_t>(kSlots - (at - kDirectBlocks) % kSlots);
}

// Nodes that are missing are filled first and hung up last, so that a failure before leaves the map as it was.
Status IndirectMap::insert(const ExtentRun& run) {
  FS_BUG_ON(run.unwritten || run.len > insert_max(run.lblk), "IM1", "%u blocks at %u do not fit a block map", run.len,
            run.lblk.value());
  if (run.pblk.value() + run.len > UINT32_MAX) { return Errc::kNoSpc; }  // beyond what a number can say
  Path path;
  FS_RETURN_IF_ERROR(walk(run.lblk, &path));
  const unsigned parent = path.reached;
  if (parent > 0) { FS_RETURN_IF_ERROR(host_.will_change(path.pins[parent])); }
  Status status;
  while (!path.at_leaf() && status.ok()) {
    Result<NodePin> fresh = host_.allocate_node(path.reached > 0 ? path.pins[path.reached].block : run.pblk);
    status = fresh.status();
    if (status.ok()) {
      path.pins[path.reached + 1] = std::move(*fresh);
      ++path.reached;
    }
  }
  for (; !status.ok() && path.reached > parent; --path.reached) {
    const FsBlock unused = path.pins[path.reached].block;
    path.pins[path.reached] = {};
    host_.free_node(unused).ignore_error("the first error is the cause");
  }
  FS_RETURN_IF_ERROR(status);
  for (uint32_t i = 0; i < run.len; ++i) {
    FS_BUG_ON(number_at(path.numbers(), path.slot() + i) != 0, "IM1", "block %u is mapped already",
              run.lblk.value() + i);
    set_number(path.numbers(), path.slot() + i, run.pblk.value() + i);
  }
  for (; path.reached > parent; --path.reached) {
    FS_RETURN_IF_ERROR(host_.changed(path.pins[path.reached]));
    set_number(path.pins[path.reached - 1].node.bytes(), path.slots[path.reached - 1],
               path.pins[path.reached].block.value());
  }
  if (parent > 0) { return host_.changed(path.pins[parent]); }
  host_.root_changed();
  return ok_status();
}

// The numbers first, then the blocks: nobody may find a block that is free. `pin` is null for the root.
Status IndirectMap::remove_data(NodePin* pin, std::byte* numbers, uint64_t base, uint32_t slots,
                                const Removal& removal) {
  const auto slot_of = [&](uint64_t lblk) {
    return static_cast<uint32_t>(std::min<uint64_t>(lblk > base ? lblk - base : 0, slots));
  };
  const uint32_t begin = slot_of(removal.first);
  const uint32_t end = slot_of(removal.end);
  std::vector<BlockRun> runs;
  for (uint32_t slot = begin; slot < end; ++slot) {
    const uint32_t number = number_at(numbers, slot);
    if (number == 0) { continue; }
    FS_RETURN_IF_ERROR(check_number(number));
    if (!runs.empty() && runs.back().end() == FsBlock(number)) {
      ++runs.back().count;
    } else {
      runs.push_back({.first = FsBlock(number), .count = 1});
    }
  }
  if (runs.empty()) { return ok_status(); }
  if (pin != nullptr) {
    FS_RETURN_IF_ERROR(host_.will_change(*pin));
    numbers = pin->node.bytes();
  }
  for (uint32_t slot = begin; slot < end; ++slot) { set_number(numbers, slot, 0); }
  if (pin != nullptr) {
    FS_RETURN_IF_ERROR(host_.changed(*pin));
  } else {
    host_.root_changed();
  }
  for (const BlockRun& run : runs) { FS_RETURN_IF_ERROR(host_.free_data(run.first, run.count)); }
  return ok_status();
}

// RETURNS: whether nothing is left below.
Result<bool> IndirectMap::remove_below(uint32_t number, unsigned depth, uint64_t base, Removal* removal) {
  FS_RETURN_IF_ERROR(check_number(number));
  if (removal->budget-- == 0) { return FS_CORRUPT("block map: more blocks than the device has"); }
  FS_ASSIGN_OR_RETURN(NodePin pin, host_.read_node(FsBlock(number)));
  if (depth == 1) {
    FS_RETURN_IF_ERROR(remove_data(&pin, pin.node.bytes(), base, kMapNodeSlots, *removal));
    return all_holes(pin.node.bytes());
  }
  const uint64_t span = span_below(depth - 1);
  for (uint32_t slot = 0; slot < kMapNodeSlots; ++slot, base += span) {
    const uint32_t child = number_at(pin.node.bytes(), slot);
    if (child == 0 || base >= removal->end || base + span <= removal->first) { continue; }
    FS_ASSIGN_OR_RETURN(const bool empty, remove_below(child, depth - 1, base, removal));
    if (!empty) { continue; }
    FS_RETURN_IF_ERROR(host_.will_change(pin));
    set_number(pin.node.bytes(), slot, 0);
    FS_RETURN_IF_ERROR(host_.changed(pin));
    FS_RETURN_IF_ERROR(host_.free_node(FsBlock(child)));
  }
  return all_holes(pin.node.bytes());
}

Status IndirectMap::remove_range(LogicalBlock first, LogicalBlock end) {
  std::byte* const root = host_.map_root();
  Removal removal{.first = first.value(), .end = end.value(), .budget = host_.limits().block_end.value()};
  FS_RETURN_IF_ERROR(remove_data(nullptr, root, 0, kDirectBlocks, removal));
  for (unsigned depth = 1; depth <= kMapDepthMax; ++depth) {
    const uint64_t base = tree_begin(depth);
    const uint32_t slot = kDirectBlocks + depth - 1;
    const uint32_t number = number_at(root, slot);
    if (number == 0 || base >= removal.end || base + span_below(depth) <= removal.first) { continue; }
    FS_ASSIGN_OR_RETURN(const bool empty, remove_below(number, depth, base, &removal));
    if (!empty) { continue; }
    set_number(root, slot, 0);
    host_.root_changed();
    FS_RETURN_IF_ERROR(host_.free_node(FsBlock(number)));
  }
  return ok_status();
}

Status IndirectMap::list_number(uint32_t number, unsigned depth, uint64_t* budget, std::vector<FsBlock>* nodes) {
  if (number == 0) { return ok_status(); }
  FS_RETURN_IF_ERROR(check_number(number));
  if ((*budget)-- == 0) { return FS_CORRUPT("block map: more blocks than the device has"); }
  return depth == 0 ? ok_status() : list_below(number, depth, budget, nodes);
}

Status IndirectMap::list_below(uint32_t number, unsigned depth, uint64_t* budget, std::vector<FsBlock>* nodes) {
  nodes->push_back(FsBlock(number));
  FS_ASSIGN_OR_RETURN(const NodePin pin, host_.read_node(FsBlock(number)));
  for (uint32_t slot = 0; slot < kMapNodeSlots; ++slot) {
    FS_RETURN_IF_ERROR(list_number(number_at(pin.node.bytes(), slot), depth - 1, budget, nodes));
  }
  return ok_status();
}

Result<std::vector<FsBlock>> IndirectMap::nodes() {
  const std::byte* const root = host_.map_root();
  std::vector<FsBlock> nodes;
  uint64_t budget = host_.limits().block_end.value();
  for (uint32_t slot = 0; slot < kDirectBlocks + kMapDepthMax; ++slot) {
    const unsigned depth = slot < kDirectBlocks ? 0 : slot - kDirectBlocks + 1;
    FS_RETURN_IF_ERROR(list_number(number_at(root, slot), depth, &budget, &nodes));
  }
  return nodes;
}

Result<uint64_t> IndirectMap::check() {
  FS_ASSIGN_OR_RETURN(const std::vector<FsBlock> all, nodes());
  return uint64_t{all.size()};
}

}  // namespace daxfs::ext4
