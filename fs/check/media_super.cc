// fs/check/media_super.cc - the superblock: can the rest be read at all, and do its constants agree.
#include <algorithm>

#include "fs/check/media_context.h"
#include "fs/check/media_csum.h"

namespace daxfs::check::media {
namespace {

constexpr At kHere{"superblock", 0};

bool power_of_two(uint32_t value) { return value != 0 && (value & (value - 1)) == 0; }

bool in_limits(Context& c, const char* field, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) { return true; }
  complain(c, kHere, "%s is %llu, not within [%llu, %llu]", field, static_cast<unsigned long long>(value),
           static_cast<unsigned long long>(low), static_cast<unsigned long long>(high));
  return false;
}

bool features_supported(Context& c) {
  const SuperBlock& sb = *c.sb;
  const uint32_t compat = sb.feature_compat & ~kCompatSupported;
  const uint32_t incompat = sb.feature_incompat & ~kIncompatSupported;
  const uint32_t ro = sb.feature_ro_compat & ~kRoCompatSupported;
  if (compat != 0) { complain(c, kHere, "unsupported compatible features %#x", compat); }
  if (incompat != 0) { complain(c, kHere, "unsupported incompatible features %#x", incompat); }
  if (ro != 0) { complain(c, kHere, "unsupported read-only compatible features %#x", ro); }
  return (compat | incompat | ro) == 0;
}

bool recognise(Context& c) {
  if (c.image_bytes < kSuperOffset + sizeof(SuperBlock)) {
    complain(c, kHere, "the image of %llu bytes is too short", static_cast<unsigned long long>(c.image_bytes));
    return false;
  }
  c.sb = reinterpret_cast<const SuperBlock*>(c.base + kSuperOffset);
  const SuperBlock& sb = *c.sb;
  if (sb.magic != kSuperMagic) {
    complain(c, kHere, "bad magic %#x", sb.magic);
    return false;
  }
  if (!features_supported(c)) { return false; }
  if (sb.rev_level != 1) {
    complain(c, kHere, "unsupported revision %u", sb.rev_level);
    return false;
  }
  if ((sb.feature_ro_compat & kRoMetadataCsum) != 0) {
    if (sb.checksum_type != 1) { complain(c, kHere, "unknown checksum type %u", sb.checksum_type); }
    const uint32_t want = super_csum(sb);
    if (sb.checksum != want) { complain(c, kHere, "checksum is %#x, expected %#x", sb.checksum, want); }
  }
  if (sb.log_block_size != 2 || sb.log_cluster_size != 2) {
    complain(c, kHere, "unsupported block or cluster size (log %u, %u)", sb.log_block_size, sb.log_cluster_size);
    return false;
  }
  return true;
}

bool read_geometry(Context& c) {
  const SuperBlock& sb = *c.sb;
  c.blocks = join(c.has_64bit ? sb.blocks_count_hi : 0, sb.blocks_count_lo);
  if (c.blocks == 0 || c.blocks > c.image_bytes / kBlockBytes) {
    complain(c, kHere, "blocks_count is %llu, the image has room for %llu", static_cast<unsigned long long>(c.blocks),
             static_cast<unsigned long long>(c.image_bytes / kBlockBytes));
    return false;
  }
  c.inode_bytes = sb.inode_size;
  if (!power_of_two(c.inode_bytes) || !in_limits(c, "inode_size", c.inode_bytes, kInodeBytesOld, kBlockBytes)) {
    complain(c, kHere, "bad inode size %u", c.inode_bytes);
    return false;
  }
  const uint32_t inodes_per_block = static_cast<uint32_t>(kBlockBytes / c.inode_bytes);
  c.blocks_per_group = sb.blocks_per_group;
  c.inodes_per_group = sb.inodes_per_group;
  const uint64_t most = kBlockBytes * 8;
  if (!in_limits(c, "blocks_per_group", c.blocks_per_group, 8, most) ||
      !in_limits(c, "clusters_per_group", sb.clusters_per_group, c.blocks_per_group, c.blocks_per_group) ||
      !in_limits(c, "inodes_per_group", c.inodes_per_group, inodes_per_block,
                 std::min<uint64_t>(most, uint64_t{inodes_per_block} * (std::max(c.blocks_per_group, 5u) - 4))) ||
      !in_limits(c, "first_data_block", sb.first_data_block, 0, 0)) {
    return false;
  }
  if (c.blocks_per_group % 8 != 0 || c.inodes_per_group % 8 != 0) {
    complain(c, kHere, "group sizes %u and %u are no multiples of 8", c.blocks_per_group, c.inodes_per_group);
    return false;
  }
  c.groups = static_cast<uint32_t>((c.blocks + c.blocks_per_group - 1) / c.blocks_per_group);
  c.itable_blocks = (c.inodes_per_group * c.inode_bytes + kBlockBytes - 1) / kBlockBytes;
  c.inodes = sb.inodes_count;
  const uint64_t inodes = uint64_t{c.groups} * c.inodes_per_group;
  // The tables must fit into the image; this also bounds what the notes about inodes take.
  if (!in_limits(c, "inodes_count", c.inodes, inodes, inodes) ||
      !in_limits(c, "inode table blocks", uint64_t{c.groups} * c.itable_blocks, 1, c.blocks) ||
      !in_limits(c, "first_ino", sb.first_ino, 11, c.inodes)) {
    return false;
  }
  c.first_ino = sb.first_ino;
  return true;
}

bool read_desc_size(Context& c) {
  const SuperBlock& sb = *c.sb;
  if (c.has_64bit) {
    if (sb.desc_size < sizeof(GroupDesc) || sb.desc_size > 1024 || !power_of_two(sb.desc_size)) {
      complain(c, kHere, "bad descriptor size %u", sb.desc_size);
      return false;
    }
    c.desc_bytes = sb.desc_size;
  } else {
    if (sb.desc_size != 0 && sb.desc_size != 32) {
      complain(c, kHere, "descriptor size %u without the 64bit feature", sb.desc_size);
      return false;
    }
    c.desc_bytes = 32;
  }
  c.desc_blocks = static_cast<uint32_t>((uint64_t{c.groups} * c.desc_bytes + kBlockBytes - 1) / kBlockBytes);
  if (1 + uint64_t{c.desc_blocks} > c.blocks) {
    complain(c, kHere, "the group descriptors do not fit");
    return false;
  }
  return true;
}

void check_constants(Context& c) {
  const SuperBlock& sb = *c.sb;
  const uint64_t reserved = join(c.has_64bit ? sb.r_blocks_count_hi : 0, sb.r_blocks_count_lo);
  in_limits(c, "r_blocks_count", reserved, 0, c.blocks / 2);
  in_limits(c, "reserved_gdt_blocks", sb.reserved_gdt_blocks, 0, kBlockBytes / 4);
  if (sb.reserved_gdt_blocks != 0 && (sb.feature_compat & kCompatResizeInode) == 0) {
    complain(c, kHere, "%u reserved descriptor blocks without the resize_inode feature", sb.reserved_gdt_blocks);
  }
  if (c.inode_bytes > kInodeBytesOld) {
    const uint32_t most = c.inode_bytes - kInodeBytesOld;
    for (const uint32_t extra : {uint32_t{sb.min_extra_isize}, uint32_t{sb.want_extra_isize}}) {
      if (extra != 0 && (extra < 4 || extra > most || extra % 4 != 0)) {
        complain(c, kHere, "bad min or want extra_isize %u", extra);
      }
    }
  }
  if (c.metadata_csum && (sb.feature_ro_compat & kRoGdtCsum) != 0) {
    complain(c, kHere, "both metadata_csum and uninit_bg are set");
  }
  if (!c.metadata_csum && (sb.feature_incompat & kIncompatCsumSeed) != 0) {
    complain(c, kHere, "metadata_csum_seed without metadata_csum");
  }
  if (c.has_64bit && !c.extents) { complain(c, kHere, "64bit without extents"); }
  if (sb.log_groups_per_flex > 31) { complain(c, kHere, "2^%u groups in a flexible group", sb.log_groups_per_flex); }
  if (sb.creator_os == 1) { complain(c, kHere, "made by Hurd, whose inodes we do not know"); }
}

void check_unmount_state(Context& c) {
  const SuperBlock& sb = *c.sb;
  if (!c.options.expect_clean_unmount) { return; }
  if ((sb.state & kStateValid) == 0) { complain(c, kHere, "state %#x: not unmounted cleanly", sb.state); }
  if ((sb.state & kStateErrors) != 0) { complain(c, kHere, "state %#x: errors were recorded", sb.state); }
  if (sb.last_orphan != 0) { complain(c, kHere, "orphan list starts at inode %u", sb.last_orphan); }
  if ((sb.feature_incompat & kIncompatRecover) != 0) { complain(c, kHere, "the journal needs recovery"); }
}

}  // namespace

