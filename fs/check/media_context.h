// fs/check/media_context.h - what the parts of the image checker share: geometry, notes about inodes, block claims.
//
// Invariants of the parts: no pointer into the image is formed before its block number was compared with
// Context::blocks; every loop is bounded by blocks that only one owner can claim, or by inodes.
// Internal to fs/check; not for other folders.
// Tested by: fs/check/media_test.cc, fs/check/media_fuzz_test.cc.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/check/media.h"
#include "fs/check/media_format.h"

namespace daxfs::check::media {

// What pass 1 learned of an inode, and what the directories said.
struct InodeNote {
  uint32_t parent;   // directory that holds the first entry of this directory; 0: none yet
  uint32_t dotdot;   // what its ".." says
  uint32_t counted;  // directory entries seen, "." and ".." included
  uint16_t links;
  uint8_t kind;   // kUnused, directory entry type 1..7, kBadMode, kReserved
  uint8_t marks;  // connectivity walk
};
enum InodeKind : uint8_t { kUnused = 0, kRegular = 1, kDirectory = 2, kBadMode = 8, kReserved = 9 };

struct GroupNote {
  const GroupDesc* desc;
  const std::byte* inode_table;
  uint64_t block_bitmap, inode_bitmap, inode_table_block;
  uint32_t itable_scan;  // inodes that may be in use: [0, itable_scan)
  uint32_t dirs, inodes_used, own_blocks;
  uint16_t flags;  // 0 when the image has no group checksums
};

struct DirBlock {
  uint64_t physical;
  uint32_t logical;
};
struct DirNote {
  uint32_t ino;
  uint32_t first;
  uint32_t count;
  uint32_t seed;
  bool indexed;
};
struct XattrBlock {
  uint64_t block;
  uint32_t refcount;
  uint32_t seen;
};
struct NameSlot {
  uint32_t stamp;
  uint32_t hash;
  const std::byte* entry;
};
struct DxBlock {
  enum Type : uint8_t { kLeaf, kRoot, kNode };
  uint32_t parent, min_hash, max_hash, node_min, node_max;
  Type type;
  bool first, last, referenced, twice;
};

// Where a problem is. Kept as words and numbers: no string is built unless there is a problem.
struct At {
  const char* noun;
  uint64_t number;
  const char* noun2 = nullptr;
  uint64_t number2 = 0;
};

struct Context {
  const std::byte* base = nullptr;
  uint64_t image_bytes = 0;
  const SuperBlock* sb = nullptr;
  uint64_t blocks = 0;  // of the filesystem; all of them lie inside the image
  uint32_t groups = 0, blocks_per_group = 0, inodes_per_group = 0, inodes = 0;
  uint32_t inode_bytes = 0, itable_blocks = 0, desc_bytes = 0, desc_blocks = 0, first_ino = 0;
  uint32_t seed = 0;
  bool metadata_csum = false, group_csum = false, low_dtime_check = false;
  bool extents = false, huge_file = false, has_64bit = false;
  MediaScratch::State& s;
  MediaReport& report;
  const MediaOptions& options;

