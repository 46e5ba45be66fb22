// fs/ext4/namei.h - names: create, remove and move them.
//
// Kernel: ext4_create, ext4_mkdir, ext4_unlink, ext4_rmdir, ext4_link, ext4_symlink, ext4_rename2 (fs/ext4/namei.c)
// with the checks that fs/namei.c makes before it calls them. Order of checks: as observed on Linux 6.1.
// Locking: each call takes the i_rwsem of the directories it changes (exclusive; rename: both, ancestors first,
// under the volume's rename mutex when they differ) and of the inodes it unlinks or replaces. The caller holds none.
// Names are single components of 1..255 bytes, never "." or ".." (the path walk answers for those).
// Errors: errno values as of the system call; kRoFs on a read-only volume. All YIELD; all PERSIST at the handle's stop.
// Tested by: fs/ext4/namei_test.cc, props/differential_test.cc.
#pragma once

#include <string>
#include <string_view>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/ext4/inode_cache.h"

namespace daxfs::ext4 {

// kNoEnt when absent.
Result<InodeRef> lookup(Inode& dir, std::string_view name);

struct OpenedName {
  InodeRef inode;
  bool created = false;
};
// open(O_CREAT): the inode of that name, or a new regular file. With `exclusive` an existing name is kExist.
Result<OpenedName> lookup_or_create(Inode& dir, std::string_view name, uint16_t permissions, bool exclusive);

// open(O_TMPFILE): a regular file without a name, on the orphan list.
Result<InodeRef> create_unnamed(Inode& dir, uint16_t permissions);

Status mkdir(Inode& dir, std::string_view name, uint16_t permissions);
Status rmdir(Inode& dir, std::string_view name);
Status unlink(Inode& dir, std::string_view name);
Status link(Inode& target, Inode& dir, std::string_view name);
Status symlink(Inode& dir, std::string_view name, std::string_view target);
// REQUIRES: inode.is_symlink().
Result<std::string> readlink(Inode& inode);

struct RenameFlags {
  bool no_replace = false;
  bool exchange = false;
  bool whiteout = false;  // a character device 0:0 stays at the old name
};
// `*_slash`: the path ended in a slash, so the name must be a directory.
Status rename(Inode& old_dir, std::string_view old_name, Inode& new_dir, std::string_view new_name, RenameFlags flags,
              bool old_slash = false, bool new_slash = false);

}  // namespace daxfs::ext4
