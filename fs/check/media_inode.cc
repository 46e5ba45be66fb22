// fs/check/media_inode.cc - pass 1: every inode by itself, and the blocks it owns.
//
// Kernel: fs/ext4/inode.c (ext4_iget's checks).
#include "fs/check/media_context.h"
#include "fs/check/media_csum.h"

namespace daxfs::check::media {
namespace {

using Number = unsigned long long;

uint64_t file_acl(const Context& c, const Inode& inode) {
  return join(c.has_64bit ? inode.file_acl_hi : 0, inode.file_acl_lo);
}

const std::byte* bytes_of(const Inode& inode) { return reinterpret_cast<const std::byte*>(&inode); }

uint32_t seed_of(const Context& c, uint32_t ino, const Inode& inode) {
  return c.metadata_csum ? inode_seed(c.seed, ino, inode.generation) : 0;
}

// REQUIRES: the inode is not all zero bytes (such an inode needs no checksum).
void check_csum(Context& c, uint32_t ino, const Inode& inode, uint32_t seed) {
  if (!c.metadata_csum) { return; }
  const uint64_t block = static_cast<uint64_t>(bytes_of(inode) - c.base) / kBlockBytes;
  if (known_good(c, block, c.seed)) { return; }
  uint32_t have = inode.checksum_lo;
  uint32_t want = inode_csum(seed, inode, c.inode_bytes);
  if (inode_csum_has_high(inode, c.inode_bytes)) {
    have |= uint32_t{inode.checksum_hi} << 16;
  } else {
    want &= 0xffff;
  }
  if (have != want) { complain(c, {"inode", ino}, "checksum is %#x, expected %#x", have, want); }
}

void check_dtime(Context& c, uint32_t ino, const Inode& inode) {
  if (c.low_dtime_check && inode.dtime != 0 && inode.dtime < c.inodes) {
    complain(c, {"inode", ino}, "deletion time %u looks like a link of the orphan list", inode.dtime);
  }
}

uint8_t kind_of(const Inode& inode) {
  switch (inode.mode & kModeMask) {
    case kModeReg: return kRegular;
    case kModeDir: return kDirectory;
    case kModeChar: return 3;
    case kModeBlock: return 4;
    case kModeFifo: return 5;
    case kModeSocket: return 6;
    case kModeLink: return 7;
    default: return kBadMode;
  }
}

// Whether i_block maps blocks at all. Devices and fast symlinks keep other things there.
bool maps_blocks(const Context& c, const Inode& inode) {
  switch (inode.mode & kModeMask) {
    case kModeReg:
    case kModeDir: return true;
    case kModeLink:
      if (file_acl(c, inode) != 0) { return inode_size(inode) >= sizeof(inode.block); }
      return inode.blocks_lo != 0;
    default: return false;
  }
}

void check_flags(Context& c, uint32_t ino, const Inode& inode) {
  const At here{"inode", ino};
  const uint32_t flags = inode.flags;
  if ((flags & (kFlagCasefold | kFlagInlineData | kFlagEncrypt | kFlagImagic)) != 0) {
    complain(c, here, "flags %#x need features this image does not have", flags);
  }
  if ((flags & kFlagExtents) != 0 && !c.extents) { complain(c, here, "extents flag without the extents feature"); }
  if (c.extents && (flags & kFlagExtents) == 0 && (is_type(inode, kModeReg) || is_type(inode, kModeDir)) &&
      extent_header_sane(*reinterpret_cast<const ExtentHeader*>(inode.block), sizeof(inode.block))) {
    complain(c, here, "has an extent tree, but no extents flag");
  }
}

void check_fields(Context& c, uint32_t ino, const Inode& inode) {
  const At here{"inode", ino};
  if (inode.dtime != 0) { complain(c, here, "in use, but has deletion time %u", inode.dtime); }
  if (inode.faddr != 0) { complain(c, here, "fragment address %#x", inode.faddr); }
  if (is_type(inode, kModeDir) && inode.size_hi != 0) { complain(c, here, "directory of 4 GiB or more"); }
  if (!c.has_64bit && inode.file_acl_hi != 0) { complain(c, here, "wide attribute block without 64bit"); }
  if (!c.huge_file && inode.blocks_hi != 0) { complain(c, here, "i_blocks_hi without huge_file"); }
  check_flags(c, ino, inode);
  check_inline_xattrs(c, ino, inode);
}

void check_device(Context& c, uint32_t ino, const Inode& inode) {
  const At here{"inode", ino};
  if ((inode.flags & kFlagExtents) != 0) { complain(c, here, "special file with the extents flag"); }
  if ((inode.flags & (kFlagImmutable | kFlagAppend)) != 0) { complain(c, here, "special file is immutable"); }
  if (inode_size(inode) != 0) { complain(c, here, "special file of size %llu", Number{inode_size(inode)}); }
}

bool target_good(const Context& c, const std::byte* target, uint64_t room, uint64_t size) {
  if (size >= room) { return false; }
  const void* end = std::memchr(target, 0, room);
  return end != nullptr && static_cast<uint64_t>(static_cast<const std::byte*>(end) - target) == size;
}

bool symlink_good(const Context& c, const Inode& inode) {
  const uint64_t size = inode_size(inode);
  if (size == 0 || inode.size_hi != 0 || (inode.flags & kFlagIndex) != 0) { return false; }
  const auto* array = reinterpret_cast<const std::byte*>(inode.block);
  if (size < sizeof(inode.block)) { return target_good(c, array, sizeof(inode.block), size); }
  uint64_t block = load32(array);
  if ((inode.flags & kFlagExtents) != 0) {
    const auto& header = *reinterpret_cast<const ExtentHeader*>(inode.block);
    const auto& e = *reinterpret_cast<const Extent*>(&header + 1);
    if (!extent_header_sane(header, sizeof(inode.block)) || header.entries != 1 || header.depth != 0) { return false; }
    if (e.block != 0 || e.len != 1) { return false; }
    block = extent_start(e);
  } else if (!all_bytes(array + 4, sizeof(inode.block) - 4, 0)) {
    return false;
  }
  return block != 0 && c.in_range(block) && target_good(c, c.block(block), kBlockBytes, size);
}

void check_symlink(Context& c, uint32_t ino, const Inode& inode) {
  const At here{"inode", ino};
  if (!symlink_good(c, inode)) { complain(c, here, "invalid symlink of size %llu", Number{inode_size(inode)}); }
  if ((inode.flags & (kFlagImmutable | kFlagAppend)) != 0) { complain(c, here, "symlink is immutable"); }
  if ((inode.flags & kFlagExtents) != 0 && !maps_blocks(c, inode)) {
    complain(c, here, "fast symlink with the extents flag");
  }
}

void check_dir_size(Context& c, uint32_t ino, const Inode& inode, const BlockTally& tally) {
  const uint64_t size = inode_size(inode);
  const int64_t named = static_cast<int64_t>(size / kBlockBytes);
  const int64_t mapped = tally.last + 1;
  if (size % kBlockBytes != 0 || named > mapped || mapped - named > c.sb->prealloc_dir_blocks) {
    complain(c, {"inode", ino}, "directory of size %llu maps %lld blocks", Number{size},
             static_cast<long long>(mapped));
  }
}

void check_file_size(Context& c, uint32_t ino, const Inode& inode, const BlockTally& tally) {
  const uint64_t size = inode_size(inode);
  if (is_type(inode, kModeLink)) { return; }  // a symlink's size was compared with its target
  // One written block past the end is tolerated, as e2fsck does: the last block may start where the file ends.
  if (tally.last_written >= 0 && size < static_cast<uint64_t>(tally.last_written) * kBlockBytes &&
      (inode.flags & kFlagVerity) == 0) {
    complain(c, {"inode", ino}, "size %llu, but block %lld is written", Number{size},
             static_cast<long long>(tally.last_written));
  }
  constexpr uint64_t kPer = kBlockBytes / 4;
  constexpr uint64_t kMapMax = (12 + kPer + kPer * kPer + kPer * kPer * kPer) * kBlockBytes;
  const bool by_extents = c.extents && (inode.flags & kFlagExtents) != 0;
  if (size > (by_extents ? (uint64_t{1} << 44) - 1 : kMapMax)) {
    complain(c, {"inode", ino}, "size %llu is more than the block map can hold", Number{size});
  }
  if (is_type(inode, kModeReg) && size >= uint64_t{1} << 31 && (c.sb->feature_ro_compat & kRoLargeFile) == 0) {
    complain(c, {"inode", ino}, "size %llu without large_file", Number{size});
  }
}

void check_i_blocks(Context& c, uint32_t ino, const Inode& inode, const BlockTally& tally) {
  const bool huge = c.huge_file && (inode.flags & kFlagHugeFile) != 0;
  const uint64_t have = join(c.huge_file ? inode.blocks_hi : 0, inode.blocks_lo);
  const uint64_t want = tally.blocks * (huge ? 1 : kBlockBytes / 512);
  if (have != want || (huge && inode.blocks_hi != 0)) {
    complain(c, {"inode", ino}, "i_blocks is %llu, expected %llu", Number{have}, Number{want});
  }
}

void check_blocks(Context& c, uint32_t ino, const Inode& inode, uint32_t seed) {
  BlockTally tally;
  const bool directory = is_type(inode, kModeDir);
  if ((inode.flags & kFlagIndex) != 0 && (!directory || (c.sb->feature_compat & kCompatDirIndex) == 0)) {
    complain(c, {"inode", ino}, "index flag, but %s", directory ? "no dir_index feature" : "no directory");
  }
  const auto first_dir_block = static_cast<uint32_t>(c.s.dir_blocks.size());
  const unsigned attribute = check_xattr_block(c, ino, inode);
  if (maps_blocks(c, inode)) {
    if (ino == kResizeIno) {
      scan_resize_inode(c, inode, tally);
    } else if (c.extents && (inode.flags & kFlagExtents) != 0) {
      scan_extents(c, ino, inode, seed, tally);
    } else {
      scan_block_map(c, ino, inode, tally);
    }
  }
  tally.blocks += attribute;
  if (directory) {
    const auto count = static_cast<uint32_t>(c.s.dir_blocks.size()) - first_dir_block;
    c.s.dirs.push_back({ino, first_dir_block, count, seed, (inode.flags & kFlagIndex) != 0});
    if (tally.blocks == 0) { complain(c, {"inode", ino}, "directory without blocks"); }
    check_dir_size(c, ino, inode, tally);
  } else {
    check_file_size(c, ino, inode, tally);
  }
  check_i_blocks(c, ino, inode, tally);
}

void mark_used(Context& c, uint32_t ino, uint8_t kind, uint16_t links) {
  c.s.inode_used[(ino - 1) / 64] |= uint64_t{1} << ((ino - 1) % 64);
  c.s.notes[ino].kind = kind;
  c.s.notes[ino].links = links;
  ++c.s.groups[(ino - 1) / c.inodes_per_group].inodes_used;
  ++c.report.inodes_used;
}

void check_used(Context& c, uint32_t ino, const Inode& inode, uint32_t seed) {
  const uint8_t kind = kind_of(inode);
  mark_used(c, ino, kind, inode.links_count);
  check_fields(c, ino, inode);
  switch (kind) {
    case kRegular: break;
    case kDirectory: ++c.s.groups[(ino - 1) / c.inodes_per_group].dirs; break;
    case 7: check_symlink(c, ino, inode); break;
    case kBadMode: complain(c, {"inode", ino}, "invalid mode %#o", inode.mode); break;
    default: check_device(c, ino, inode); break;
  }
  check_blocks(c, ino, inode, seed);
}

// Inodes 1 to first_ino - 1 except the root: always in use, mostly empty. REQUIRES: not all zero bytes.
void check_reserved(Context& c, uint32_t ino, const Inode& inode, uint32_t seed) {
  const At here{"inode", ino};
  const bool has_journal = c.sb->journal_inum == kJournalIno;
  if ((inode.flags & kFlagCasefold) != 0 ||
      (inode.flags & (kFlagInlineData | kFlagExtents)) == (kFlagInlineData | kFlagExtents)) {
    complain(c, here, "reserved inode with flags %#x", inode.flags);
  }
  if (ino == 1) {
    if ((inode.flags & kFlagInlineData) != 0 || inode.mode != 0 || inode.uid_lo != 0 || inode.gid_lo != 0 ||
        inode.links_count != 0 || inode.file_acl_lo != 0 ||
        !all_bytes(reinterpret_cast<const std::byte*>(inode.block), sizeof(inode.block), 0)) {
      complain(c, here, "the bad blocks inode is not empty");
    }
    return;
  }
  const bool must_be_clear = ino == 3 || ino == 4 || (ino == kJournalIno && !has_journal);
  if (must_be_clear) {
    if (inode.links_count != 0 || inode.blocks_lo != 0 || load32(inode.block) != 0) {
      complain(c, here, "reserved inode is not clear");
    }
    return;
  }
  const uint16_t type = inode.mode & kModeMask;
  bool good = inode.mode == 0;
  if (ino == kJournalIno) { good = type == kModeReg; }
  if (ino == kResizeIno) { good = good || type == kModeReg; }
  if (ino == 5) { good = type != kModeDir; }
  if (!good) { complain(c, here, "reserved inode with mode %#o", inode.mode); }
  if (type == kModeDir) { return; }  // no directory of ours: its blocks stay unclaimed
  if (inode.links_count != 0 && (inode.flags & kFlagExtents) != 0 && !c.extents) {
    complain(c, here, "extents flag without the extents feature");
  }
  check_inline_xattrs(c, ino, inode);  // Linux reads the journal's inode as any other
  check_blocks(c, ino, inode, seed);
}

void check_inode(Context& c, uint32_t ino, const Inode& inode) {
  const bool reserved = ino < c.first_ino && ino != kRootIno;
  if (all_bytes(bytes_of(inode), c.inode_bytes, 0)) {
    if (ino == kRootIno) { complain(c, {"inode", ino}, "there is no root directory"); }
    if (ino == kJournalIno && c.sb->journal_inum == kJournalIno) {
      complain(c, {"inode", ino}, "there is no journal inode");
    }
    if (reserved) { mark_used(c, ino, kReserved, 0); }
    return;
  }
  const uint32_t seed = seed_of(c, ino, inode);
  check_csum(c, ino, inode, seed);
  check_dtime(c, ino, inode);
  if (reserved) {
    mark_used(c, ino, kReserved, inode.links_count);
    check_reserved(c, ino, inode, seed);
    return;
  }
  if (ino == kRootIno && !is_type(inode, kModeDir)) { complain(c, {"inode", ino}, "the root is not a directory"); }
  if (inode.links_count == 0) {
    if (ino == kRootIno) { complain(c, {"inode", ino}, "the root directory has no links"); }
    if (inode.mode != 0 && inode.dtime == 0) { complain(c, {"inode", ino}, "deleted, but has no deletion time"); }
    return;
  }
  check_used(c, ino, inode, seed);
}

// Whole blocks of the table that did not change since the baseline, so that their inodes' checksums hold.
void remember_tables(Context& c) {
  for (const GroupNote& group : c.s.groups) {
    for (uint32_t i = 0; i < c.itable_blocks; ++i) { remember_good(c, group.inode_table_block + i, c.seed); }
  }
}

}  // namespace

void check_inodes(Context& c) {
  uint32_t ino = 1;
  for (const GroupNote& group : c.s.groups) {
    for (uint32_t index = 0; index < group.itable_scan; ++index) { check_inode(c, ino + index, *c.inode(ino + index)); }
    ino += c.inodes_per_group;
  }
  if (c.s.recording) { remember_tables(c); }
}

}  // namespace daxfs::check::media
