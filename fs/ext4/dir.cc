#include "fs/ext4/dir.h"

#include <cstring>

#include "fs/base/report.h"
#include "fs/ext4/extents.h"
#include "fs/ext4/super.h"

namespace daxfs::ext4 {
namespace {

// A directory larger than this is not one we grow: 2^20 blocks is far beyond what the linear format can use well, and
// bounds the work that a hostile i_size can ask for.
constexpr uint32_t kDirBlocksMax = 1u << 20;

bool has_csum(Inode& dir) { return dir.volume().geometry().metadata_csum(); }

uint32_t dir_blocks(Inode& dir) {
  const uint64_t blocks = div_round_up(dir.i_size(), kBlockSize);
  return static_cast<uint32_t>(blocks < kDirBlocksMax ? blocks : kDirBlocksMax);
}

// Checks a directory block when it comes from the device; `argument` packs what the check needs to know.
struct VerifyContext {
  uint32_t seed;
  bool first_block;
  bool indexed;
};

Status verify_dir_block(void* context, uint64_t /*argument*/, FsBlock block, jbd2::ConstBlockBytes bytes) {
  const auto& check = *static_cast<VerifyContext*>(context);
  const DirBlockView view(bytes, true);
  if (!view.csum_ok(check.seed, view.kind(check.first_block, check.indexed))) {
    return FS_CORRUPT("directory block %llu: bad checksum", static_cast<unsigned long long>(block.value()));
  }
  return ok_status();
}

void set_dir_csum(void* /*context*/, uint64_t seed, FsBlock /*block*/, jbd2::BlockBytes bytes) {
  dir_block_set_csum(bytes, static_cast<uint32_t>(seed));
}

Result<jbd2::BufferRef> dir_buffer(Inode& dir, LogicalBlock block) {
  MapRequest request;
  request.lblk = block;
  request.len = 1;
  FS_ASSIGN_OR_RETURN(const MapResult mapped, map_blocks(nullptr, dir, request));
  if (mapped.state != BlockState::kWritten) {
    return FS_CORRUPT("directory inode %u: block %u is a hole", dir.ino().value(), block.value());
  }
  VerifyContext context{dir.csum_seed(), block == LogicalBlock(0), (dir.flags() & kFlagIndex) != 0};
  jbd2::Verifier verifier;
  if (has_csum(dir)) {
    verifier.function = verify_dir_block;
    verifier.context = &context;
  }
  return dir.volume().buffers().get(mapped.pblk, verifier);
}

Status finish_block(jbd2::Handle& handle, Inode& dir, jbd2::Buffer& buffer) {
  if (!has_csum(dir)) { return handle.dirty_metadata(buffer); }
  return handle.dirty_metadata(buffer, {.function = set_dir_csum, .context = nullptr, .argument = dir.csum_seed()});
}

// An htree directory becomes a linear one before its first change: the format permits that, and the index would be
// wrong afterwards.
Status make_linear(jbd2::Handle& handle, Inode& dir) {
  if ((dir.flags() & kFlagIndex) == 0) { return ok_status(); }
  for (uint32_t i = 0; i < dir_blocks(dir); ++i) {
    FS_ASSIGN_OR_RETURN(const auto buffer, dir_buffer(dir, LogicalBlock(i)));
    const DirBlockView view(buffer->data(), has_csum(dir));
    const DirBlockKind kind = view.kind(i == 0, true);
    if (kind == DirBlockKind::kLinear) { continue; }
    FS_ASSIGN_OR_RETURN(auto access, handle.get_write_access(*buffer));
    dir_block_make_linear(access.bytes(), has_csum(dir), kind);
    FS_RETURN_IF_ERROR(finish_block(handle, dir, *buffer));
  }
  dir.set_flags(dir.flags() & ~kFlagIndex);
  return dir.mark_dirty(handle);
}

Status append_block(jbd2::Handle& handle, Inode& dir, std::string_view name, Ino ino, FileType type) {
  const uint32_t block = dir_blocks(dir);
  if (block >= kDirBlocksMax) { return Errc::kNoSpc; }
  MapRequest request;
  request.lblk = LogicalBlock(block);
  request.len = 1;
  request.flags = MapRequest::kCreate;
  FS_ASSIGN_OR_RETURN(const MapResult mapped, map_blocks(&handle, dir, request));
  FS_ASSIGN_OR_RETURN(const auto buffer, dir.volume().buffers().get_new(mapped.pblk));
  FS_ASSIGN_OR_RETURN(auto access, handle.get_write_access(*buffer));
  dir_block_format(access.bytes(), has_csum(dir));
  FS_ASSIGN_OR_RETURN(const bool inserted, dir_block_insert(access.bytes(), has_csum(dir), name, ino, type));
  FS_BUG_ON(!inserted, "DI1", "a fresh directory block has no room for a name of %zu bytes", name.size());
  FS_RETURN_IF_ERROR(finish_block(handle, dir, *buffer));
  const uint64_t size = (static_cast<uint64_t>(block) + 1) * kBlockSize;
  dir.set_i_size(size);
  dir.set_i_disksize(size);
  return dir.mark_dirty(handle);
}

}  // namespace

Result<std::optional<DirSlot>> dir_find(Inode& dir, std::string_view name) {
  if (name.size() > kNameMax) { return Errc::kNameTooLong; }
  for (uint32_t i = 0; i < dir_blocks(dir); ++i) {
    FS_ASSIGN_OR_RETURN(const auto buffer, dir_buffer(dir, LogicalBlock(i)));
    FS_ASSIGN_OR_RETURN(const auto record, DirBlockView(buffer->data(), has_csum(dir)).find(name));
    if (record) {
      return std::optional<DirSlot>(DirSlot{record->ino, record->file_type, LogicalBlock(i), record->offset});
    }
  }
  return std::optional<DirSlot>();
}

Status dir_add(jbd2::Handle& handle, Inode& dir, std::string_view name, Ino ino, FileType type) {
  FS_RETURN_IF_ERROR(make_linear(handle, dir));
  for (uint32_t i = 0; i < dir_blocks(dir); ++i) {
    FS_ASSIGN_OR_RETURN(const auto buffer, dir_buffer(dir, LogicalBlock(i)));
    FS_ASSIGN_OR_RETURN(auto access, handle.get_write_access(*buffer));
    FS_ASSIGN_OR_RETURN(const bool inserted, dir_block_insert(access.bytes(), has_csum(dir), name, ino, type));
    if (inserted) { return finish_block(handle, dir, *buffer); }
  }
  return append_block(handle, dir, name, ino, type);
}

Status dir_remove(jbd2::Handle& handle, Inode& dir, const DirSlot& slot) {
  FS_RETURN_IF_ERROR(make_linear(handle, dir));
  FS_ASSIGN_OR_RETURN(const auto buffer, dir_buffer(dir, slot.block));
  FS_ASSIGN_OR_RETURN(auto access, handle.get_write_access(*buffer));
  FS_RETURN_IF_ERROR(dir_block_remove(access.bytes(), has_csum(dir), slot.offset));
  return finish_block(handle, dir, *buffer);
}

Status dir_replace(jbd2::Handle& handle, Inode& dir, const DirSlot& slot, Ino ino, FileType type) {
  FS_RETURN_IF_ERROR(make_linear(handle, dir));
  FS_ASSIGN_OR_RETURN(const auto buffer, dir_buffer(dir, slot.block));
  FS_ASSIGN_OR_RETURN(auto access, handle.get_write_access(*buffer));
  dir_block_set(access.bytes(), slot.offset, ino, type);
  return finish_block(handle, dir, *buffer);
}

Status dir_init(jbd2::Handle& handle, Inode& dir, Ino parent) {
  MapRequest request;
  request.lblk = LogicalBlock(0);
  request.len = 1;
  request.flags = MapRequest::kCreate;
  FS_ASSIGN_OR_RETURN(const MapResult mapped, map_blocks(&handle, dir, request));
  FS_ASSIGN_OR_RETURN(const auto buffer, dir.volume().buffers().get_new(mapped.pblk));
  FS_ASSIGN_OR_RETURN(auto access, handle.get_write_access(*buffer));
  dir_block_format_first(access.bytes(), dir.ino(), parent, has_csum(dir));
  FS_RETURN_IF_ERROR(finish_block(handle, dir, *buffer));
  dir.set_i_size(kBlockSize);
  dir.set_i_disksize(kBlockSize);
  return dir.mark_dirty(handle);
}

Result<Ino> dir_parent(Inode& dir) {
  FS_ASSIGN_OR_RETURN(const auto slot, dir_find(dir, ".."));
  if (!slot) { return FS_CORRUPT("directory inode %u has no '..'", dir.ino().value()); }
  return slot->ino;
}

Status dir_set_parent(jbd2::Handle& handle, Inode& dir, Ino parent) {
  FS_ASSIGN_OR_RETURN(const auto slot, dir_find(dir, ".."));
  if (!slot) { return FS_CORRUPT("directory inode %u has no '..'", dir.ino().value()); }
  return dir_replace(handle, dir, *slot, parent, FileType::kDirectory);
}

Result<bool> dir_is_empty(Inode& dir) {
  for (uint64_t position = 0;;) {
    FS_ASSIGN_OR_RETURN(const auto entry, dir_next(dir, position));
    if (!entry) { return true; }
    if (entry->name != "." && entry->name != "..") { return false; }
    position = entry->next_position;
  }
}

Result<std::optional<DirEntry>> dir_next(Inode& dir, uint64_t position) {
  for (uint64_t block = position / kBlockSize; block < dir_blocks(dir); ++block) {
    FS_ASSIGN_OR_RETURN(const auto buffer, dir_buffer(dir, LogicalBlock(static_cast<uint32_t>(block))));
    const DirBlockView view(buffer->data(), has_csum(dir));
    // Walk from the start of the block: `position` may point into a record that was merged meanwhile.
    for (uint32_t offset = 0;;) {
      FS_ASSIGN_OR_RETURN(const auto record, view.record_at(offset));
      if (!record) { break; }
      offset += record->rec_len;
      if (record->ino.value() == 0 || block * kBlockSize + record->offset < position) { continue; }
      return std::optional<DirEntry>(
          DirEntry{std::string(record->name), record->ino, record->file_type, block * kBlockSize + offset});
    }
  }
  return std::optional<DirEntry>();
}

}  // namespace daxfs::ext4
