// Mounting: every check of the superblock before anything trusts it. Kernel: ext4_fill_super, ext4_check_feature...
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "fs/base/crc32c.h"
#include "fs/base/report.h"
#include "fs/base/text.h"
#include "fs/ext4/flusher.h"
#include "fs/ext4/format_assertions.h"
#include "fs/ext4/inode_io.h"
#include "fs/ext4/mount_message.h"
#include "fs/ext4/orphan.h"
#include "fs/ext4/super.h"
#include "fs/mm/memory.h"

namespace daxfs::ext4 {

Status refuse(std::string* message, Errc errc, const char* format, ...) {
  if (message != nullptr) {
    va_list args;
    va_start(args, format);
    *message = vformat(format, args);
    va_end(args);
  }
  return errc;
}

namespace {

struct FeatureName {
  uint32_t bit;
  const char* name;
};

constexpr uint32_t kIncompatSupported =
    kIncompatFiletype | kIncompatExtents | kIncompat64Bit | kIncompatFlexBg | kIncompatCsumSeed;
constexpr uint32_t kRoCompatSupported = kRoCompatSparseSuper | kRoCompatLargeFile | kRoCompatBtreeDir |
                                        kRoCompatHugeFile | kRoCompatGdtCsum | kRoCompatDirNlink | kRoCompatExtraIsize |
                                        kRoCompatMetadataCsum;
// Unknown to us, yet harmless to a reader.
constexpr uint32_t kRoCompatReadable = 0x100 | 0x1000 | 0x2000 | 0x10000;

constexpr FeatureName kIncompatNames[] = {
    {0x1, "compression"},  {0x2, "filetype"},       {0x4, "needs_recovery"}, {0x8, "journal_dev"},
    {0x10, "meta_bg"},     {0x40, "extent"},        {0x80, "64bit"},         {0x100, "mmp"},
    {0x200, "flex_bg"},    {0x400, "ea_inode"},     {0x1000, "dirdata"},     {0x2000, "metadata_csum_seed"},
    {0x4000, "large_dir"}, {0x8000, "inline_data"}, {0x10000, "encrypt"},    {0x20000, "casefold"}};
constexpr FeatureName kRoCompatNames[] = {
    {0x80, "snapshot"},        {0x100, "quota"},      {0x200, "bigalloc"},
    {0x800, "replica"},        {0x1000, "read-only"}, {0x2000, "project"},
    {0x4000, "shared_blocks"}, {0x8000, "verity"},    {0x10000, "orphan_present"}};

template <size_t N>
std::string feature_list(uint32_t bits, const FeatureName (&names)[N]) {
  std::string list;
  for (uint32_t bit = 1; bit != 0; bit <<= 1) {
    if ((bits & bit) == 0) { continue; }
    if (!list.empty()) { list += ' '; }
    const char* known = nullptr;
    for (const FeatureName& name : names) {
      if (name.bit == bit) { known = name.name; }
    }
    char number[16];
    std::snprintf(number, sizeof(number), "0x%x", bit);
    list += known != nullptr ? known : number;
  }
  return list;
}

}  // namespace

// The steps of a mount, in order; each checks what later ones rely on.
class MountSteps {
 public:
  MountSteps(Volume& volume, std::string* message) : volume_(volume), message_(message) {}

  Status run() {
    FS_RETURN_IF_ERROR(read_super());
    const SuperBlock& super = volume_.super();
    FS_RETURN_IF_ERROR(check_features(super));
    FS_RETURN_IF_ERROR(check_super_csum(super));
    FS_RETURN_IF_ERROR(check_geometry(super));
    FS_RETURN_IF_ERROR(volume_.groups_.load(volume_.geometry_, message_));
    FS_RETURN_IF_ERROR(set_counters(super));
    return load_orphans();
  }

 private:
  Status read_super() {
    auto buffer = volume_.buffers_.get(FsBlock(0));
    if (!buffer.ok()) { return refuse(message_, buffer.error(), "the superblock cannot be read"); }
    volume_.super_buffer_ = std::move(buffer).value();
    const SuperBlock& super = volume_.super();
    if (super.s_magic != kSuperMagic) {
      return refuse(message_, Errc::kInval, "not an ext4 image: the magic number is 0x%04x, expected 0xef53",
                    static_cast<unsigned>(super.s_magic));
    }
    return ok_status();
  }