bool check_super(Context& c) {
  if (!recognise(c)) { return false; }
  const SuperBlock& sb = *c.sb;
  c.metadata_csum = (sb.feature_ro_compat & kRoMetadataCsum) != 0;
  c.group_csum = (sb.feature_ro_compat & (kRoMetadataCsum | kRoGdtCsum)) != 0;
  c.extents = (sb.feature_incompat & kIncompatExtents) != 0;
  c.huge_file = (sb.feature_ro_compat & kRoHugeFile) != 0;
  c.has_64bit = (sb.feature_incompat & kIncompat64Bit) != 0;
  c.seed = fs_seed(sb);
  if (!read_geometry(c) || !read_desc_size(c)) { return false; }
  // Times near the epoch cannot be told from inode numbers of an orphan list, so the dtime check is off then.
  c.low_dtime_check = true;
  for (const uint32_t time : {uint32_t{sb.wtime}, uint32_t{sb.mtime}, uint32_t{sb.mkfs_time}}) {
    if (time != 0 && time < c.inodes) { c.low_dtime_check = false; }
  }
  check_constants(c);
  check_unmount_state(c);
  c.s.used.assign((c.blocks + 63) / 64, 0);
  c.s.inode_used.assign((uint64_t{c.inodes} + 63) / 64, 0);
  c.s.notes.assign(uint64_t{c.inodes} + 1, InodeNote{});
  c.s.dir_blocks.clear();
  c.s.dirs.clear();
  c.s.xattr_blocks.clear();
  c.s.blocks_claimed = 0;
  c.s.journal_first = c.s.journal_blocks = 0;
  return true;
}

}  // namespace daxfs::check::media
