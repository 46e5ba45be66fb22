// fuzz/image/anatomy.h - where the parts of an ext4 image are: so that damage meets fields instead
// of free space, and so that checksums can be made right again afterwards, or every reader would
// stop there.
//
// Learnt once from the sound image by the checker's own reader (fs/check), not by the library under
// test. Locking: none; constant once made. Not covered: checksums of parts that damage moved
// elsewhere stay wrong. Tested by: fuzz/image/image_test.cc
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace daxfuzz::image {

// Append only: binary inputs hold the number.
enum class Part : uint8_t {
  kSuper,  // the superblock
  kGroup,  // a group descriptor
  kBlockBitmap,
  kInodeBitmap,
  kInode,      // by number, from 1
  kExtents,    // a node of an extent tree outside its inode
  kDirectory,  // a block of a directory
  kIndex,      // a block of a directory's index
  kXattr,      // a block of attributes
  kJournal,    // the journal's superblock
  kBlock,      // any block
};
inline constexpr size_t kParts = static_cast<size_t>(Part::kBlock) + 1;

std::string_view part_name(Part part);

struct Site {
  uint64_t offset = 0;  // of the image
  uint32_t size = 0;
  uint32_t ino = 0;  // whose it is; 0: nobody's
};

class Anatomy {
 public:
  explicit Anatomy(std::span<const std::byte> image);

  // Never empty: a part that the image does not have is the superblock.
  std::span<const Site> sites(Part part) const { return sites_[static_cast<size_t>(part)]; }

  // Makes every checksum right for the bytes as they are now. REQUIRES: an image of the same size;
  // else any bytes.
  void renew(std::span<std::byte> image) const;
  // Blocks that renew() may write, ascending.
  std::span<const uint64_t> checked_blocks() const { return checked_blocks_; }

 private:
  void add_groups(std::span<const std::byte> image);
  void add_files(std::span<const std::byte> image);
  void renew_node(std::span<std::byte> image, uint32_t seed, Part part, const Site& site) const;
  void renew_inode(std::span<std::byte> image, uint32_t seed, const Site& site) const;
  void renew_group(std::span<std::byte> image, uint32_t seed, bool full, uint32_t number) const;

  std::array<std::vector<Site>, kParts> sites_;
  std::vector<uint64_t> checked_blocks_;
  uint32_t blocks_per_group_ = 0, inodes_per_group_ = 0;
};

}  // namespace daxfuzz::image
