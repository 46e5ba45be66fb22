// fs/ext4/inode_extent_host.cc - nodes from the buffer cache, blocks from the allocator, i_blocks.
#include "fs/ext4/inode_extent_host.h"

#include <algorithm>
#include <array>
#include <utility>

#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/ext4/balloc.h"
#include "fs/ext4/super.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

constexpr int64_t kBlockSectors = kBlockSize / kSectorSize;

// Context is the volume, argument the inode's seed.
Status verify_node_csum(void* context, uint64_t seed, FsBlock block, jbd2::ConstBlockBytes bytes) {
  if (!static_cast<const Volume*>(context)->geometry().metadata_csum()) { return ok_status(); }
  const ExtentNode node(const_cast<std::byte*>(bytes.data()));  // only read
  if (node.csum_ok(static_cast<uint32_t>(seed))) { return ok_status(); }
  return FS_CORRUPT("extent node %llu: bad checksum", static_cast<unsigned long long>(block.value()));
}

void set_node_csum(void* context, uint64_t seed, FsBlock /*block*/, jbd2::BlockBytes bytes) {
  ExtentNode node(bytes.data());
  // A block that was formatted as a node keeps a sane header; one that media aliased may not.
  if (static_cast<const Volume*>(context)->geometry().metadata_csum() && node.max() <= kExtentNodeEntries) {
    node.set_csum(static_cast<uint32_t>(seed));
  }
}

}  // namespace

InodeExtentHost::InodeExtentHost(Inode& inode, jbd2::Handle* handle, bool reserved)
    : inode_(inode), volume_(inode.volume()), handle_(handle), reserved_(reserved) {
  limits_.block_end = FsBlock(volume_.geometry().block_count);
}

void InodeExtentHost::check_root(BlockFormat wanted) const {
  FS_BUG_ON(inode_.block_format() != wanted, "BF1", about(inode_ref(inode_.ino())),
            "inode %u: code for %s comes to a file that has %s", inode_.ino().value(),
            wanted == BlockFormat::kExtents ? "extents" : "block maps",
            inode_.block_format() == BlockFormat::kExtents ? "extents" : "none");
}

ExtentNode InodeExtentHost::root() {
  check_root(BlockFormat::kExtents);
  return ExtentNode(const_cast<std::byte*>(std::as_const(inode_).i_block().data()));
}

std::byte* InodeExtentHost::map_root() {
  check_root(BlockFormat::kIndirect);
  return const_cast<std::byte*>(std::as_const(inode_).i_block().data());
}

void InodeExtentHost::root_changed() {
  (void)inode_.i_block();
  inode_changed_ = true;
}

Result<ExtentHost::NodePin> InodeExtentHost::read_node(FsBlock block) {
  const jbd2::Verifier verifier{&verify_node_csum, &volume_, inode_.csum_seed()};
  const bool summed = format() == BlockFormat::kExtents;
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, volume_.buffers().get(block, summed ? verifier : jbd2::Verifier{}));
  return pin(std::move(buffer), block);
}

Status InodeExtentHost::will_change(NodePin& pin) {
  FS_ASSIGN_OR_RETURN(const jbd2::WriteAccess access, handle_->get_write_access(*pin.buffer));
  pin.node = ExtentNode(access.bytes().data());
  return ok_status();
}

Status InodeExtentHost::changed(NodePin& pin) {
  if (format() == BlockFormat::kIndirect) { return handle_->dirty_metadata(*pin.buffer); }
  return handle_->dirty_metadata(*pin.buffer, {&set_node_csum, &volume_, inode_.csum_seed()});
}

Result<ExtentHost::NodePin> InodeExtentHost::allocate_node(FsBlock goal) {
  const AllocationRequest request{.goal = goal, .count_wanted = 1, .flags = kAllocMetadata | kAllocUseReserved};
  FS_ASSIGN_OR_RETURN(const auto run, allocate_blocks(volume_, *handle_, request));
  Result<NodePin> pinned = pin_new(run.first);
  if (!pinned.ok()) {
    free_blocks(volume_, *handle_, run.first, 1).ignore_error("the first error is the cause");
    return pinned;
  }
  count(1);
  if (nodes_ != nullptr) { nodes_->push_back(run.first); }
  return pinned;
}

Status InodeExtentHost::free_node(FsBlock block) {
  if (nodes_ != nullptr) { std::erase(*nodes_, block); }
  handle_->forget(block);
  FS_RETURN_IF_ERROR(free_blocks(volume_, *handle_, block, 1));
  return uncount(1);
}

