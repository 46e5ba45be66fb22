// fs/check/media_tree.h - lists what an image holds, by the checker's own reader: paths, inodes, extents, contents.
//
// For tests, tools and oracles that must not believe the filesystem they test.
// Locking: none; a reader serves one caller at a time and borrows the image.
// REQUIRES nothing of the bytes: a bad image is listed as far as it can be read, never a crash or an endless walk.
// Tested by: media_tree_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace daxfs::check {

struct TreeExtent {
  uint32_t logical = 0;  // blocks of 4 KiB
  uint32_t length = 0;
  bool unwritten = false;
  uint64_t physical = 0;
};

struct TreeInode {
  uint32_t ino = 0;
  uint16_t mode = 0;  // type and permissions
  uint32_t links = 0;
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;
  uint64_t i_blocks = 0;  // 512-byte units
  uint32_t flags = 0, generation = 0;
  uint32_t mtime = 0, ctime = 0;
  bool fine_times = false;  // the inode has room for parts of seconds
  uint32_t mtime_ns = 0, ctime_ns = 0;
  uint64_t attribute_block = 0;

  bool is_directory() const { return (mode & 0xf000) == 0x4000; }
  bool is_regular() const { return (mode & 0xf000) == 0x8000; }
  bool is_symlink() const { return (mode & 0xf000) == 0xa000; }
};

// What the group descriptors and the superblock say of free room.
struct TreeSpace {
  uint64_t blocks_free = 0;
  uint64_t inodes_free = 0;
  uint64_t blocks = 0;
  uint64_t blocks_reserved = 0;  // for root
};

struct TreeEntry {
  std::string_view path;  // "/", "/dir/name"; valid during the visit
  const TreeInode& inode;
  std::span<const TreeExtent> extents;  // by logical block; adjacent extents are not merged
};

class TreeVisitor {
 public:
  virtual ~TreeVisitor() = default;
  virtual void visit(const TreeEntry& entry) = 0;
};

class ImageReader {
 public:
  explicit ImageReader(std::span<const std::byte> image);
  ~ImageReader();
  ImageReader(const ImageReader&) = delete;
  ImageReader& operator=(const ImageReader&) = delete;

  // False when superblock or group descriptors could not be read: then nothing else can be.
  bool valid() const { return valid_; }
  uint32_t inodes() const;
  TreeSpace space() const;
  // RETURNS: false for a number outside the inode table.
  bool inode(uint32_t ino, TreeInode& out) const;
  // Replaces `out` by the extents of an inode, `nodes` (if given) by the blocks that hold its tree.
  // RETURNS: false when the mapping is malformed; what could be read is in `out`.
  bool extents(uint32_t ino, std::vector<TreeExtent>& out, std::vector<uint64_t>* nodes = nullptr) const;
  // Bytes of a file from `offset` on; holes and unwritten extents read as zeros. RETURNS: bytes read, less at the end.
  size_t read(const TreeInode& inode, std::span<const TreeExtent> extents, uint64_t offset,
              std::span<std::byte> out) const;
  // The target of a symlink, fast or slow.
  std::string target(const TreeInode& inode) const;
  // Resolves an absolute path without following symlinks. RETURNS: 0 when there is no such path.
  uint32_t lookup(std::string_view path) const;

  // Visits every path below the root, the root first, directories before what they hold, entries in the order they
  // lie on media. A file with several links is visited once for each. RETURNS: false when something was malformed.
  bool walk(TreeVisitor& visitor) const;

 private:
  struct Impl;
  bool for_each_name(uint32_t dir, const std::vector<TreeExtent>& extents, auto&& f) const;
  std::unique_ptr<Impl> impl_;
  bool valid_ = false;
};

bool walk_tree(std::span<const std::byte> image, TreeVisitor& visitor);

}  // namespace daxfs::check
