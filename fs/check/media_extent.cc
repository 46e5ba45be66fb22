// fs/check/media_extent.cc - block mappings of inodes: extent trees and the old indirect blocks.
//
// Kernel: fs/ext4/extents.c, fs/ext4/indirect.c.
#include "fs/check/media_context.h"
#include "fs/check/media_csum.h"

namespace daxfs::check::media {
namespace {

using Number = unsigned long long;

constexpr unsigned kPerBlock = kBlockBytes / 4;
constexpr uint64_t kDirBlocksMax = uint64_t{1} << 19;  // 2 GiB

struct ExtentWalk {
  Context& c;
  uint32_t ino;
  uint32_t seed;
  const Inode& inode;
  BlockTally& tally;
  bool directory;
  uint64_t eof_block;         // last block of the file by its size; all ones for an empty file
  uint64_t next_logical = 0;  // where the next extent may begin

  At here() const { return {"inode", ino}; }
};

// What an index entry promises about the node below it.
struct Promise {
  uint64_t start = 0;     // first logical block allowed
  uint64_t end = 0;       // last logical block allowed; 0: no promise
  uint64_t path_end = 0;  // where the node's last child ends
};

void note_journal(Context& c, uint32_t logical, uint64_t physical, uint32_t count) {
  if (logical == 0) { c.s.journal_first = physical; }
  c.s.journal_blocks += count;
}

void take_dir_blocks(ExtentWalk& w, const Extent& e, uint32_t length) {
  for (uint32_t i = 0; i < length; ++i) { w.c.s.dir_blocks.push_back({extent_start(e) + i, e.block + i}); }
}

bool within(const ExtentWalk& w, const Promise& promise, uint64_t last, bool unwritten) {
  if (promise.end == 0 || last <= promise.end) { return true; }
  // Preallocation past the end of the file may also lie past what the index promised.
  return last > w.eof_block && (unwritten || (w.inode.flags & kFlagVerity) != 0);
}

void scan_leaf_entry(ExtentWalk& w, const Extent& e, Promise& promise) {
  Context& c = w.c;
  const bool unwritten = e.len > kExtentInitMax;
  const uint32_t length = unwritten ? e.len - kExtentInitMax : e.len;
  const uint64_t physical = extent_start(e);
  const uint64_t logical = e.block;
  const uint64_t last = logical + length - 1;
  if (physical == 0 || !c.in_range(physical)) {
    complain(c, w.here(), "extent at logical block %llu starts at illegal block %llu", Number{logical},
             Number{physical});
  } else if (length == 0) {
    complain(c, w.here(), "extent at logical block %llu is empty", Number{logical});
  } else if (logical < promise.start || logical < w.next_logical) {
    complain(c, w.here(), "extent at logical block %llu is out of order or overlaps", Number{logical});
  } else if (!within(w, promise, last, unwritten)) {
    complain(c, w.here(), "extent at logical block %llu ends at %llu, beyond its index entry", Number{logical},
             Number{last});
  } else if (physical + length > c.blocks) {
    complain(c, w.here(), "extent at logical block %llu ends beyond the filesystem", Number{logical});
  } else if (last > 0xffffffffull) {
    complain(c, w.here(), "extent at logical block %llu passes the largest logical block", Number{logical});
  } else if (w.directory && w.inode.size_hi == 0 && last >= kDirBlocksMax) {
    complain(c, w.here(), "directory is too big (logical block %llu)", Number{last});
  } else if (!claim(c, physical, length)) {
    complain(c, w.here(), "a block of [%llu, %llu) has another owner", Number{physical}, Number{physical + length});
    w.next_logical = last + 1;
    w.tally.blocks += length;
  } else {
    if (w.directory && unwritten) { complain(c, w.here(), "unwritten extent in a directory"); }
    if (w.directory && static_cast<int64_t>(logical) > w.tally.last + 1) {
      complain(c, w.here(), "hole in a directory before logical block %llu", Number{logical});
    }
    if (w.directory) { take_dir_blocks(w, e, length); }
    if (w.ino == kJournalIno) { note_journal(c, e.block, physical, length); }
    w.next_logical = last + 1;
    w.tally.blocks += length;
    promise.start = last;
  }
  // Also of an extent with a problem, so that the size is judged by what is there.
  if (length != 0) {
    w.tally.last = static_cast<int64_t>(last);
    if (!unwritten) { w.tally.last_written = w.tally.last; }
  }
}

void scan_node(ExtentWalk& w, const ExtentHeader& header, Promise promise);

void scan_index_entry(ExtentWalk& w, const ExtentHeader& parent, const ExtentIndex* entry, bool has_next,
                      const Promise& promise) {
  Context& c = w.c;
  const uint64_t block = extent_leaf(*entry);
  const uint64_t logical = entry->block;
  const uint64_t next = has_next ? entry[1].block : promise.path_end;
  const uint64_t last = logical + static_cast<uint32_t>(next - logical) - 1;
  if (block == 0 || !c.in_range(block)) {
    complain(c, w.here(), "index at logical block %llu points to illegal block %llu", Number{logical}, Number{block});
    return;
  }
  if (logical < promise.start || (has_next && next <= logical)) {
    complain(c, w.here(), "index at logical block %llu is out of order", Number{logical});
    return;
  }
  if (!within(w, promise, last, false)) {
    complain(c, w.here(), "index at logical block %llu ends beyond its parent", Number{logical});
    return;
  }
  // A node with two owners is not walked twice, which also bounds the walk.
  if (!claim(c, block, 1)) {
    complain(c, w.here(), "extent node %llu has another owner", Number{block});
    return;
  }
  ++w.tally.blocks;
  const auto& header = *c.at<ExtentHeader>(block);
  if (!extent_header_sane(header, kBlockBytes) || header.depth + 1 != parent.depth) {
    complain(c, {"inode", w.ino, "block", block}, "bad extent header (entries %u, max %u, depth %u under depth %u)",
             header.entries, header.max, header.depth, parent.depth);
    return;
  }
  if (header.entries == 0) {
    complain(c, {"inode", w.ino, "block", block}, "empty extent node");
    return;
  }
  const uint32_t first = load32(&header + 1);
  if (first != logical) {
    complain(c, {"inode", w.ino, "block", block}, "index says logical block %llu, node starts at %u", Number{logical},
             first);
  }
  if (c.metadata_csum && !known_good(c, block, w.seed)) {
    const size_t tail = sizeof(ExtentHeader) + header.max * sizeof(Extent);
    const uint32_t want = extent_block_csum(w.seed, c.block(block));
    // With no room left for the tail the node cannot be checked; mke2fs and the kernel always leave it.
    if (tail + 4 > kBlockBytes || load32(c.block(block) + tail) != want) {
      complain(c, {"inode", w.ino, "block", block}, "extent node checksum is wrong, expected %#x", want);
    } else {
      remember_good(c, block, w.seed);
    }
  }
  scan_node(w, header, Promise{.start = first, .end = last, .path_end = next});
}

void scan_node(ExtentWalk& w, const ExtentHeader& header, Promise promise) {
  if (header.depth == 0) {
    const auto* entry = reinterpret_cast<const Extent*>(&header + 1);
    for (unsigned i = 0; i < header.entries; ++i) { scan_leaf_entry(w, entry[i], promise); }
    return;
  }
  const auto* entry = reinterpret_cast<const ExtentIndex*>(&header + 1);
  for (unsigned i = 0; i < header.entries; ++i) {
    scan_index_entry(w, header, entry + i, i + 1 < header.entries, promise);
  }
}

struct MapWalk {
  Context& c;
  uint32_t ino;
  const Inode& inode;
  BlockTally& tally;
  bool directory, regular;
};

bool take_mapped(MapWalk& w, uint32_t block) {
  if (!w.c.in_range(block)) {
    complain(w.c, {"inode", w.ino}, "illegal block number %u", block);
    return false;
  }
  ++w.tally.blocks;
  if (claim(w.c, block, 1)) { return true; }
  complain(w.c, {"inode", w.ino}, "block %u has another owner", block);
  return false;
}

// `level` 0 is a data block. The recursion is bounded because every block is entered by one owner only.
void scan_mapped(MapWalk& w, uint32_t block, unsigned level, uint64_t logical) {
  if (block == 0) { return; }
  const bool taken = take_mapped(w, block);
  if (level == 0) {
    if (!w.c.in_range(block)) { return; }
    if (w.directory && static_cast<int64_t>(logical) > w.tally.last + 1) {
      complain(w.c, {"inode", w.ino}, "hole in a directory before logical block %llu", Number{logical});
    }
    if (!w.directory && !w.regular && logical > 0) { complain(w.c, {"inode", w.ino}, "symlink is too big"); }
    if (taken && w.directory) { w.c.s.dir_blocks.push_back({block, static_cast<uint32_t>(logical)}); }
    if (taken && w.ino == kJournalIno) { note_journal(w.c, static_cast<uint32_t>(logical), block, 1); }
    w.tally.last = w.tally.last_written = static_cast<int64_t>(logical);
    return;
  }
  if (!taken) { return; }
  uint64_t step = 1;
  for (unsigned i = 1; i < level; ++i) { step *= kPerBlock; }
  const std::byte* array = w.c.block(block);
  for (unsigned i = 0; i < kPerBlock; ++i) { scan_mapped(w, load32(array + 4 * i), level - 1, logical + i * step); }
}

}  // namespace

bool extent_header_sane(const ExtentHeader& header, uint64_t bytes) {
  const uint64_t most = (bytes - sizeof(ExtentHeader)) / sizeof(Extent);
  // Room for a checksum may be left at the end, up to two entries' worth.
  return header.magic == kExtentMagic && header.entries <= header.max && header.max <= most && header.max + 2u >= most;
}

void scan_extents(Context& c, uint32_t ino, const Inode& inode, uint32_t seed, BlockTally& tally) {
  const auto& root = *reinterpret_cast<const ExtentHeader*>(inode.block);
  if (!extent_header_sane(root, sizeof(inode.block))) {
    complain(c, {"inode", ino}, "bad extent tree root (magic %#x, entries %u, max %u)", root.magic, root.entries,
             root.max);
    return;
  }
  if (root.depth > kExtentDepthMax) {
    complain(c, {"inode", ino}, "extent tree of depth %u", root.depth);
    return;
  }
  if (root.depth != 0 && root.entries == 0) {
    complain(c, {"inode", ino}, "extent tree of depth %u without a node", root.depth);
    return;
  }
  const uint64_t size_blocks = (inode_size(inode) + kBlockBytes - 1) / kBlockBytes;
  ExtentWalk walk{.c = c,
                  .ino = ino,
                  .seed = seed,
                  .inode = inode,
                  .tally = tally,
                  .directory = is_type(inode, kModeDir),
                  .eof_block = size_blocks - 1};
  scan_node(walk, root, Promise{.path_end = size_blocks});
}

void scan_block_map(Context& c, uint32_t ino, const Inode& inode, BlockTally& tally) {
  MapWalk walk{.c = c,
               .ino = ino,
               .inode = inode,
               .tally = tally,
               .directory = is_type(inode, kModeDir),
               .regular = is_type(inode, kModeReg)};
  const auto* array = reinterpret_cast<const std::byte*>(inode.block);
  uint64_t logical = 0;
  for (unsigned i = 0; i < 12; ++i, ++logical) { scan_mapped(walk, load32(array + 4 * i), 0, logical); }
  uint64_t span = kPerBlock;
  for (unsigned level = 1; level <= 3; ++level, span *= kPerBlock) {
    scan_mapped(walk, load32(array + 4 * (11 + level)), level, logical);
    logical += span;
  }
}

}  // namespace daxfs::check::media
