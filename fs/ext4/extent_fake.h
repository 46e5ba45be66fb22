// fs/ext4/extent_fake.h - for tests: a world for the extent code in memory, and a judge that reads
// the tree by itself.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fs/base/crc32c.h"
#include "fs/ext4/extent_host.h"

namespace daxfs::ext4::testing {

// xorshift64*: tests must repeat.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15 + 1) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1D;
  }
  uint32_t below(uint64_t n) { return static_cast<uint32_t>((next() >> 16) % n); }

 private:
  uint64_t state_;
};

inline constexpr uint64_t kStale = ~uint64_t{0};  // contents of a block that nobody initialised

class FakeHost final : public ExtentHost {
 public:
  enum class Owner : uint8_t { kFree, kNode, kData };
  using Bytes = std::array<std::byte, kBlockSize>;

  FakeHost(uint16_t root_entries, uint16_t node_entries, uint64_t blocks)
      : contents(blocks, kStale), owner_(blocks, Owner::kFree) {
    limits_.root_entries = root_entries;
    limits_.node_entries = node_entries;
    limits_.block_end = FsBlock(blocks);
    ExtentNode(root_bytes.data()).format(0, root_entries);
  }

  const ExtentTreeLimits& limits() const override { return limits_; }
  ExtentNode root() override { return ExtentNode(root_bytes.data()); }
  void root_changed() override {}

  Result<NodePin> read_node(FsBlock block) override {
    Bytes& bytes = node_bytes(block);
    ExtentNode node(bytes.data());
    if (check_csum && !node.csum_ok(kSeed)) { return Errc::kCorrupted; }
    return pin(block);
  }
  Status will_change(NodePin& node) override {
    writable_[node.block.value()] = true;
    return ok_status();
  }
  Status changed(NodePin& node) override {
    if (!writable_[node.block.value()]) { return Errc::kFault; }  // no test expects this error
    if (node.node.max() <= kExtentNodeEntries) { node.node.set_csum(kSeed); }
    return ok_status();
  }
  Result<NodePin> allocate_node(FsBlock goal) override {
    FS_ASSIGN_OR_RETURN(const BlockRun run, take(goal, 1, Owner::kNode));
    node_bytes(run.first).fill(std::byte{0});
    NodePin fresh = pin(run.first);
    FS_RETURN_IF_ERROR(will_change(fresh));
    return fresh;
  }
  Status free_node(FsBlock block) override { return give(block, 1, Owner::kNode); }
  bool block_valid(FsBlock first, uint32_t count) const override {
    return first.value() >= kFirstValid && first.value() + count <= owner_.size();
  }
  Result<BlockRun> allocate_data(FsBlock goal, uint32_t count, bool align) override {
    last_aligned = align;
    return take(goal, run_max == 0 ? count : std::min(count, run_max), Owner::kData);
  }
  Status free_data(FsBlock first, uint32_t count) override { return give(first, count, Owner::kData); }
  Status zero_data(FsBlock first, uint32_t count) override {
    for (uint32_t i = 0; i < count; ++i) { contents.at(first.value() + i) = 0; }
    zeroed += count;
    return ok_status();
  }
  FsBlock home_goal() const override { return FsBlock(kFirstValid); }
  uint64_t eof_block() const override { return eof; }

  Bytes& node_bytes(FsBlock block) {
    std::unique_ptr<Bytes>& bytes = nodes_[block.value()];
    if (bytes == nullptr) {
      bytes = std::make_unique<Bytes>();
      bytes->fill(std::byte{0});
    }
    return *bytes;
  }
  Owner owner(uint64_t block) const { return owner_[block]; }
  void set_owner(uint64_t block, Owner owner) { owner_[block] = owner; }
  uint64_t used() const { return used_; }
  const std::map<uint64_t, std::unique_ptr<Bytes>>& all_nodes() const { return nodes_; }

  static constexpr uint32_t kSeed = 0x1234567;
  static constexpr uint64_t kFirstValid = 8;

  alignas(4) std::array<std::byte, kExtentRootSize> root_bytes{};
  std::vector<uint64_t> contents;            // what a reader of the block sees
  uint64_t eof = 0;                          // blocks
  std::optional<uint32_t> allocations_left;  // then kNoSpc
  uint32_t run_max = 0;                      // blocks in one allocation; 0: any
  Dice* scatter = nullptr;                   // place runs anywhere
  uint64_t zeroed = 0;
  bool last_aligned = false;
  bool check_csum = true;

