// fs/vfs/path.h - from a path to an inode, or to a directory and a last name.
//
// Kernel: link_path_walk, path_lookupat, path_parentat (fs/namei.c). There is one mount and one root; every relative
// path starts at the root. Callers are root: no permission checks.
// Errors: kNoEnt (missing, empty path), kNotDir, kLoop (more than 40 symlinks), kNameTooLong, kCorrupted, kIo. YIELDS.
// Tested by: fs/vfs/path_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fs/base/result.h"
#include "fs/ext4/inode_cache.h"
#include "fs/ext4/super.h"

namespace daxfs::vfs {

// What the last component of a path is.
enum class LastKind : uint8_t { kName, kDot, kDotDot, kRoot /* the path is "/" */ };

struct ParentOf {
  ext4::InodeRef dir;
  std::string last;  // kName only
  LastKind kind = LastKind::kRoot;
  bool trailing_slash = false;  // behind a name
};

// Walks all but the last component; symlinks on the way are followed.
Result<ParentOf> walk_parent(ext4::Volume& volume, std::string_view path, unsigned* symlinks_seen = nullptr,
                             ext4::Inode* start = nullptr);
// Walks everything.
Result<ext4::InodeRef> walk(ext4::Volume& volume, std::string_view path, bool follow_last = true);

}  // namespace daxfs::vfs
