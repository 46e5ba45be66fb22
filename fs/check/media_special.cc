// fs/check/media_special.cc - inodes that are metadata: the resize inode and the journal with its superblock.
//
// Kernel: fs/ext4/resize.c (layout of the resize inode), fs/jbd2/journal.c (journal superblock).
#include "fs/check/media_context.h"
#include "fs/check/media_csum.h"

namespace daxfs::check::media {
namespace {

constexpr unsigned kIndirect = 12, kDoubleIndirect = 13, kPointers = 15;
constexpr unsigned kPerBlock = kBlockBytes / 4;
constexpr uint32_t kJournalBlocksMin = 1024;

uint32_t pointer(const std::byte* array, unsigned index) { return load32(array + 4 * index); }
uint32_t big(uint32_t value) { return __builtin_bswap32(value); }

// One reserved descriptor block of group 0 doubles as indirect block that lists its copies in the backup groups.
bool reserved_block_good(const Context& c, uint32_t reserved) {
  const std::byte* list = c.block(reserved);
  unsigned index = 0;
  for (uint32_t group = 1; group < c.groups && index < kPerBlock; ++group) {
    if (!has_super(c, group)) { continue; }
    if (pointer(list, index) != reserved + c.group_begin(group)) { return false; }
    ++index;
  }
  return true;
}

bool resize_blocks_good(const Context& c, const std::byte* double_indirect) {
  uint32_t slot = c.desc_blocks;
  uint64_t reserved = 1 + uint64_t{c.desc_blocks};
  for (uint32_t i = 0; i < c.sb->reserved_gdt_blocks; ++i, ++slot, ++reserved) {
    if (!c.in_range(reserved) || pointer(double_indirect, slot % kPerBlock) != reserved ||
        !reserved_block_good(c, static_cast<uint32_t>(reserved))) {
      return false;
    }
  }
  return true;
}

}  // namespace

void check_resize_inode(Context& c) {
  const Inode& inode = *c.inode(kResizeIno);
  const At here{"inode", kResizeIno};
  if ((c.sb->feature_compat & kCompatResizeInode) == 0) {
    if (!all_bytes(reinterpret_cast<const std::byte*>(inode.block), sizeof(inode.block), 0)) {
      complain(c, here, "the resize inode has blocks without the resize_inode feature");
    }
    return;
  }
  const auto* array = reinterpret_cast<const std::byte*>(inode.block);
  const uint32_t root = pointer(array, kDoubleIndirect);
  bool good = c.in_range(root) && root != 0 && inode.links_count != 0 && (inode.mode & kModeReg) != 0;
  for (unsigned i = 0; i < kPointers; ++i) { good = good && (i == kDoubleIndirect || pointer(array, i) == 0); }
  if (!good || !resize_blocks_good(c, c.block(root))) { complain(c, here, "the resize inode is invalid"); }
}

void scan_resize_inode(Context& c, const Inode& inode, BlockTally& tally) {
  const At here{"inode", kResizeIno};
  const auto* array = reinterpret_cast<const std::byte*>(inode.block);
  const uint32_t root = pointer(array, kDoubleIndirect);
  if (root == 0) { return; }
  if (!c.in_range(root)) { return; }  // check_resize_inode objected
  if (!claim(c, root, 1)) { complain(c, here, "double indirect block %u has another owner", root); }
  tally.blocks = 1;
  // The blocks below are reserved descriptors, which the groups claimed.
  for (unsigned i = 0; i < kPerBlock; ++i) {
    constexpr unsigned kStride = 16;  // the block is nearly empty: look at 64 bytes at once
    if (i % kStride == 0 && all_bytes(c.block(root) + 4 * i, 4 * kStride, 0)) {
      i += kStride - 1;
      continue;
    }
    const uint32_t list = pointer(c.block(root), i);
    if (list == 0) { continue; }
    if (!c.in_range(list)) {
      complain(c, here, "illegal block number %u", list);
      continue;
    }
    ++tally.blocks;
    if (all_bytes(c.block(list), kBlockBytes, 0)) { continue; }
    for (unsigned k = 0; k < kPerBlock; ++k) {
      const uint32_t data = pointer(c.block(list), k);
      if (data == 0) { continue; }
      if (!c.in_range(data)) {
        complain(c, here, "illegal block number %u", data);
        continue;
      }
      ++tally.blocks;
      tally.last = tally.last_written = int64_t{kIndirect} + kPerBlock + int64_t{i} * kPerBlock + k;
    }
  }
}

void check_journal(Context& c) {
  const SuperBlock& sb = *c.sb;
  const At here{"journal", 0};
  const bool external = sb.journal_dev != 0 ||
                        !all_bytes(reinterpret_cast<const std::byte*>(sb.journal_uuid), sizeof(sb.journal_uuid), 0);
  if ((sb.feature_compat & kCompatHasJournal) == 0) {
    if (sb.journal_inum != 0 || external) { complain(c, here, "a journal is named without the has_journal feature"); }
    return;
  }
  if (sb.journal_inum != kJournalIno || external) {
    complain(c, here, "journal in inode %u%s: only inode 8 is supported", sb.journal_inum,
             external ? " or on another device" : "");
    return;
  }
  const Inode& inode = *c.inode(kJournalIno);
  const uint64_t length = inode_size(inode) / kBlockBytes;
  if (inode.links_count == 0 || length < kJournalBlocksMin || c.s.journal_blocks < length) {
    complain(c, here, "journal inode: %u links, %llu blocks, %llu mapped", inode.links_count,
             static_cast<unsigned long long>(length), static_cast<unsigned long long>(c.s.journal_blocks));
    return;
  }
  if (!c.in_range(c.s.journal_first) || c.s.journal_first == 0) {
    complain(c, here, "the journal has no first block");
    return;
  }
  const auto& js = *c.at<JournalSuper>(c.s.journal_first);
  const uint32_t type = big(js.blocktype);
  if (big(js.magic) != kJournalMagic || (type != 3 && type != 4) || big(js.blocksize) != kBlockBytes) {
    complain(c, here, "bad journal superblock (magic %#x, type %u, block size %u)", big(js.magic), type,
             big(js.blocksize));
    return;
  }
  if (big(js.maxlen) > length || big(js.first) == 0 || big(js.first) >= big(js.maxlen) ||
      big(js.maxlen) < kJournalBlocksMin) {
    complain(c, here, "journal of %u blocks, first %u, in an inode of %llu", big(js.maxlen), big(js.first),
             static_cast<unsigned long long>(length));
  }
  constexpr uint32_t kJournalIncompat = 0x3f, kJournalCompat = 0x1, kCsumV2 = 0x8, kCsumV3 = 0x10;
  static_assert(distinct_bits({kCsumV2, kCsumV3}));
  if (type == 4) {
    const uint32_t incompat = big(js.feature_incompat);
    if ((incompat & ~kJournalIncompat) != 0 || js.feature_ro_compat != 0) {
      complain(c, here, "unknown journal features %#x, %#x", incompat, big(js.feature_ro_compat));
    }
    const bool csum = (incompat & (kCsumV2 | kCsumV3)) != 0;
    if ((incompat & (kCsumV2 | kCsumV3)) == (kCsumV2 | kCsumV3) ||
        (csum && (big(js.feature_compat) & kJournalCompat) != 0)) {
      complain(c, here, "more than one journal checksum scheme");
    } else if (csum && (js.checksum_type != 4 || big(js.checksum) != journal_super_csum(js))) {
      complain(c, here, "journal superblock checksum is wrong");
    }
  }
  if (c.options.expect_clean_unmount && js.log_start != 0) {
    complain(c, here, "the journal has data from block %u on", big(js.log_start));
  }
  if (c.options.expect_clean_unmount && js.log_errno != 0) {
    complain(c, here, "the journal recorded error %d", static_cast<int>(big(js.log_errno)));
  }
}

}  // namespace daxfs::check::media