  const std::byte* block(uint64_t number) const { return base + number * kBlockBytes; }
  template <typename T>
  const T* at(uint64_t block_number, uint64_t offset = 0) const {
    return reinterpret_cast<const T*>(block(block_number) + offset);
  }
  bool in_range(uint64_t number) const { return number >= sb->first_data_block && number < blocks; }
  const Inode* inode(uint32_t ino) const;
  // First block of a group, and one past its last.
  uint64_t group_begin(uint32_t group) const { return uint64_t{group} * blocks_per_group; }
  uint64_t group_end(uint32_t group) const;
};

inline uint64_t join(uint32_t hi, uint32_t lo) { return uint64_t{hi} << 32 | lo; }
inline uint64_t inode_size(const Inode& inode) { return join(inode.size_hi, inode.size_lo); }
inline uint64_t extent_start(const Extent& e) { return join(e.start_hi, e.start_lo); }
inline uint64_t extent_leaf(const ExtentIndex& e) { return join(e.leaf_hi, e.leaf_lo); }
inline bool is_type(const Inode& inode, Mode type) { return (inode.mode & kModeMask) == type; }
inline uint32_t load32(const void* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}
inline bool all_bytes(const std::byte* bytes, size_t size, uint8_t value) {
  uint64_t pattern = value;
  pattern |= pattern << 8;
  pattern |= pattern << 16;
  pattern |= pattern << 32;
  if (size == 64) {  // often asked: one cache line, without a call
    uint64_t words[8];
    std::memcpy(words, bytes, sizeof(words));
    uint64_t differ = 0;
    for (const uint64_t word : words) { differ |= word ^ pattern; }
    return differ == 0;
  }
  // A run of equal bytes equals itself shifted by one; memcmp is the fastest loop there is for it.
  return size == 0 || (bytes[0] == std::byte{value} && std::memcmp(bytes, bytes + 1, size - 1) == 0);
}

FS_COLD void complain(Context& c, At at, const char* format, ...) FS_PRINTF(3, 4);

// Takes blocks [first, first + count) for an owner. REQUIRES: the range lies inside the filesystem.
// RETURNS: false when some block had an owner already (all are marked then, and nothing is reported).
bool claim(Context& c, uint64_t first, uint64_t count);

// True when the checksum of this block under this owner's seed was right in the baseline and nothing changed since.
bool known_good(const Context& c, uint64_t block_number, uint32_t owner_seed);
// Remembers a right checksum while a baseline is being made.
void remember_good(Context& c, uint64_t block_number, uint32_t owner_seed);

// The passes, in order. Each returns false when the later ones would have nothing to stand on.
bool check_super(Context& c);         // media_super.cc
bool check_group_descs(Context& c);   // media_group.cc
void check_resize_inode(Context& c);  // media_special.cc
void check_journal(Context& c);       // media_special.cc
void check_inodes(Context& c);        // media_inode.cc
void check_directories(Context& c);   // media_dir.cc
void check_links(Context& c);         // media_links.cc
void check_bitmaps(Context& c);       // media_bitmap.cc

// True when the group starts with a copy of the superblock and descriptors.
bool has_super(const Context& c, uint32_t group);

// What an inode's block mapping amounts to.
struct BlockTally {
  uint64_t blocks = 0;        // 4 KiB blocks owned: data, tree nodes, attribute block
  int64_t last = -1;          // last mapped logical block
  int64_t last_written = -1;  // last mapped logical block that is not in an unwritten extent
};
// Claims the blocks of an inode; directory blocks are appended to State::dir_blocks.
void scan_extents(Context& c, uint32_t ino, const Inode& inode, uint32_t seed, BlockTally& tally);  // media_extent.cc
void scan_block_map(Context& c, uint32_t ino, const Inode& inode, BlockTally& tally);               // media_extent.cc
void scan_resize_inode(Context& c, const Inode& inode, BlockTally& tally);                          // media_special.cc
// True when the 60 bytes could be an extent tree's root, or a whole block its node.
bool extent_header_sane(const ExtentHeader& header, uint64_t bytes);
void check_inline_xattrs(Context& c, uint32_t ino, const Inode& inode);  // media_xattr.cc
// RETURNS: blocks to charge to the inode (0 or 1).
unsigned check_xattr_block(Context& c, uint32_t ino, const Inode& inode);  // media_xattr.cc
void check_xattr_refcounts(Context& c);                                    // media_xattr.cc
// Hash-indexed directories. One call begins a directory, one call looks at each block, one ends it.      media_htree.cc
// Kinds of blocks by their contents; a leaf when the directory has no usable index.
class HtreeCheck {
 public:
  HtreeCheck(Context& c, const DirNote& dir);
  bool active() const { return active_; }
  // RETURNS: true when the block is an index block (it has no checksum tail of a leaf).
  bool index_block(const DirBlock& block);
  void leaf_entry(uint32_t logical, const uint8_t* name, unsigned length);
  void finish();

 private:
  bool begin_root(const std::byte* bytes);
  bool parse(uint32_t logical, const std::byte* bytes, uint32_t count_offset);
  void check_csum(const DirBlock& block, uint32_t count_offset, uint32_t count, uint32_t limit);
  void propagate();
  unsigned depth_of(uint32_t logical) const;
  void check_block(uint32_t logical);

  Context& c_;
  const DirNote& dir_;
  std::vector<DxBlock>& dx_;
  bool active_ = false;
  uint8_t hash_version_ = 0;
  unsigned depth_ = 0;
};
// The hash of a name by the version stored in the root block (0..2, plus 3 for unsigned characters).  media_hash.cc
uint32_t dir_hash(uint8_t version, const uint8_t* name, unsigned length, const uint32_t seed[4]);

}  // namespace daxfs::check::media

namespace daxfs::check {

struct MediaScratch::State {
  std::vector<uint64_t> used;           // bit per block
  std::vector<uint64_t> inode_used;     // bit per inode, bit 0 is inode 1
  std::vector<media::InodeNote> notes;  // index: inode number
  std::vector<media::GroupNote> groups;
  std::vector<media::DirBlock> dir_blocks;
  std::vector<media::DirNote> dirs;
  std::vector<media::XattrBlock> xattr_blocks;
  std::vector<media::NameSlot> names;
  std::vector<media::DxBlock> dx;
  uint32_t name_stamp = 0;
  uint64_t blocks_claimed = 0;
  uint64_t journal_first = 0, journal_blocks = 0;  // where the journal inode's block 0 is; blocks it maps
  // Baseline: owner seed under which each block's checksum is right; 0 means unknown.
  std::vector<uint32_t> good_seed;
  bool recording = false;
};

}  // namespace daxfs::check
