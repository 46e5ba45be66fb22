// fs/ext4/inode_extent_host.h - the world of a real file's blocks: its inode, the journal, the volume's allocator.
//
// Kernel: none (there the code of either format calls them by name).
// Locking: one call's view. REQUIRES: i_data_sem while it lives, exclusive if there is a handle.
// Errors: as the calls of extent_host.h say.
// Tested by: fs/ext4/extents_image_test.cc, fs/ext4/indirect_test.cc.
#pragma once

#include <vector>

#include "fs/ext4/extent_host.h"
#include "fs/ext4/inode.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4 {

class InodeExtentHost final : public ExtentHost {
 public:
  // `reserved`: data blocks have been promised, and may come from what is kept back.
  InodeExtentHost(Inode& inode, jbd2::Handle* handle, bool reserved = false);

  const ExtentTreeLimits& limits() const override { return limits_; }
  BlockFormat format() const override { return inode_.block_format(); }
  ObjectRef traced_format() const override { return block_format_ref(inode_.ino()); }
  // To look at; a change is announced by root_changed (fs/rt/shared.h).
  ExtentNode root() override;
  std::byte* map_root() override;
  void root_changed() override;

  Result<NodePin> read_node(FsBlock block) override;
  Status will_change(NodePin& pin) override;
  Status changed(NodePin& pin) override;
  Result<NodePin> allocate_node(FsBlock goal) override;
  Status free_node(FsBlock block) override;
  bool block_valid(FsBlock first, uint32_t count) const override;

  Result<BlockRun> allocate_data(FsBlock goal, uint32_t wanted, bool align_pmd) override;
  Status free_data(FsBlock first, uint32_t blocks) override;
  Status zero_data(FsBlock first, uint32_t blocks) override;
  void searched_in_split(LogicalBlock lblk, uint64_t end) override;
  void became_written(LogicalBlock first, uint32_t len, FsBlock pblk) override;
  uint32_t huge_blocks() const override;
  FsBlock home_goal() const override;
  uint64_t eof_block() const override;

  // From now on what allocate_node gave and free_node did not take back is noted there.
  void note_nodes(std::vector<FsBlock>* nodes) { nodes_ = nodes; }
  // Writes the inode if its root or its block count changed, whatever became of the change itself.
  Status finish(Status outcome);

 private:
  void check_root(BlockFormat wanted) const;
  void count(int64_t blocks);
  Status uncount(uint32_t blocks);
  static NodePin pin(jbd2::BufferRef buffer, FsBlock block);
  Result<NodePin> pin_new(FsBlock block);

  Inode& inode_;
  Volume& volume_;
  jbd2::Handle* const handle_;
  const bool reserved_;
  ExtentTreeLimits limits_;
  std::vector<FsBlock>* nodes_ = nullptr;
  bool inode_changed_ = false;
};

}  // namespace daxfs::ext4