 private:
  NodePin pin(FsBlock block) {
    NodePin node;
    node.node = ExtentNode(node_bytes(block).data());
    node.block = block;
    return node;
  }
  Result<BlockRun> take(FsBlock goal, uint32_t count, Owner owner) {
    if (allocations_left.has_value()) {
      if (*allocations_left == 0) { return Errc::kNoSpc; }
      --*allocations_left;
    }
    const uint64_t size = owner_.size();
    uint64_t from = scatter != nullptr ? scatter->below(size) : goal.value();
    if (from < kFirstValid || from >= size) { from = kFirstValid; }
    for (uint64_t step = 0; step < size; ++step) {
      const uint64_t at = (from + step) % size;
      if (at < kFirstValid || owner_[at] != Owner::kFree) { continue; }
      uint32_t got = 0;
      while (got < count && at + got < size && owner_[at + got] == Owner::kFree) {
        owner_[at + got] = owner;
        contents[at + got] = kStale;
        ++got;
      }
      used_ += got;
      return BlockRun{FsBlock(at), got};
    }
    return Errc::kNoSpc;
  }
  Status give(FsBlock first, uint32_t count, Owner owner) {
    for (uint32_t i = 0; i < count; ++i) {
      if (first.value() + i >= owner_.size() || owner_[first.value() + i] != owner) { return Errc::kCorrupted; }
    }
    for (uint32_t i = 0; i < count; ++i) {
      owner_[first.value() + i] = Owner::kFree;
      contents[first.value() + i] = kStale;
    }
    used_ -= count;
    return ok_status();
  }

  ExtentTreeLimits limits_;
  std::vector<Owner> owner_;
  std::map<uint64_t, std::unique_ptr<Bytes>> nodes_;
  std::map<uint64_t, bool> writable_;
  uint64_t used_ = 0;
};

// Reads raw bytes, shares nothing with extent_node.cc but the layout.
class Judge {
 public:
  explicit Judge(FakeHost& host) : host_(host) {}

  struct Block {
    uint64_t physical;
    bool unwritten;
  };

  // Walks the tree; "" if it is sound and owns exactly the host's used blocks.
  std::string judge() {
    blocks.clear();
    extents.clear();
    nodes = 0;
    std::string what = walk(host_.root_bytes.data(), host_.limits().root_entries, half(host_.root_bytes.data(), 6), 0,
                            kLogicalEnd, true);
    depth = half(host_.root_bytes.data(), 6);
    if (what.empty() && nodes + blocks.size() != host_.used()) { what = "blocks leaked"; }
    return what;
  }

  std::map<uint32_t, Block> blocks;
  std::vector<ExtentRun> extents;
  uint64_t nodes = 0;
  unsigned depth = 0;

 private:
  static uint32_t half(const std::byte* bytes, size_t at) {
    return std::to_integer<uint32_t>(bytes[at]) | std::to_integer<uint32_t>(bytes[at + 1]) << 8;
  }
  static uint32_t word(const std::byte* bytes, size_t at) { return half(bytes, at) | half(bytes, at + 2) << 16; }

  std::string walk(const std::byte* bytes, unsigned max, unsigned level, uint64_t begin, uint64_t end, bool root) {
    const unsigned entries = half(bytes, 2);
    if (half(bytes, 0) != 0xF30A) { return "magic"; }
    if (half(bytes, 4) != max) { return "max"; }
    if (half(bytes, 6) != level) { return "depth"; }
    if (entries > max) { return "too many entries"; }
    if (entries == 0 && !(root && level == 0)) { return "empty node"; }
    if (!root) {
      if (crc32c(FakeHost::kSeed, bytes, 12 + 12 * max) != word(bytes, 12 + 12 * max)) { return "csum"; }
      if (word(bytes, 12) != begin) { return "key differs from index"; }
    }
    uint64_t next = begin;
    for (unsigned i = 0; i < entries; ++i) {
      const std::byte* entry = bytes + 12 + 12 * i;
      const uint64_t lblk = word(entry, 0);
      if (lblk < next) { return "order"; }
      const std::string what = level == 0 ? extent(entry, lblk, end, &next)
                                          : child(entry, lblk, i + 1 < entries ? word(entry, 12) : end, level, &next);
      if (!what.empty()) { return what; }
    }
    return "";
  }
  std::string child(const std::byte* entry, uint64_t lblk, uint64_t end, unsigned level, uint64_t* next) {
    const uint64_t block = word(entry, 4) | uint64_t{half(entry, 8)} << 32;
    if (host_.owner(block) != FakeHost::Owner::kNode) { return "node block not owned"; }
    ++nodes;
    *next = lblk + 1;
    return walk(host_.node_bytes(FsBlock(block)).data(), host_.limits().node_entries, level - 1, lblk, end, false);
  }
  std::string extent(const std::byte* entry, uint64_t lblk, uint64_t end, uint64_t* next) {
    uint32_t len = half(entry, 4);
    const bool unwritten = len > 32768;
    if (unwritten) { len -= 32768; }
    const uint64_t physical = word(entry, 8) | uint64_t{half(entry, 6)} << 32;
    if (len == 0 || lblk + len > end) { return "extent bounds"; }
    for (uint32_t i = 0; i < len; ++i) {
      if (host_.owner(physical + i) != FakeHost::Owner::kData) { return "data block not owned"; }
      blocks[static_cast<uint32_t>(lblk) + i] = {physical + i, unwritten};
    }
    extents.push_back({LogicalBlock(static_cast<uint32_t>(lblk)), len, FsBlock(physical), unwritten});
    *next = lblk + len;
    return "";
  }

  FakeHost& host_;
};

}  // namespace daxfs::ext4::testing
