// fs/ext4/file_map.h - looking at a file's blocks: SEEK_DATA, SEEK_HOLE, fiemap.
//
// Kernel: fs/ext4/file.c (ext4_llseek), fs/iomap/seek.c (iomap_seek_hole, iomap_seek_data),
// fs/iomap/fiemap.c,
//   mm/filemap.c (mapping_seek_hole_data: why a DAX page that was ever faulted in counts as data).
// Locking: seeks take i_rwsem shared; fiemap takes it shared too.
// Tested by: fs/ext4/file_map_test.cc.
#pragma once

#include <cstdint>

#include "fs/base/result.h"
#include "fs/base/types.h"

namespace daxfs::ext4 {

class Inode;

// The next offset >= `offset` that holds data (a hole). Errors: kNxio if offset >= size, or no data
// follows. YIELDS.
Result<uint64_t> seek_data(Inode& inode, uint64_t offset);
Result<uint64_t> seek_hole(Inode& inode, uint64_t offset);

// One extent as fiemap reports it; offsets and length in bytes.
struct FiemapExtent {
  uint64_t logical = 0;
  uint64_t physical = 0;
  uint64_t length = 0;
  bool unwritten = false;
  bool last = false;  // the last of the range that was asked for
};

class FiemapVisitor {
 public:
  // False ends the walk.
  virtual bool visit(const FiemapExtent& extent) = 0;

 protected:
  ~FiemapVisitor() = default;
};

// Visits the mapped and unwritten extents that meet [start, start + length). YIELDS.
Status fiemap(Inode& inode, uint64_t start, uint64_t length, FiemapVisitor& visitor);

}  // namespace daxfs::ext4