  Status check_features(const SuperBlock& super) {
    if (super.s_rev_level != 1) {
      return refuse(message_, Errc::kInval, "revision %u of the format is not supported",
                    static_cast<unsigned>(super.s_rev_level));
    }
    const uint32_t unknown = super.s_feature_incompat & ~(kIncompatSupported | kIncompatRecover);
    if (unknown != 0) {
      return refuse(message_, Errc::kInval, "unsupported incompatible features: %s",
                    feature_list(unknown, kIncompatNames).c_str());
    }
    const uint32_t missing = kIncompatFiletype & ~super.s_feature_incompat;
    if (missing != 0) {
      return refuse(message_, Errc::kInval, "required features are missing: %s",
                    feature_list(missing, kIncompatNames).c_str());
    }
    const uint32_t unknown_ro = super.s_feature_ro_compat & ~kRoCompatSupported;
    const uint32_t refused_ro = volume_.read_only() ? unknown_ro & ~kRoCompatReadable : unknown_ro;
    if (refused_ro != 0) {
      return refuse(message_, Errc::kInval, "unsupported features%s: %s",
                    (refused_ro & ~kRoCompatReadable) == 0 ? " for a read-write mount" : "",
                    feature_list(refused_ro, kRoCompatNames).c_str());
    }
    if (super.has_incompat(kIncompatRecover)) {
      return refuse(message_, Errc::kRoFs, "journal needs recovery: replay it first (e2fsck -p)");
    }
    if (super.has_compat(kCompatHasJournal) && super.s_journal_inum != kJournalIno) {
      return refuse(message_, Errc::kInval, "the journal is inode %u on device %x; only inode 8 is supported",
                    static_cast<unsigned>(super.s_journal_inum), static_cast<unsigned>(super.s_journal_dev));
    }
    return ok_status();
  }

  Status check_super_csum(const SuperBlock& super) {
    Geometry& geometry = volume_.geometry_;
    std::memcpy(geometry.uuid.data(), super.s_uuid, geometry.uuid.size());
    geometry.csum_seed =
        super.has_incompat(kIncompatCsumSeed) ? super.s_checksum_seed : crc32c(~0u, super.s_uuid, sizeof(super.s_uuid));
    if (!super.has_ro_compat(kRoCompatMetadataCsum)) {
      if (super.has_incompat(kIncompatCsumSeed)) {
        return refuse(message_, Errc::kInval, "metadata_csum_seed without metadata_csum");
      }
      return ok_status();
    }
    if (super.s_checksum_type != kCsumTypeCrc32c) {
      return refuse(message_, Errc::kInval, "checksum type %u is not supported",
                    static_cast<unsigned>(super.s_checksum_type));
    }
    const uint32_t expected = crc32c(~0u, &super, offsetof(SuperBlock, s_checksum));
    if (super.s_checksum != expected) {
      return refuse(message_, Errc::kCorrupted, "checksum of the superblock is %08x, expected %08x",
                    static_cast<unsigned>(super.s_checksum), expected);
    }
    return ok_status();
  }

  Status check_geometry(const SuperBlock& super) {
    Geometry& geometry = volume_.geometry_;
    geometry.feature_compat = super.s_feature_compat;
    geometry.feature_incompat = super.s_feature_incompat;
    geometry.feature_ro_compat = super.s_feature_ro_compat;
    FS_RETURN_IF_ERROR(check_sizes(super));
    FS_RETURN_IF_ERROR(check_counts(super));
    geometry.block_count = super.blocks_count();
    geometry.blocks_reserved = super.reserved_blocks_count();
    geometry.blocks_per_group = super.s_blocks_per_group;
    geometry.inodes_per_group = super.s_inodes_per_group;
    geometry.inode_count = super.s_inodes_count;
    geometry.inode_table_blocks = geometry.inodes_per_group / geometry.inodes_per_block();
    geometry.first_ino = super.s_first_ino;
    geometry.group_count = static_cast<uint32_t>(div_round_up(geometry.block_count, geometry.blocks_per_group));
    geometry.gdt_blocks = static_cast<uint32_t>(
        div_round_up(static_cast<uint64_t>(geometry.group_count) * geometry.desc_size, kBlockSize));
    geometry.gdt_reserved_blocks = super.s_reserved_gdt_blocks;
    geometry.first_group_blocks = 1 + geometry.gdt_blocks + geometry.gdt_reserved_blocks;
    const unsigned flex_shift = geometry.flex_bg() ? super.s_log_groups_per_flex : 0;
    if (flex_shift > 31) { return refuse(message_, Errc::kInval, "s_log_groups_per_flex is %u", flex_shift); }
    geometry.groups_per_flex = 1u << flex_shift;
    geometry.backup_groups[0] = super.s_backup_bgs[0];
    geometry.backup_groups[1] = super.s_backup_bgs[1];
    return check_groups();
  }

