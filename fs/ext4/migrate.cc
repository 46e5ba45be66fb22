// fs/ext4/migrate.cc - the same data blocks under another root.
#include "fs/ext4/migrate.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "fs/ext4/extents.h"
#include "fs/ext4/file_internal.h"
#include "fs/ext4/file_pages.h"
#include "fs/ext4/inode_extent_host.h"
#include "fs/ext4/super.h"
#include "fs/rt/trace.h"

namespace daxfs::ext4 {

namespace {

Result<std::vector<ExtentRun>> all_runs(InodeExtentHost& host) {
  IndirectMap map(host);
  std::vector<ExtentRun> runs;
  for (uint64_t at = 0; at < kLogicalEnd;) {
    FS_ASSIGN_OR_RETURN(const auto run, map.next_extent(LogicalBlock(static_cast<uint32_t>(at))));
    if (!run.has_value()) { break; }
    runs.push_back(*run);
    at = run->end();
    if (runs.size() > host.limits().block_end.value()) {
      return FS_CORRUPT("block map: more runs than the device has blocks");
    }
  }
  return runs;
}

// REQUIRES: i_data_sem exclusive.
Status change_to_extents(Inode& inode, jbd2::Handle& handle) {
  InodeExtentHost host(inode, &handle);
  FS_ASSIGN_OR_RETURN(const std::vector<ExtentRun> runs, all_runs(host));
  FS_ASSIGN_OR_RETURN(const std::vector<FsBlock> old_nodes, IndirectMap(host).nodes());
  const Inode::RootBytes old_root = std::as_const(inode).i_block();
  std::vector<FsBlock> new_nodes;
  host.note_nodes(&new_nodes);
  format_extent_root(inode.i_block());
  inode.set_block_format(BlockFormat::kExtents);
  Status status;
  for (const ExtentRun& run : runs) {
    status = ExtentTree(host).insert(run);
    if (!status.ok()) { break; }
  }
  if (!status.ok()) {
    inode.i_block() = old_root;
    inode.set_block_format(BlockFormat::kIndirect);
  }
  host.root_changed();
  // Whichever of the trees is not used any more; the blocks of data belong to the other one.
  host.note_nodes(nullptr);
  for (const FsBlock node : status.ok() ? old_nodes : new_nodes) {
    const Status freed = host.free_node(node);
    if (status.ok()) { status = freed; }
  }
  return host.finish(status);
}

// What fits i_block: nothing, or one written run of direct blocks. Nothing is said of the rest. Kernel: the tests of
// ext4_ind_migrate.
Result<std::optional<ExtentRun>> direct_run(InodeExtentHost& host) {
  FS_ASSIGN_OR_RETURN(const auto run, ExtentTree(host).next_extent(LogicalBlock(0)));
  const ExtentNode root = host.root();
  if (root.depth() != 0 || root.entries() > 1) { return Errc::kOpNotSupp; }
  if (!run.has_value()) { return run; }
  const bool named = run->end() <= kDirectBlocks && run->pblk.value() + run->len <= UINT32_MAX;
  return run->unwritten || !named ? Result<std::optional<ExtentRun>>(Errc::kOpNotSupp) : run;
}

Status change_to_block_map(Inode& inode, jbd2::Handle& handle) {
  // A size that no map can have: 6.1 does not ask, and e2fsck objects to what it leaves.
  const uint64_t max_bytes = block_map_max_bytes(inode.volume().geometry().huge_file());
  if (std::max(inode.i_size(), inode.i_disksize()) > max_bytes) { return Errc::kOpNotSupp; }
  InodeExtentHost host(inode, &handle);
  FS_ASSIGN_OR_RETURN(const auto run, direct_run(host));
  Inode::RootBytes root{};
  for (uint32_t i = 0; run.has_value() && i < run->len; ++i) {
    const auto number = static_cast<uint32_t>(run->pblk.value() + i);
    std::memcpy(root.data() + (run->lblk.value() + i) * sizeof(number), &number, sizeof(number));
  }
  inode.i_block() = root;
  inode.set_block_format(BlockFormat::kIndirect);
  host.root_changed();
  return host.finish(ok_status());
}

template <typename F>
Status migrate(Inode& inode, F&& change) {
  return internal::with_handle(inode, [&](jbd2::Handle& handle) -> Status {
    const rt::WriteLock data(inode.i_data_sem);
    inode.extent_status.clear();
    return change(inode, handle);
  });
}

}  // namespace

Status migrate_to_extents(Inode& inode) {
  FS_TRACE_SCOPE("ext4_ext_migrate", inode_ref(inode.ino()));
  if (!inode.volume().geometry().extents() || inode.block_format() != BlockFormat::kIndirect) { return Errc::kInval; }
  return migrate(inode, change_to_extents);
}

Status migrate_to_block_map(Inode& inode) {
  FS_TRACE_SCOPE("ext4_ind_migrate", inode_ref(inode.ino()));
  if (!inode.volume().geometry().extents() || inode.block_format() != BlockFormat::kExtents) { return Errc::kInval; }
  // What has no block yet gets one, so that the tree tells all; dirty pages over unwritten blocks stay as they are.
  // Kernel: ext4_alloc_da_blocks.
  if (inode.delayed_blocks() != 0) {
    flush_file_range(inode, 0, ~uint64_t{0}).ignore_error("the next fsync reports it");
  }
  return migrate(inode, change_to_block_map);
}

}  // namespace daxfs::ext4
