// fs/check/media_xattr.cc - extended attributes: in the inode's tail and in a block of their own.
//
// Kernel: fs/ext4/xattr.c.
#include <array>

#include "fs/check/media_context.h"
#include "fs/check/media_csum.h"

namespace daxfs::check::media {
namespace {

using Number = unsigned long long;

uint32_t rounded(uint32_t bytes) { return (bytes + 3) & ~3u; }
uint32_t entry_bytes(uint32_t name_len) { return rounded(name_len + static_cast<uint32_t>(sizeof(XattrEntry))); }

// Which bytes of an attribute area are taken; names, values and headers may not overlap.
class Region {
 public:
  explicit Region(uint32_t bytes) : bytes_(bytes) {}

  // RETURNS: false when the range is empty, leaves the area or overlaps an earlier one.
  bool take(uint64_t first, uint64_t count) {
    if (count == 0 || first >= bytes_ || count > bytes_ - first) { return false; }
    bool free = true;
    for (uint64_t begin = first, end = first + count; begin < end;) {
      const uint64_t low = begin % 64;
      const uint64_t span = std::min<uint64_t>(64 - low, end - begin);
      const uint64_t mask = (span == 64 ? ~uint64_t{0} : (uint64_t{1} << span) - 1) << low;
      free = free && (taken_[begin / 64] & mask) == 0;
      taken_[begin / 64] |= mask;
      begin += span;
    }
    return free;
  }