  Status check_sizes(const SuperBlock& super) {
    Geometry& geometry = volume_.geometry_;
    if (super.s_log_block_size != 2) {
      return refuse(message_, Errc::kInval, "block size %llu is not supported, only 4096",
                    super.s_log_block_size < 20 ? 1024ull << super.s_log_block_size : 0ull);
    }
    if (super.s_log_cluster_size != 2 || super.s_first_data_block != 0) {
      return refuse(message_, Errc::kInval, "cluster size or first data block do not fit the block size");
    }
    const uint32_t inode_size = super.s_inode_size;
    if (inode_size < kGoodOldInodeSize || inode_size > kBlockSize || (inode_size & (inode_size - 1)) != 0) {
      return refuse(message_, Errc::kInval, "inode size %u is not a power of two from 128 to 4096", inode_size);
    }
    geometry.inode_size = inode_size;
    geometry.desc_size = super.has_incompat(kIncompat64Bit) ? super.s_desc_size : kDescSizeMin;
    if (super.has_incompat(kIncompat64Bit) && (geometry.desc_size < kDescSize64 || geometry.desc_size > kBlockSize ||
                                               (geometry.desc_size & (geometry.desc_size - 1)) != 0)) {
      return refuse(message_, Errc::kInval, "group descriptor size %u is not supported", geometry.desc_size);
    }
    return ok_status();
  }

  Status check_counts(const SuperBlock& super) {
    const uint32_t bits = kBlockSize * 8;
    const uint32_t blocks_per_group = super.s_blocks_per_group;
    const uint32_t inodes_per_group = super.s_inodes_per_group;
    const uint32_t inodes_per_block = static_cast<uint32_t>(kBlockSize) / volume_.geometry_.inode_size;
    if (blocks_per_group < 256 || blocks_per_group > bits || blocks_per_group % 8 != 0 ||
        super.s_clusters_per_group != blocks_per_group) {
      return refuse(message_, Errc::kInval, "%u blocks a group (%u clusters) is not supported", blocks_per_group,
                    static_cast<unsigned>(super.s_clusters_per_group));
    }
    if (inodes_per_group == 0 || inodes_per_group > bits || inodes_per_group % 8 != 0 ||
        inodes_per_group % inodes_per_block != 0) {
      return refuse(message_, Errc::kInval, "%u inodes a group is not supported", inodes_per_group);
    }
    if (super.s_first_ino < kFirstInoMin || super.s_first_ino > inodes_per_group) {
      return refuse(message_, Errc::kInval, "first inode %u is out of range", static_cast<unsigned>(super.s_first_ino));
    }
    const uint64_t blocks = super.blocks_count();
    if (blocks > volume_.device_.block_count()) {
      return refuse(message_, Errc::kInval, "the filesystem has %llu blocks, the device only %llu: truncated image",
                    static_cast<unsigned long long>(blocks),
                    static_cast<unsigned long long>(volume_.device_.block_count()));
    }
    if (blocks == 0 || super.reserved_blocks_count() > blocks) {
      return refuse(message_, Errc::kInval, "%llu blocks with %llu reserved make no sense",
                    static_cast<unsigned long long>(blocks),
                    static_cast<unsigned long long>(super.reserved_blocks_count()));
    }
    const uint64_t groups = div_round_up(blocks, blocks_per_group);
    if (groups * inodes_per_group != super.s_inodes_count) {
      return refuse(message_, Errc::kInval, "%u inodes do not fit %llu groups of %u",
                    static_cast<unsigned>(super.s_inodes_count), static_cast<unsigned long long>(groups),
                    inodes_per_group);
    }
    return ok_status();
  }

