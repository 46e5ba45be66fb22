// fs/ext4/indirect.h - the block map of a file without extents: find, insert, remove.
//
// Layout (Linux Documentation/filesystems/ext4/blockmap.rst): i_block is 15 little-endian block numbers of 32 bits. 12
// are those of the first data blocks; one is of a block with the numbers of 1024 data blocks, one of a block with the
// numbers of 1024 such blocks, one of a level more. 0 is a hole. There are no checksums and no unwritten blocks.
//
// Kernel: ext4_ind_map_blocks, ext4_get_branch, ext4_ind_remove_space (fs/ext4/indirect.c).
// Locking: the caller's i_data_sem: for read to look, exclusive to change.
// Invariants (of what we write; media gives kCorrupted):
//   IM1  a block is inserted where there is none.
// Not covered: what one walk of a map may meet is bounded by the blocks of the device, so that no loop on the medium is
//   followed for ever; that no block is named twice is e2fsck's to say.
// Tested by: fs/ext4/indirect_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fs/ext4/block_run.h"
#include "fs/ext4/block_tree.h"
#include "fs/ext4/extent_host.h"

namespace daxfs::ext4 {

inline constexpr uint32_t kDirectBlocks = 12;                             // in i_block
inline constexpr uint32_t kMapNodeSlots = kBlockSize / sizeof(uint32_t);  // numbers in an indirect block
inline constexpr unsigned kMapDepthMax = 3;

// One past the last byte that a file without extents can have. Kernel: ext4_max_bitmap_size.
uint64_t block_map_max_bytes(bool huge_file);

class IndirectMap final : public BlockTree {
 public:
  explicit IndirectMap(ExtentHost& host) : host_(host) {}

  Result<Lookup> lookup(LogicalBlock lblk) override;
  Result<std::optional<ExtentRun>> next_extent(LogicalBlock from) override;
  uint32_t insert_max(LogicalBlock lblk) const override;
  // On kNoSpc nothing changed.
  Status insert(const ExtentRun& run) override;
  Status remove_range(LogicalBlock first, LogicalBlock end) override;
  Result<uint64_t> check() override;

  // The blocks that hold the map: for who frees them and keeps the data.
  Result<std::vector<FsBlock>> nodes();

 private:
  using NodePin = ExtentHost::NodePin;
  struct Path;
  struct Removal;

  Status walk(LogicalBlock lblk, Path* path);
  Status check_number(uint32_t number) const;
  ExtentRun run_at(const Path& path) const;
  Status remove_data(NodePin* pin, std::byte* numbers, uint64_t base, uint32_t slots, const Removal& removal);
  Result<bool> remove_below(uint32_t number, unsigned depth, uint64_t base, Removal* removal);
  Status list_below(uint32_t number, unsigned depth, uint64_t* budget, std::vector<FsBlock>* nodes);
  Status list_number(uint32_t number, unsigned depth, uint64_t* budget, std::vector<FsBlock>* nodes);

  ExtentHost& host_;
};

}  // namespace daxfs::ext4
