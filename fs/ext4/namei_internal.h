// fs/ext4/namei_internal.h - steps that namei.cc and rename.cc share. All REQUIRE the inodes locked exclusively.
//
// Tested by: fs/ext4/namei_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/ext4/inode.h"
#include "fs/jbd2/handle.h"

namespace daxfs::ext4::internal {

inline constexpr unsigned kCredits = 32;         // blocks that one name operation may change
inline constexpr uint32_t kDirLinksMax = 65000;  // EXT4_LINK_MAX, for files as well

// May entries of `dir` change at all? kNoEnt for a removed directory, kPerm for an immutable one.
Status may_change(const Inode& dir);
// May `victim` lose its name in `dir`?
Status may_remove(const Inode& dir, const Inode& victim);
// A directory's link count follows its subdirectories.
void add_subdirectory(Inode& dir);
void drop_subdirectory(Inode& dir);
// Stamps mtime and ctime and writes the inode.
Status touch_directory(jbd2::Handle& handle, Inode& dir, TimeSpec now);
// One name less; an inode without names goes to the orphan list until its last user is gone.
Status drop_link(jbd2::Handle& handle, Inode& inode, TimeSpec now);

// A new inode that never got a name: gone with its last reference.
Status abandon(jbd2::Handle& handle, Inode& inode);

}  // namespace daxfs::ext4::internal