  Status check_groups() {
    const Geometry& geometry = volume_.geometry_;
    if (geometry.gdt_reserved_blocks > kBlockSize / 4) {
      return refuse(message_, Errc::kInval, "%u reserved descriptor blocks are too many", geometry.gdt_reserved_blocks);
    }
    if (geometry.first_group_blocks > geometry.block_count || geometry.first_group_blocks > geometry.blocks_per_group) {
      return refuse(message_, Errc::kInval, "the group descriptors do not fit the first group");
    }
    return ok_status();
  }

  Status set_counters(const SuperBlock& super) {
    Volume& volume = volume_;
    volume.mount_state_ = super.s_state;
    volume.blocks_free_.store_unpointed(volume.groups_.totals().blocks_free);
    // As much as the kernel keeps back for extent tree splits: 2 percent, at most 4096 clusters.
    volume.blocks_kept_back_ = std::min<uint64_t>(volume.geometry_.block_count / 50, 4096);
    volume.generation_.store_unpointed(
        crc32c(volume.geometry_.csum_seed, &super.s_mnt_count, sizeof(super.s_mnt_count)));
    volume.geometry_.overhead = super.s_overhead_clusters;
    if (volume.geometry_.overhead == 0 || volume.geometry_.overhead > volume.geometry_.block_count) {
      return count_overhead();
    }
    return ok_status();
  }

  // Kernel: ext4_calculate_overhead.
  Status count_overhead() {
    Geometry& geometry = volume_.geometry_;
    uint64_t overhead = 0;
    for (uint32_t i = 0; i < geometry.group_count; ++i) {
      if (geometry.group_has_super(i)) { overhead += geometry.first_group_blocks; }
      overhead += 2 + geometry.inode_table_blocks;
    }
    if (geometry.has_journal()) {
      auto journal = read_inode(volume_, Ino(kJournalIno));
      if (!journal.ok()) { return refuse(message_, journal.error(), "the journal's inode is bad"); }
      overhead += journal->size() / kBlockSize;
    }
    geometry.overhead = std::min(overhead, geometry.block_count);
    return ok_status();
  }

  Status load_orphans() {
    if (volume_.super().s_last_orphan == 0) { return ok_status(); }
    const Status status = orphan_load(volume_);
    if (!status.ok()) { return refuse(message_, status.error(), "the orphan list is damaged: run e2fsck"); }
    return ok_status();
  }

  Volume& volume_;
  std::string* message_;
};

Result<std::unique_ptr<Volume>> Volume::mount_with(pmem::Device& device, mm::Memory* memory,
                                                   const MountOptions& options, const InodeLayer* inodes,
                                                   std::string* message) {
  if (device.read_only() && !options.read_only) {
    return refuse(message, Errc::kRoFs, "the device is read-only: mount read-only").error();
  }
  if (memory != nullptr) {
    const bool huge = options.huge_order != 0;
    const Status set = memory->set_huge(huge, huge ? options.huge_order : kPmdOrder);
    if (!set.ok()) {
      return refuse(message, set.error(), "a process still has page tables for other huge pages").error();
    }
  }
  arm_injections(options.fail);
  std::unique_ptr<Volume> volume(new Volume(device, memory, options, inodes));
  FS_RETURN_IF_ERROR(MountSteps(*volume, message).run());
  if (options.read_only) {
    volume->journal_.abort();
  } else if (Status status = volume->mark_mounted(); !status.ok()) {
    return refuse(message, status.error(), "the superblock cannot be written").error();
  }
  volume->mounted_ = true;
  if (inodes != nullptr) {
    volume->inodes_ = inodes->create(*volume);
    if (options.flush_pages != 0 && !options.read_only) {
      volume->flusher_ = std::make_unique<Flusher>(options.flush_pages);
    }
  }
  if (inodes != nullptr && !options.read_only) {
    if (Status status = orphan_cleanup(*volume, inodes->process_orphan); !status.ok()) {
      volume->unmount().ignore_error("the first error is the one to report");
      return refuse(message, status.error(), "orphan inodes cannot be cleaned up (%s): run e2fsck",
                    errc_name(status.error()))
          .error();
    }
  }
  return volume;
}

}  // namespace daxfs::ext4
