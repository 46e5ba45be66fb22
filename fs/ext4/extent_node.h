// fs/ext4/extent_node.h - one node of an extent tree as bytes: header, entries, checksum. Pure.
//
// Layout (Linux Documentation/filesystems/ext4/ifork.rst): records of 12 bytes, format.h:
// ExtentHeader, then ExtentIndex or ExtentEntry. A node with depth 0 is a leaf. The root lives in
// the 60 bytes of i_block (4 entries, no checksum); other nodes fill a block (340 entries) and end
// in le32 crc32c, at the offset behind `max` records.
// Length: 1..32768 is written; above 32768 the extent is unwritten and 32768 is subtracted: so at
// most 32767 then.
//
// Kernel: struct ext4_extent_header / ext4_extent_idx / ext4_extent, __ext4_ext_check
//   (fs/ext4/extents.c).
// Locking: the caller serialises (i_data_sem).
// Tested by: fs/ext4/extent_node_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/format.h"

namespace daxfs::ext4 {

inline constexpr uint32_t kExtentRecordSize = sizeof(ExtentHeader);  // bytes: header, index and extent alike
inline constexpr uint32_t kExtentRootSize = 60;                      // bytes of i_block
inline constexpr uint16_t kExtentRootEntries = kExtentRootSize / kExtentRecordSize - 1;
inline constexpr uint16_t kExtentNodeEntries = kBlockSize / kExtentRecordSize - 1;
inline constexpr uint64_t kLogicalEnd = 0xFFFFFFFF;  // one past the last logical block of any file

static_assert(sizeof(ExtentIndex) == kExtentRecordSize && sizeof(ExtentEntry) == kExtentRecordSize);
static_assert(kExtentRootEntries == 4 && kExtentNodeEntries == 340);
static_assert(kExtentRecordSize * (kExtentNodeEntries + 1) + sizeof(ExtentTail) <= kBlockSize, "room for the tail");

constexpr uint32_t extent_length_max(bool unwritten) { return unwritten ? kExtentUnwrittenMax : kExtentInitMax; }

// A run of logical blocks on consecutive physical blocks, all written or all unwritten.
struct ExtentRun {
  LogicalBlock lblk;
  uint32_t len = 0;  // blocks
  FsBlock pblk;
  bool unwritten = false;

  // 64 bits, because a broken run may end past 2^32.
  uint64_t end() const { return uint64_t{lblk.value()} + len; }
  FsBlock block_of(LogicalBlock at) const { return pblk + (at - lblk); }
  bool contains(LogicalBlock at) const { return at >= lblk && at.value() < end(); }
  bool operator==(const ExtentRun&) const = default;
};

// Whether `right` continues `left` so that both fit one record.
constexpr bool extents_mergeable(const ExtentRun& left, const ExtentRun& right) {
  return left.unwritten == right.unwritten && left.end() == right.lblk.value() &&
         left.pblk.value() + left.len == right.pblk.value() &&
         left.len + right.len <= extent_length_max(left.unwritten);
}

struct ChildNode {
  LogicalBlock lblk;  // equals the first logical block of the node below
  FsBlock node;
};

// What a node may contain; every bound comes from outside the node.
struct ExtentNodeBounds {
  unsigned depth = 0;
  uint16_t entries_max = 0;  // that fit the node's bytes
  uint64_t lblk_begin = 0;   // logical blocks of the node lie in [begin, end)
  uint64_t lblk_end = kLogicalEnd;
  bool root = false;  // may be empty; its first entry need not be at lblk_begin
  FsBlock block_end;  // physical blocks are in [1, block_end)
};

// A borrowed view; does not know its own size, so it must have been checked before entries are
// read.
class ExtentNode {
 public:
  ExtentNode() = default;
  explicit ExtentNode(std::byte* bytes) : bytes_(bytes) {}

  std::byte* bytes() const { return bytes_; }
  uint16_t entries() const { return header().eh_entries; }
  uint16_t max() const { return header().eh_max; }
  uint16_t depth() const { return header().eh_depth; }
  bool is_leaf() const { return depth() == 0; }
  bool is_full() const { return entries() >= max(); }
  void set_entries(unsigned n) { header().eh_entries = static_cast<uint16_t>(n); }
  void set_depth(unsigned n) { header().eh_depth = static_cast<uint16_t>(n); }
  // Writes an empty header.
  void format(unsigned depth, uint16_t max_entries);

  // First logical block of entry `i`, leaf or index.
  LogicalBlock key(unsigned i) const { return LogicalBlock(at<ExtentEntry>(i).ee_block); }
  void set_key(unsigned i, LogicalBlock lblk) { at<ExtentEntry>(i).ee_block = lblk.value(); }

  ExtentRun extent(unsigned i) const;
  void set_extent(unsigned i, const ExtentRun& run);
  ChildNode child(unsigned i) const;
  void set_child(unsigned i, const ChildNode& child);

  // Moves entries up or down; the caller fills what insert opened. REQUIRES: room, and i <=
  // entries().
  void insert_gap(unsigned i);
  void erase(unsigned i, unsigned count = 1);
  // Moves entries [i, entries()) to the end of `other`. REQUIRES: room there.
  void move_tail(unsigned i, ExtentNode other);

  // The last entry whose key is <= lblk; -1 if there is none.
  int find(LogicalBlock lblk) const;

  // Checks everything that can be wrong inside one node; nullptr if nothing is, else what.
  const char* defect(const ExtentNodeBounds& bounds) const;

  // Checksum tail. REQUIRES: not the root, max() <= kExtentNodeEntries.
  uint32_t stored_csum() const { return reinterpret_cast<const ExtentTail*>(bytes_ + offset(max()))->et_checksum; }
  uint32_t compute_csum(uint32_t seed) const;
  void set_csum(uint32_t seed) {
    reinterpret_cast<ExtentTail*>(bytes_ + offset(max()))->et_checksum = compute_csum(seed);
  }
  // Any bytes: false as well if the header leaves no room for a tail.
  bool csum_ok(uint32_t seed) const { return max() <= kExtentNodeEntries && stored_csum() == compute_csum(seed); }

 private:
  static uint32_t offset(unsigned i) { return kExtentRecordSize * (i + 1); }
  ExtentHeader& header() const { return *reinterpret_cast<ExtentHeader*>(bytes_); }
  template <typename T>
  T& at(unsigned i) const {
    return *reinterpret_cast<T*>(bytes_ + offset(i));
  }

  std::byte* bytes_ = nullptr;
};

}  // namespace daxfs::ext4
