// fs/check/media_test_image.h - for tests of the image checker: images by mke2fs and debugfs, verdicts by e2fsck, and
// checksums made right again after a corruption, so that the deeper check is what fires.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fs/check/media_format.h"

namespace daxfs::check::test {

using Image = std::vector<std::byte>;

struct Shape {
  const char* name;
  unsigned blocks;      // of 4 KiB
  const char* options;  // of mke2fs
};

// A fresh image; made once per shape and process.
const Image& fresh_image(const Shape& shape);
// The image after a debugfs script (one command a line). Aborts the test when a tool is missing.
Image with_script(const Image& image, const std::string& script);
// An image with files of all types, attributes, links, a deep extent tree, sparse and preallocated files.
const Image& populated_image(const Shape& shape);
// Adds a directory of `files` names, of `name_bytes` characters at least, that e2fsck indexed.
Image indexed_image(const Image& image, unsigned files, unsigned name_bytes = 50);

struct Fsck {
  int exit_code = 0;
  std::string output;
  // Problems of the superblock and descriptors are asked about but do not reach the exit code, so read the answers too.
  bool clean() const { return exit_code == 0 && output.find("? no\n") == std::string::npos; }
};
Fsck run_e2fsck(const Image& image);

// Shapes that the tests use: plain first.
std::span<const Shape> all_shapes();
inline constexpr Shape kSmall{"small", 512, "-N 32 -O ^has_journal"};

// Views into an image.
media::SuperBlock& super(Image& image);
media::GroupDesc& group(Image& image, uint32_t number);
media::Inode& inode(Image& image, uint32_t ino);
std::byte* block(Image& image, uint64_t number);
uint32_t ino_of(const Image& image, const char* path);
// Physical block of a file's logical block.
uint64_t block_of(const Image& image, uint32_t ino, uint32_t logical);

// Where the checksums of an image are. Collected from a sane image; refresh() works on any corruption of it.
class Checksums {
 public:
  explicit Checksums(const Image& image);
  void refresh(Image& image) const;
  // Blocks that hold metadata: superblock, descriptors, bitmaps, inode tables, tree nodes, directories, attributes.
  const std::vector<uint64_t>& metadata_blocks() const { return metadata_; }

 private:
  enum Kind { kDir, kDxRoot, kDxNode, kExtents, kXattr };
  struct Site {
    Kind kind;
    uint64_t block;
    uint32_t ino;
  };
  std::vector<Site> sites_;
  std::vector<uint64_t> metadata_;
  uint32_t inodes_ = 0, inodes_per_group_ = 0, inode_bytes_ = 0, groups_ = 0, desc_bytes_ = 0, blocks_per_group_ = 0;
  std::vector<uint64_t> block_bitmaps_, inode_bitmaps_, inode_tables_;
};

}  // namespace daxfs::check::test
