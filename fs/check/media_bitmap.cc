// fs/check/media_bitmap.cc - pass 5: the bitmaps against what is in use, and every free count.
#include "fs/base/crc32c.h"
#include "fs/check/media_context.h"

namespace daxfs::check::media {
namespace {

using Number = unsigned long long;

struct Totals {
  uint64_t blocks = 0, inodes = 0;
};

const std::byte* bits_from(const std::vector<uint64_t>& bits, uint64_t first) {
  return reinterpret_cast<const std::byte*>(bits.data()) + first / 8;
}

bool bit(const std::byte* bytes, uint64_t i) { return (std::to_integer<unsigned>(bytes[i / 8]) >> (i % 8) & 1) != 0; }

uint64_t count_bits(const std::byte* bytes, uint64_t bits) {
  uint64_t count = 0;
  uint64_t i = 0;
  for (; i + 64 <= bits; i += 64) {
    uint64_t word;
    std::memcpy(&word, bytes + i / 8, sizeof(word));
    count += static_cast<unsigned>(std::popcount(word));
  }
  for (; i < bits; ++i) { count += bit(bytes, i) ? 1 : 0; }
  return count;
}

// Index of the first bit in which the two differ, `bits` when they agree.
uint64_t first_difference(const std::byte* a, const std::byte* b, uint64_t bits) {
  uint64_t i = 0;
  if (std::memcmp(a, b, bits / 8) == 0) { i = bits / 8 * 8; }
  for (; i < bits; ++i) {
    if (bit(a, i) != bit(b, i)) { return i; }
  }
  return bits;
}

// Bits behind the last valid one must all be set.
bool padding_set(const std::byte* bitmap, uint64_t bits) {
  for (; bits % 8 != 0; ++bits) {
    if (!bit(bitmap, bits)) { return false; }
  }
  return all_bytes(bitmap + bits / 8, kBlockBytes - bits / 8, 0xff);
}

void check_csum(Context& c, uint32_t group, const char* noun, uint64_t block, uint64_t bytes, uint32_t low,
                uint32_t high) {
  if (!c.metadata_csum || known_good(c, block, c.seed)) { return; }
  const bool wide = c.desc_bytes >= sizeof(GroupDesc);
  const uint32_t want = crc32c(c.seed, c.block(block), bytes) & (wide ? ~0u : 0xffffu);
  const uint32_t have = wide ? low | high << 16 : low;
  if (have != want) {
    complain(c, {"group", group}, "%s bitmap checksum is %#x, expected %#x", noun, have, want);
  } else {
    remember_good(c, block, c.seed);
  }
}

void check_block_bitmap(Context& c, uint32_t group, Totals& totals) {
  const GroupNote& note = c.s.groups[group];
  const uint64_t begin = c.group_begin(group);
  const uint64_t bits = c.group_end(group) - begin;
  const std::byte* used = bits_from(c.s.used, begin);
  const uint64_t used_count = count_bits(used, bits);
  const At here{"group", group};
  if ((note.flags & kGroupBlockUninit) != 0) {
    if (used_count != note.own_blocks) {
      complain(c, here, "block bitmap is uninitialised, but %llu blocks are used, not %u", Number{used_count},
               note.own_blocks);
    }
  } else {
    const std::byte* bitmap = c.block(note.block_bitmap);
    check_csum(c, group, "block", note.block_bitmap, c.blocks_per_group / 8, note.desc->block_bitmap_csum_lo,
               c.desc_bytes >= sizeof(GroupDesc) ? note.desc->block_bitmap_csum_hi : 0);
    const uint64_t wrong = first_difference(bitmap, used, bits);
    if (wrong != bits) {
      complain(c, here, "block %llu is %s, but the bitmap says %s", Number{begin + wrong},
               bit(used, wrong) ? "in use" : "not in use", bit(bitmap, wrong) ? "used" : "free");
    }
    if (!padding_set(bitmap, bits)) { complain(c, here, "padding of the block bitmap is not set"); }
  }
  const uint32_t high = c.desc_bytes >= sizeof(GroupDesc) ? note.desc->free_blocks_hi : 0;
  const uint64_t free_count = note.desc->free_blocks_lo | high << 16;
  if (free_count != bits - used_count) {
    complain(c, here, "%llu free blocks, expected %llu", Number{free_count}, Number{bits - used_count});
  }
  totals.blocks += bits - used_count;
}

// Bit by bit, because a group's inodes may start inside a word when their number is odd multiples of 8.
void check_inode_bitmap(Context& c, uint32_t group, Totals& totals) {
  const GroupNote& note = c.s.groups[group];
  const uint64_t bits = c.inodes_per_group;
  const std::byte* used = bits_from(c.s.inode_used, uint64_t{group} * bits);
  const At here{"group", group};
  const bool wide = c.desc_bytes >= sizeof(GroupDesc);
  if ((note.flags & kGroupInodeUninit) == 0) {
    const std::byte* bitmap = c.block(note.inode_bitmap);
    check_csum(c, group, "inode", note.inode_bitmap, bits / 8, note.desc->inode_bitmap_csum_lo,
               wide ? note.desc->inode_bitmap_csum_hi : 0);
    const uint64_t wrong = first_difference(bitmap, used, bits);
    if (wrong != bits) {
      complain(c, here, "inode %llu is %s, but the bitmap says %s", Number{uint64_t{group} * bits + wrong + 1},
               bit(used, wrong) ? "in use" : "not in use", bit(bitmap, wrong) ? "used" : "free");
    }
    if (!padding_set(bitmap, bits)) { complain(c, here, "padding of the inode bitmap is not set"); }
  } else if (note.inodes_used != 0) {
    complain(c, here, "inode bitmap is uninitialised, but %u inodes are used", note.inodes_used);
  }
  const uint64_t free_count = note.desc->free_inodes_lo | uint32_t{wide ? note.desc->free_inodes_hi : uint16_t{0}}
                                                              << 16;
  const uint64_t dirs = note.desc->used_dirs_lo | uint32_t{wide ? note.desc->used_dirs_hi : uint16_t{0}} << 16;
  if (free_count != bits - note.inodes_used) {
    complain(c, here, "%llu free inodes, expected %llu", Number{free_count}, Number{bits - note.inodes_used});
  }
  if (dirs != note.dirs) { complain(c, here, "%llu directories, expected %u", Number{dirs}, note.dirs); }
  totals.inodes += bits - note.inodes_used;
}

}  // namespace

void check_bitmaps(Context& c) {
  Totals totals;
  for (uint32_t group = 0; group < c.groups; ++group) {
    check_block_bitmap(c, group, totals);
    check_inode_bitmap(c, group, totals);
  }
  const uint64_t free_blocks = join(c.has_64bit ? c.sb->free_blocks_count_hi : 0, c.sb->free_blocks_count_lo);
  if (free_blocks != totals.blocks) {
    complain(c, {"superblock", 0}, "%llu free blocks, expected %llu", Number{free_blocks}, Number{totals.blocks});
  }
  if (c.sb->free_inodes_count != totals.inodes) {
    complain(c, {"superblock", 0}, "%u free inodes, expected %llu", c.sb->free_inodes_count, Number{totals.inodes});
  }
}

}  // namespace daxfs::check::media