 private:
  uint32_t bytes_;
  std::array<uint64_t, kBlockBytes / 64> taken_{};
};

// Names hash by signed or unsigned characters, depending on the machine that wrote them.
uint32_t hash_name(const XattrEntry& entry, bool as_signed) {
  const auto* name = reinterpret_cast<const uint8_t*>(&entry + 1);
  uint32_t hash = 0;
  for (unsigned i = 0; i < entry.name_len; ++i) {
    const uint32_t c = as_signed ? static_cast<uint32_t>(static_cast<int8_t>(name[i])) : name[i];
    hash = (hash << 5) ^ (hash >> 27) ^ c;
  }
  return hash;
}

bool hash_good(const XattrEntry& entry, const std::byte* value) {
  for (const bool as_signed : {false, true}) {
    uint32_t hash = hash_name(entry, as_signed);
    for (uint32_t i = 0; i < rounded(entry.value_size); i += 4) {
      hash = (hash << 16) ^ (hash >> 16) ^ load32(value + i);
    }
    if (hash == entry.hash) { return true; }
  }
  return false;
}

// RETURNS: what is wrong with the attributes behind `area` (its first word is the magic), or null.
const char* inline_problem(const std::byte* area, uint32_t bytes) {
  Region region(bytes);
  region.take(0, 4);
  uint32_t remain = bytes - 4;
  uint32_t offset = 4;
  while (remain >= sizeof(XattrEntry) && load32(area + offset) != 0) {
    const auto& entry = *reinterpret_cast<const XattrEntry*>(area + offset);
    if (!region.take(offset, entry_bytes(entry.name_len))) { return "entries overlap"; }
    remain -= static_cast<uint32_t>(sizeof(XattrEntry));
    if (rounded(entry.name_len) > remain) { return "name is too long"; }
    remain -= rounded(entry.name_len);
    if (entry.value_inum != 0) { return "value in an inode of its own"; }
    if (entry.value_size > remain) { return "value is too long"; }
    if (entry.value_size != 0 && !region.take(uint64_t{4} + entry.value_offs, rounded(entry.value_size))) {
      return "values overlap";
    }
    const std::byte* value = entry.value_size != 0 ? area + 4 + entry.value_offs : nullptr;
    if (entry.hash != 0 && !hash_good(entry, value)) { return "hash is wrong"; }
    remain -= entry.value_size;
    offset += entry_bytes(entry.name_len);
  }
  return region.take(offset, 4) ? nullptr : "no room for the end mark";
}

const char* block_problem(const std::byte* block) {
  const auto& header = *reinterpret_cast<const XattrHeader*>(block);
  if (header.magic != kXattrMagic) { return "bad magic"; }
  if (header.blocks != 1) { return "more than one block"; }
  Region region(kBlockBytes);
  region.take(0, sizeof(XattrHeader));
  uint32_t offset = sizeof(XattrHeader);
  while (offset + 4 <= kBlockBytes && load32(block + offset) != 0) {
    if (offset + sizeof(XattrEntry) > kBlockBytes) { return "entry leaves the block"; }
    const auto& entry = *reinterpret_cast<const XattrEntry*>(block + offset);
    if (!region.take(offset, entry_bytes(entry.name_len))) { return "entries overlap"; }
    if (entry.name_index == 0) { return "bad name index"; }
    if (entry.value_inum != 0) { return "value in an inode of its own"; }
    if (uint64_t{entry.value_offs} + entry.value_size > kBlockBytes) { return "value leaves the block"; }
    if (entry.value_size != 0 && !region.take(entry.value_offs, rounded(entry.value_size))) { return "values overlap"; }
    const std::byte* value = entry.value_size != 0 ? block + entry.value_offs : nullptr;
    if (!hash_good(entry, value)) { return "hash is wrong"; }
    offset += entry_bytes(entry.name_len);
  }
  return region.take(offset, 4) ? nullptr : "no room for the end mark";
}

bool negative_epoch(uint32_t time, uint32_t extra) { return (time >> 31) != 0 && (extra & 3) == 3; }

}  // namespace

void check_inline_xattrs(Context& c, uint32_t ino, const Inode& inode) {
  if (c.inode_bytes == kInodeBytesOld) { return; }
  const uint32_t room = c.inode_bytes - kInodeBytesOld;
  const uint32_t extra = inode.extra_isize;
  if (extra != 0 && (extra < 4 || extra > room || extra % 4 != 0)) {
    complain(c, {"inode", ino}, "extra_isize %u", extra);
    return;
  }
  if (extra >= room - 4) { return; }
  const std::byte* area = reinterpret_cast<const std::byte*>(&inode) + kInodeBytesOld + extra;
  if (load32(area) == kXattrMagic) {
    const char* problem = inline_problem(area, room - extra);
    if (problem != nullptr) { complain(c, {"inode", ino}, "attributes in the inode: %s", problem); }
  }
  if (negative_epoch(inode.atime, inode.atime_extra) || negative_epoch(inode.ctime, inode.ctime_extra) ||
      negative_epoch(inode.mtime, inode.mtime_extra) || negative_epoch(inode.crtime, inode.crtime_extra)) {
    complain(c, {"inode", ino}, "a time has the invalid old encoding of dates before 1970");
  }
}

unsigned check_xattr_block(Context& c, uint32_t ino, const Inode& inode) {
  const uint64_t block = join(c.has_64bit ? inode.file_acl_hi : 0, inode.file_acl_lo);
  if (block == 0) { return 0; }
  const At here{"inode", ino};
  if ((c.sb->feature_compat & kCompatExtAttr) == 0 || !c.in_range(block)) {
    complain(c, here, "illegal attribute block %llu", Number{block});
    return 0;
  }
  for (XattrBlock& known : c.s.xattr_blocks) {
    if (known.block == block) {
      ++known.seen;
      return 1;
    }
  }
  const auto& header = *c.at<XattrHeader>(block);
  c.s.xattr_blocks.push_back({block, header.refcount, 1});
  if (!claim(c, block, 1)) { complain(c, here, "attribute block %llu has another owner", Number{block}); }
  const char* problem = block_problem(c.block(block));
  if (problem != nullptr) { complain(c, {"inode", ino, "block", block}, "attribute block: %s", problem); }
  if (c.metadata_csum && !known_good(c, block, c.seed)) {
    const uint32_t want = xattr_block_csum(c.seed, block, c.block(block));
    if (header.checksum != want) {
      complain(c, {"inode", ino, "block", block}, "attribute block checksum is %#x, expected %#x", header.checksum,
               want);
    } else {
      remember_good(c, block, c.seed);
    }
  }
  return 1;
}

void check_xattr_refcounts(Context& c) {
  for (const XattrBlock& known : c.s.xattr_blocks) {
    if (known.seen != known.refcount) {
      complain(c, {"block", known.block}, "attribute block says %u references, has %u", known.refcount, known.seen);
    }
  }
}

}  // namespace daxfs::check::media