bool InodeExtentHost::block_valid(FsBlock first, uint32_t count) const {
  return volume_.valid_data_blocks(first, count);
}

Result<BlockRun> InodeExtentHost::allocate_data(FsBlock goal, uint32_t wanted, bool align_pmd) {
  const AllocationRequest request{.goal = goal,
                                  .count_wanted = wanted,
                                  .flags = (align_pmd ? kAllocAlignPmd : 0) | (reserved_ ? kAllocUseReserved : 0)};
  FS_ASSIGN_OR_RETURN(const auto run, allocate_blocks(volume_, *handle_, request));
  count(run.count);
  return BlockRun{.first = run.first, .count = run.count};
}

Status InodeExtentHost::free_data(FsBlock first, uint32_t blocks) {
  FS_RETURN_IF_ERROR(free_blocks(volume_, *handle_, first, blocks));
  return uncount(blocks);
}

Status InodeExtentHost::zero_data(FsBlock first, uint32_t blocks) {
  static constexpr std::array<std::byte, kBlockSize> kZeros{};
  pmem::Device& device = volume_.device();
  const uint64_t offset = first.value() * kBlockSize;
  const uint64_t size = blocks * kBlockSize;
  if (device.poisoned(offset, size)) {
    for (uint64_t at = offset; at < offset + size; at += kBlockSize) {
      FS_RETURN_IF_ERROR(device.store_clearing_poison(at, kZeros));
    }
  } else {
    FS_RETURN_IF_ERROR(device.zero(offset, size));
  }
  device.fence();
  return ok_status();
}

// Bug kCacheDuringSplit (8b4b19a2f963): every search of the tree went to the cache.
void InodeExtentHost::searched_in_split(LogicalBlock lblk, uint64_t end) {
  if (historical(Bug::kCacheDuringSplit)) {
    inode_.extent_status.insert({.lblk = lblk, .end = end, .pblk = FsBlock(0), .state = ExtentStatus::State::kHole});
  }
}

void InodeExtentHost::became_written(LogicalBlock first, uint32_t len, FsBlock pblk) {
  FS_TRACE_WRITE(extent_ref(inode_.ino(), first.value(), len), extent_value(pblk, /*unwritten=*/true),
                 extent_value(pblk, /*unwritten=*/false));
}

uint32_t InodeExtentHost::huge_blocks() const { return volume_.huge_blocks(); }
FsBlock InodeExtentHost::home_goal() const { return default_goal(volume_, inode_.ino()); }
uint64_t InodeExtentHost::eof_block() const { return div_round_up(inode_.i_disksize(), kBlockSize); }

Status InodeExtentHost::finish(Status outcome) {
  if (!inode_changed_) { return outcome; }
  const Status written = inode_.mark_data_dirty(*handle_);
  return outcome.ok() ? written : outcome;
}

void InodeExtentHost::count(int64_t blocks) {
  inode_.add_sectors(blocks * kBlockSectors);
  inode_changed_ = true;
}

// Blocks that were freed. A medium may say that the file had fewer; they are gone all the same, as in the kernel.
Status InodeExtentHost::uncount(uint32_t blocks) {
  const uint64_t counted = inode_.sectors() / static_cast<uint64_t>(kBlockSectors);
  if (counted < blocks) {
    static_cast<void>(FS_CORRUPT("inode %u: i_blocks counts %llu blocks, %u are freed", inode_.ino().value(),
                                 static_cast<unsigned long long>(counted), blocks));
  }
  count(-static_cast<int64_t>(std::min<uint64_t>(blocks, counted)));
  return ok_status();
}

ExtentHost::NodePin InodeExtentHost::pin(jbd2::BufferRef buffer, FsBlock block) {
  NodePin pin;
  pin.node = ExtentNode(const_cast<std::byte*>(buffer->data().data()));  // changed only through will_change
  pin.block = block;
  pin.buffer = std::move(buffer);
  return pin;
}

Result<ExtentHost::NodePin> InodeExtentHost::pin_new(FsBlock block) {
  FS_ASSIGN_OR_RETURN(jbd2::BufferRef buffer, volume_.buffers().get_new(block));
  NodePin fresh = pin(std::move(buffer), block);
  FS_RETURN_IF_ERROR(will_change(fresh));
  return fresh;
}

}  // namespace daxfs::ext4
