#include "fuzz/image/anatomy.h"

#include <algorithm>
#include <cstring>

#include "fs/base/crc32c.h"
#include "fs/check/media_csum.h"
#include "fs/check/media_format.h"
#include "fs/check/media_tree.h"

namespace daxfuzz::image {
namespace {

namespace check = daxfs::check;
namespace media = daxfs::check::media;
using media::kBlockBytes;

constexpr std::string_view kNames[] = {"super",     "group", "block_bitmap", "inode_bitmap", "inode", "extents",
                                       "directory", "index", "xattr",        "journal",      "block"};
static_assert(std::size(kNames) == kParts);

template <typename T>
T& at(std::span<std::byte> image, uint64_t offset) {
  return *reinterpret_cast<T*>(image.data() + offset);
}
template <typename T>
const T& at(std::span<const std::byte> image, uint64_t offset) {
  return *reinterpret_cast<const T*>(image.data() + offset);
}

constexpr uint32_t kRootCountOffset = 32;  // of the count/limit pair in the first block of an indexed directory
constexpr uint32_t kNodeCountOffset = 8;   // and in the others

}  // namespace

std::string_view part_name(Part part) { return kNames[static_cast<size_t>(part)]; }

Anatomy::Anatomy(std::span<const std::byte> image) {
  add_groups(image);
  add_files(image);
  const auto own = [&](Part part) -> std::vector<Site>& { return sites_[static_cast<size_t>(part)]; };
  for (uint64_t block = 0; block < image.size() / kBlockBytes; ++block) {
    own(Part::kBlock).push_back({block * kBlockBytes, kBlockBytes, 0});
  }
  for (const Part part :
       {Part::kSuper, Part::kGroup, Part::kInode, Part::kExtents, Part::kDirectory, Part::kIndex, Part::kXattr}) {
    for (const Site& site : sites(part)) { checked_blocks_.push_back(site.offset / kBlockBytes); }
  }
  std::sort(checked_blocks_.begin(), checked_blocks_.end());
  checked_blocks_.erase(std::unique(checked_blocks_.begin(), checked_blocks_.end()), checked_blocks_.end());
  const Site super = own(Part::kSuper).front();
  for (auto& of_part : sites_) {
    if (of_part.empty()) { of_part.push_back(super); }
  }
}

void Anatomy::add_groups(std::span<const std::byte> image) {
  const auto& super = at<media::SuperBlock>(image, media::kSuperOffset);
  const auto put = [&](Part part, Site site) { sites_[static_cast<size_t>(part)].push_back(site); };
  put(Part::kSuper, {media::kSuperOffset, sizeof(media::SuperBlock), 0});
  blocks_per_group_ = super.blocks_per_group;
  inodes_per_group_ = super.inodes_per_group;
  const uint32_t desc_bytes = (super.feature_incompat & media::kIncompat64Bit) != 0 ? super.desc_size : 32u;
  for (uint32_t i = 0; i < super.inodes_count / super.inodes_per_group; ++i) {
    const Site site{kBlockBytes + uint64_t{i} * desc_bytes, desc_bytes, 0};
    const auto& group = at<media::GroupDesc>(image, site.offset);
    put(Part::kGroup, site);
    put(Part::kBlockBitmap, {group.block_bitmap_lo * kBlockBytes, blocks_per_group_ / 8, 0});
    put(Part::kInodeBitmap, {group.inode_bitmap_lo * kBlockBytes, inodes_per_group_ / 8, 0});
    for (uint32_t n = 0; n < inodes_per_group_; ++n) {
      put(Part::kInode, {group.inode_table_lo * kBlockBytes + uint64_t{n} * super.inode_size, super.inode_size,
                         i * inodes_per_group_ + n + 1});
    }
  }
}

void Anatomy::add_files(std::span<const std::byte> image) {
  const check::ImageReader reader(image);
  std::vector<check::TreeExtent> extents;
  std::vector<uint64_t> nodes;
  const auto put = [&](Part part, uint64_t block, uint32_t ino) {
    sites_[static_cast<size_t>(part)].push_back({block * kBlockBytes, kBlockBytes, ino});
  };
  for (uint32_t ino = 1; ino <= reader.inodes(); ++ino) {
    check::TreeInode inode;
    if (!reader.inode(ino, inode) || inode.mode == 0 || ino == media::kResizeIno) { continue; }
    reader.extents(ino, extents, &nodes);
    for (const uint64_t node : nodes) { put(Part::kExtents, node, ino); }
    if (inode.attribute_block != 0) { put(Part::kXattr, inode.attribute_block, ino); }
    if (ino == media::kJournalIno && !extents.empty()) { put(Part::kJournal, extents.front().physical, ino); }
    if (!inode.is_directory()) { continue; }
    const bool indexed = (inode.flags & media::kFlagIndex) != 0;
    for (const check::TreeExtent& extent : extents) {
      for (uint32_t i = 0; i < extent.length; ++i) {
        const auto& first = at<media::DirEntry>(image, (extent.physical + i) * kBlockBytes);
        const bool root = indexed && extent.logical + i == 0;
        const bool node = indexed && !root && first.inode == 0 && first.rec_len == kBlockBytes;
        put(root || node ? Part::kIndex : Part::kDirectory, extent.physical + i, ino);
      }
    }
  }
}

void Anatomy::renew_node(std::span<std::byte> image, uint32_t seed, Part part, const Site& site) const {
  std::byte* const bytes = image.data() + site.offset;
  const auto store = [bytes](uint64_t offset, uint32_t value) { std::memcpy(bytes + offset, &value, sizeof(value)); };
  if (part == Part::kXattr) {
    at<media::XattrHeader>(image, site.offset).checksum =
        media::xattr_block_csum(seed, site.offset / kBlockBytes, bytes);
    return;
  }
  const auto& inode = at<media::Inode>(image, sites(Part::kInode)[site.ino - 1].offset);
  const uint32_t owner = media::inode_seed(seed, site.ino, inode.generation);
  if (part == Part::kDirectory) { return store(kBlockBytes - 4, media::dir_block_csum(owner, bytes)); }
  if (part == Part::kExtents) {
    if ((inode.flags & media::kFlagExtents) == 0) { return; }  // an indirect block has none
    const uint64_t most = at<media::ExtentHeader>(image, site.offset).max;
    if (12 + 12 * most + 4 <= kBlockBytes) { store(12 + 12 * most, media::extent_block_csum(owner, bytes)); }
    return;
  }
  const auto& first = at<media::DirEntry>(image, site.offset);
  const bool node = first.inode == 0 && first.rec_len == kBlockBytes;
  const uint32_t offset = node ? kNodeCountOffset : kRootCountOffset;
  const auto& pair = at<media::DxCountLimit>(image, site.offset + offset);
  if (offset + pair.limit * 8u + 8u > kBlockBytes || pair.count > pair.limit) { return; }
  store(offset + pair.limit * 8u + 4, media::dx_block_csum(owner, bytes, offset, pair.count, pair.limit));
}

void Anatomy::renew_inode(std::span<std::byte> image, uint32_t seed, const Site& site) const {
  const auto bytes = image.subspan(site.offset, site.size);
  if (std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; })) { return; }
  auto& inode = at<media::Inode>(image, site.offset);
  const uint32_t crc = media::inode_csum(media::inode_seed(seed, site.ino, inode.generation), inode, site.size);
  inode.checksum_lo = static_cast<uint16_t>(crc);
  if (media::inode_csum_has_high(inode, site.size)) { inode.checksum_hi = static_cast<uint16_t>(crc >> 16); }
}

