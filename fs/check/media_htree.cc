// fs/check/media_htree.cc - hash-indexed directories: does the index lead to every block, with the right hashes.
//
// Kernel: fs/ext4/namei.c (dx_* functions).
#include "fs/check/media_context.h"
#include "fs/check/media_csum.h"

namespace daxfs::check::media {
namespace {

constexpr uint32_t kRootInfoOffset = 24;  // behind the entries "." and ".."
constexpr uint32_t kNodeCountOffset = 8;  // behind an empty entry that spans the block
constexpr unsigned kLevelsMax = 2;
constexpr uint32_t kDxTailBytes = 8;

uint32_t limit_expected(const Context& c, uint32_t count_offset) {
  const uint32_t tail = c.metadata_csum ? kDxTailBytes : 0;
  return static_cast<uint32_t>((kBlockBytes - count_offset - tail) / sizeof(DxEntry));
}

}  // namespace

HtreeCheck::HtreeCheck(Context& c, const DirNote& dir) : c_(c), dir_(dir), dx_(c.s.dx) {
  if (!dir.indexed || dir.count == 0) { return; }
  const DirBlock& root = c.s.dir_blocks[dir.first];
  if (root.logical != 0) { return; }  // a hole, which pass 1 reported
  active_ = begin_root(c.block(root.physical));
  if (!active_) { return; }
  DxBlock empty{};
  empty.min_hash = ~0u;
  dx_.assign(dir.count, empty);
}

bool HtreeCheck::begin_root(const std::byte* bytes) {
  const At here{"inode", dir_.ino};
  const auto& info = *reinterpret_cast<const DxRootInfo*>(bytes + kRootInfoOffset);
  if (info.reserved_zero != 0 || info.info_length != sizeof(DxRootInfo)) {
    complain(c_, here, "bad index root (reserved %#x, info length %u)", info.reserved_zero, info.info_length);
    return false;
  }
  if (info.hash_version > 2) {
    complain(c_, here, "unsupported hash version %u", info.hash_version);
    return false;
  }
  if ((info.flags & 1) != 0) { complain(c_, here, "index root has incompatible flags"); }
  if (info.indirect_levels >= kLevelsMax) {
    complain(c_, here, "index of %u levels", info.indirect_levels);
    return false;
  }
  hash_version_ = static_cast<uint8_t>(info.hash_version + ((c_.sb->flags & kSuperFlagUnsignedHash) != 0 ? 3 : 0));
  depth_ = info.indirect_levels + 1u;
  return true;
}

bool HtreeCheck::index_block(const DirBlock& block) {
  if (!active_ || block.logical >= dx_.size()) { return false; }
  DxBlock& dx = dx_[block.logical];
  const std::byte* bytes = c_.block(block.physical);
  uint32_t count_offset = kNodeCountOffset;
  if (block.logical == 0) {
    dx.type = DxBlock::kRoot;
    dx.first = dx.last = true;
    count_offset = kRootInfoOffset + sizeof(DxRootInfo);
  } else {
    const auto& entry = *reinterpret_cast<const DirEntry*>(bytes);
    const auto& pair = *reinterpret_cast<const DxCountLimit*>(bytes + kNodeCountOffset);
    if (entry.inode != 0 || entry.rec_len != kBlockBytes || entry.name_len != 0 ||
        pair.limit != limit_expected(c_, kNodeCountOffset)) {
      return false;
    }
    dx.type = DxBlock::kNode;
  }
  if (parse(block.logical, bytes, count_offset) && c_.metadata_csum && !known_good(c_, block.physical, dir_.seed)) {
    const auto& pair = *reinterpret_cast<const DxCountLimit*>(bytes + count_offset);
    check_csum(block, count_offset, pair.count, pair.limit);
  }
  return true;
}

void HtreeCheck::check_csum(const DirBlock& block, uint32_t count_offset, uint32_t count, uint32_t limit) {
  const std::byte* bytes = c_.block(block.physical);
  const uint32_t have = load32(bytes + count_offset + limit * sizeof(DxEntry) + 4);
  const uint32_t want = dx_block_csum(dir_.seed, bytes, count_offset, count, limit);
  if (have != want) {
    complain(c_, {"inode", dir_.ino, "block", block.physical}, "index checksum is %#x, expected %#x", have, want);
  } else {
    remember_good(c_, block.physical, dir_.seed);
  }
}

bool HtreeCheck::parse(uint32_t logical, const std::byte* bytes, uint32_t count_offset) {
  const At here{"inode", dir_.ino, "logical block", logical};
  const auto& pair = *reinterpret_cast<const DxCountLimit*>(bytes + count_offset);
  const auto* entries = reinterpret_cast<const DxEntry*>(bytes + count_offset);
  const uint32_t limit = limit_expected(c_, count_offset);
  if (pair.limit != limit || pair.count > limit || pair.count == 0) {
    complain(c_, here, "index block with %u entries of %u, expected at most %u", pair.count, pair.limit, limit);
    return false;
  }
  DxBlock& self = dx_[logical];
  uint32_t hash = 0;
  for (unsigned i = 0; i < pair.count; ++i) {
    const uint32_t previous = hash;
    hash = i != 0 ? entries[i].hash & ~1u : 0;  // the first entry's hash is the count and limit
    const uint32_t child = entries[i].block & 0x0fffffff;
    if (child >= dx_.size()) {
      complain(c_, here, "index leads to block %u, the directory has %zu", child, dx_.size());
      continue;
    }
    if (hash < previous) { complain(c_, here, "hashes of the index are out of order"); }
    DxBlock& below = dx_[child];
    if (below.referenced) {
      below.twice = true;
    } else {
      below.referenced = true;
      below.parent = logical;
    }
    self.min_hash = std::min(self.min_hash, hash);
    self.max_hash = std::max(self.max_hash, hash);
    const bool last = i + 1u == pair.count;
    below.node_min = hash;
    below.node_max = last ? 0xfffffffe : entries[i + 1].hash & ~1u;
    below.first = below.first || i == 0;
    below.last = below.last || last;
  }
  return true;
}

void HtreeCheck::leaf_entry(uint32_t logical, const uint8_t* name, unsigned length) {
  if (!active_ || logical >= dx_.size() || dx_[logical].type != DxBlock::kLeaf) { return; }
  const uint32_t hash_seed[4] = {c_.sb->hash_seed[0], c_.sb->hash_seed[1], c_.sb->hash_seed[2], c_.sb->hash_seed[3]};
  const uint32_t hash = dir_hash(hash_version_, name, length, hash_seed);
  DxBlock& dx = dx_[logical];
  dx.min_hash = std::min(dx.min_hash, hash);
  dx.max_hash = std::max(dx.max_hash, hash);
}

// The outermost leaves decide what their index block really spans.
void HtreeCheck::propagate() {
  for (const DxBlock& dx : dx_) {
    if (dx.type != DxBlock::kLeaf) { continue; }
    DxBlock& parent = dx_[dx.parent];
    if (dx.first) { parent.min_hash = dx.min_hash; }
    if (dx.last) { parent.max_hash = dx.max_hash; }
  }
}

unsigned HtreeCheck::depth_of(uint32_t logical) const {
  unsigned depth = 0;
  while (dx_[logical].type != DxBlock::kRoot && depth <= kLevelsMax) {
    logical = dx_[logical].parent;
    ++depth;
  }
  return depth;
}

void HtreeCheck::check_block(uint32_t logical) {
  const At here{"inode", dir_.ino, "logical block", logical};
  const DxBlock& dx = dx_[logical];
  if (!dx.first && dx.min_hash < dx.node_min) {
    complain(c_, here, "hash %#x, but the index says %#x at least", dx.min_hash, dx.node_min);
  }
  if (logical != 0 && dx.max_hash > dx.node_max) {
    complain(c_, here, "hash %#x, but the index says %#x at most", dx.max_hash, dx.node_max);
  }
  if (dx.type == DxBlock::kLeaf && dx.referenced && depth_of(logical) != depth_) {
    complain(c_, here, "leaf at depth %u, expected %u", depth_of(logical), depth_);
  }
  if (!dx.referenced) { complain(c_, here, "the index does not lead here"); }
  if (dx.twice) { complain(c_, here, "the index leads here twice"); }
}

void HtreeCheck::finish() {
  if (!active_) { return; }
  DxBlock& root = dx_[0];
  root.twice = root.twice || root.referenced;
  root.referenced = true;
  propagate();
  for (uint32_t logical = 0; logical < dx_.size(); ++logical) { check_block(logical); }
}

}  // namespace daxfs::check::media
