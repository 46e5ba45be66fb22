// fs/ext4/dir.h - a directory's entries: find, add, remove, replace, iterate.
//
// Kernel: ext4_find_entry, ext4_add_entry, ext4_delete_entry, ext4_readdir (fs/ext4/namei.c, dir.c). Linear only: an
// htree directory is read as the list of blocks that it also is; before the first write its index flag is cleared and
// its index blocks become empty linear blocks, as the format permits.
// Locking: REQUIRES the directory's i_rwsem, exclusive for functions that take a Handle. All YIELD.
// Errors: kCorrupted for media that is not a directory's, kIo, kNoSpc.
// Invariants: DI1 a block that was added for a name has room for it.
// Tested by: fs/ext4/dir_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/dir_block.h"
#include "fs/ext4/inode.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4 {

// Where an entry is, valid while the directory stays locked.
struct DirSlot {
  Ino ino;
  uint8_t file_type = 0;
  LogicalBlock block;
  uint32_t offset = 0;  // in the block
};

// kNameTooLong for a name that no entry can have.
Result<std::optional<DirSlot>> dir_find(Inode& dir, std::string_view name);

// REQUIRES: no entry of that name. Grows the directory by a block when none has room.
Status dir_add(jbd2::Handle& handle, Inode& dir, std::string_view name, Ino ino, FileType type);
Status dir_remove(jbd2::Handle& handle, Inode& dir, const DirSlot& slot);
Status dir_replace(jbd2::Handle& handle, Inode& dir, const DirSlot& slot, Ino ino, FileType type);

// Writes "." and ".." into a new directory (allocates its first block, sets its size).
Status dir_init(jbd2::Handle& handle, Inode& dir, Ino parent);
Result<Ino> dir_parent(Inode& dir);
Status dir_set_parent(jbd2::Handle& handle, Inode& dir, Ino parent);
Result<bool> dir_is_empty(Inode& dir);

struct DirEntry {
  std::string name;
  Ino ino;
  uint8_t file_type = 0;
  uint64_t next_position = 0;  // pass to dir_next to get the entry after this one
};

// The first entry at or after `position` (0 at first; positions are byte offsets and stay meaningful while entries
// come and go); nullopt at the end.
Result<std::optional<DirEntry>> dir_next(Inode& dir, uint64_t position);

}  // namespace daxfs::ext4