void Anatomy::renew_group(std::span<std::byte> image, uint32_t seed, bool full, uint32_t number) const {
  const Site& site = sites(Part::kGroup)[number];
  auto& group = at<media::GroupDesc>(image, site.offset);
  const auto sum = [&](Part part, uint32_t bits) {
    return daxfs::crc32c(seed, image.data() + sites(part)[number].offset, bits / 8);
  };
  const bool wide = site.size >= sizeof(group);
  if (full && (group.flags & media::kGroupBlockUninit) == 0) {  // else nobody has written the bitmap yet
    const uint32_t crc = sum(Part::kBlockBitmap, blocks_per_group_);
    group.block_bitmap_csum_lo = static_cast<uint16_t>(crc);
    if (wide) { group.block_bitmap_csum_hi = static_cast<uint16_t>(crc >> 16); }
  }
  if (full && (group.flags & media::kGroupInodeUninit) == 0) {
    const uint32_t crc = sum(Part::kInodeBitmap, inodes_per_group_);
    group.inode_bitmap_csum_lo = static_cast<uint16_t>(crc);
    if (wide) { group.inode_bitmap_csum_hi = static_cast<uint16_t>(crc >> 16); }
  }
  group.checksum = media::group_csum(at<media::SuperBlock>(image, media::kSuperOffset), seed, number, group, site.size);
}

void Anatomy::renew(std::span<std::byte> image) const {
  auto& super = at<media::SuperBlock>(image, media::kSuperOffset);
  const bool full = (super.feature_ro_compat & media::kRoMetadataCsum) != 0;
  const uint32_t seed = media::fs_seed(super);
  if (full) {
    for (const Site& site : sites(Part::kInode)) { renew_inode(image, seed, site); }
    for (const Part part : {Part::kExtents, Part::kDirectory, Part::kIndex, Part::kXattr}) {
      for (const Site& site : sites(part)) {
        if (site.ino != 0) { renew_node(image, seed, part, site); }
      }
    }
  }
  if (full || (super.feature_ro_compat & media::kRoGdtCsum) != 0) {
    for (uint32_t i = 0; i < sites(Part::kGroup).size(); ++i) { renew_group(image, seed, full, i); }
  }
  if (full) { super.checksum = media::super_csum(super); }
}

}  // namespace daxfuzz::image
