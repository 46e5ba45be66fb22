#include "fs/check/media_tree.h"

#include "fs/check/media_context.h"

namespace daxfs::check {

using media::Context;
using media::DirEntry;
using media::Extent;
using media::ExtentHeader;
using media::ExtentIndex;
using media::Inode;
using media::join;
using media::kBlockBytes;
using media::load32;

struct ImageReader::Impl {
  MediaScratch scratch;
  MediaReport report;
  MediaOptions options{.expect_clean_unmount = false, .problems_max = 0};
  Context c{.s = scratch.state(), .report = report, .options = options};
};

namespace {

// A mapping that names more tree nodes than the image has blocks is a loop.
struct MapReader {
  const Context& c;
  std::vector<TreeExtent>& out;
  std::vector<uint64_t>* nodes;
  uint64_t budget;

  bool enter(uint64_t block) {
    if (block == 0 || !c.in_range(block) || budget == 0) { return false; }
    --budget;
    if (nodes != nullptr) { nodes->push_back(block); }
    return true;
  }

  void add(uint32_t logical, uint64_t physical) {
    if (!out.empty()) {
      TreeExtent& last = out.back();
      if (last.logical + last.length == logical && last.physical + last.length == physical) {
        ++last.length;
        return;
      }
    }
    out.push_back({logical, 1, false, physical});
  }

  bool extent_node(const ExtentHeader& header, uint64_t bytes, unsigned depth) {
    if (!media::extent_header_sane(header, bytes) || header.depth != depth) { return false; }
    bool good = true;
    for (unsigned i = 0; i < header.entries; ++i) {
      if (depth == 0) {
        const Extent& e = reinterpret_cast<const Extent*>(&header + 1)[i];
        const bool unwritten = e.len > media::kExtentInitMax;
        const uint32_t length = unwritten ? e.len - media::kExtentInitMax : e.len;
        const uint64_t start = media::extent_start(e);
        const bool fits = length != 0 && start != 0 && start < c.blocks && length <= c.blocks - start;
        if (fits) { out.push_back({e.block, length, unwritten, start}); }
        good = good && fits;
      } else {
        const ExtentIndex& e = reinterpret_cast<const ExtentIndex*>(&header + 1)[i];
        const uint64_t block = media::extent_leaf(e);
        good = enter(block) && extent_node(*c.at<ExtentHeader>(block), kBlockBytes, depth - 1) && good;
      }
    }
    return good;
  }

  bool mapped(uint32_t block, unsigned level, uint64_t logical) {
    if (block == 0) { return true; }
    if (level == 0) {
      if (!c.in_range(block) || logical > 0xffffffffu) { return false; }
      add(static_cast<uint32_t>(logical), block);
      return true;
    }
    if (!enter(block)) { return false; }
    constexpr uint64_t kPer = kBlockBytes / 4;
    const uint64_t step = level == 1 ? 1 : level == 2 ? kPer : kPer * kPer;
    bool good = true;
    for (uint64_t i = 0; i < kPer; ++i) {
      good = mapped(load32(c.block(block) + 4 * i), level - 1, logical + i * step) && good;
    }
    return good;
  }

  bool block_map(const Inode& inode) {
    bool good = true;
    uint64_t logical = 0;
    const auto* array = reinterpret_cast<const std::byte*>(inode.block);
    for (unsigned i = 0; i < 12; ++i, ++logical) { good = mapped(load32(array + 4 * i), 0, logical) && good; }
    uint64_t span = kBlockBytes / 4;
    for (unsigned level = 1; level <= 3; ++level, span *= kBlockBytes / 4) {
      good = mapped(load32(array + 4 * (11 + level)), level, logical) && good;
      logical += span;
    }
    return good;
  }
};

// Device numbers and fast symlinks live where the mapping would be.
bool has_mapping(const TreeInode& inode) {
  if (inode.is_symlink()) { return inode.size >= sizeof(Inode::block); }
  return inode.is_regular() || inode.is_directory();
}

}  // namespace

ImageReader::ImageReader(std::span<const std::byte> image) : impl_(std::make_unique<Impl>()) {
  impl_->c.base = image.data();
  impl_->c.image_bytes = image.size();
  valid_ = media::check_super(impl_->c) && media::check_group_descs(impl_->c);
}

ImageReader::~ImageReader() = default;

uint32_t ImageReader::inodes() const { return valid_ ? impl_->c.inodes : 0; }

TreeSpace ImageReader::space() const {
  TreeSpace space;
  if (!valid_) { return space; }
  const Context& c = impl_->c;
  const bool wide = c.desc_bytes >= sizeof(media::GroupDesc);
  for (const media::GroupNote& note : c.s.groups) {
    const media::GroupDesc& desc = *note.desc;
    space.blocks_free += desc.free_blocks_lo | uint32_t{wide ? desc.free_blocks_hi : uint16_t{0}} << 16;
    space.inodes_free += desc.free_inodes_lo | uint32_t{wide ? desc.free_inodes_hi : uint16_t{0}} << 16;
  }
  space.blocks = c.blocks;
  space.blocks_reserved = join(c.has_64bit ? c.sb->r_blocks_count_hi : 0, c.sb->r_blocks_count_lo);
  return space;
}

bool ImageReader::inode(uint32_t ino, TreeInode& out) const {
  if (!valid_ || ino == 0 || ino > impl_->c.inodes) { return false; }
  const Context& c = impl_->c;
  const Inode& raw = *c.inode(ino);
  const uint64_t blocks = join(c.huge_file ? raw.blocks_hi : 0, raw.blocks_lo);
  const bool in_blocks = c.huge_file && (raw.flags & media::kFlagHugeFile) != 0;
  out = TreeInode{.ino = ino,
                  .mode = raw.mode,
                  .links = raw.links_count,
                  .uid = raw.uid_lo | uint32_t{raw.uid_hi} << 16,
                  .gid = raw.gid_lo | uint32_t{raw.gid_hi} << 16,
                  .size = media::inode_size(raw),
                  .i_blocks = in_blocks ? blocks * (kBlockBytes / 512) : blocks,
                  .flags = raw.flags,
                  .generation = raw.generation,
                  .mtime = raw.mtime,
                  .ctime = raw.ctime,
                  .attribute_block = join(c.has_64bit ? raw.file_acl_hi : 0, raw.file_acl_lo)};
  // Up to the end of mtime_extra.
  out.fine_times = c.inode_bytes > media::kInodeBytesOld &&
                   media::kInodeBytesOld + raw.extra_isize >= offsetof(Inode, mtime_extra) + sizeof(raw.mtime_extra);
  if (out.fine_times) {
    constexpr unsigned kEpochBits = 2;
    out.mtime_ns = raw.mtime_extra >> kEpochBits;
    out.ctime_ns = raw.ctime_extra >> kEpochBits;
  }
  return true;
}

bool ImageReader::extents(uint32_t ino, std::vector<TreeExtent>& out, std::vector<uint64_t>* nodes) const {
  out.clear();
  if (nodes != nullptr) { nodes->clear(); }
  TreeInode inode;
  if (!this->inode(ino, inode)) { return false; }
  if (!has_mapping(inode)) { return true; }
  const Context& c = impl_->c;
  const Inode& raw = *c.inode(ino);
  MapReader reader{.c = c, .out = out, .nodes = nodes, .budget = c.blocks};
  if ((raw.flags & media::kFlagExtents) == 0) { return reader.block_map(raw); }
  const auto& root = *reinterpret_cast<const ExtentHeader*>(raw.block);
  return root.depth <= media::kExtentDepthMax && reader.extent_node(root, sizeof(raw.block), root.depth);
}

size_t ImageReader::read(const TreeInode& inode, std::span<const TreeExtent> extents, uint64_t offset,
                         std::span<std::byte> out) const {
  if (!valid_ || offset >= inode.size) { return 0; }
  const size_t size = static_cast<size_t>(std::min<uint64_t>(out.size(), inode.size - offset));
  if (size == 0) { return 0; }
  std::memset(out.data(), 0, size);
  for (const TreeExtent& e : extents) {
    const uint64_t begin = std::max(uint64_t{e.logical} * kBlockBytes, offset);
    const uint64_t end = std::min((uint64_t{e.logical} + e.length) * kBlockBytes, offset + size);
    if (e.unwritten || begin >= end || e.physical >= impl_->c.blocks || e.length > impl_->c.blocks - e.physical) {
      continue;
    }
    const std::byte* from = impl_->c.block(e.physical) + (begin - uint64_t{e.logical} * kBlockBytes);
    std::memcpy(out.data() + (begin - offset), from, static_cast<size_t>(end - begin));
  }
  return size;
}

std::string ImageReader::target(const TreeInode& inode) const {
  if (!valid_ || !inode.is_symlink() || inode.size > kBlockBytes) { return {}; }
  std::string target(static_cast<size_t>(inode.size), '\0');
  if (!has_mapping(inode)) {
    std::memcpy(target.data(), impl_->c.inode(inode.ino)->block, target.size());
    return target;
  }
  std::vector<TreeExtent> map;
  extents(inode.ino, map);
  read(inode, map, 0, std::as_writable_bytes(std::span(target)));
  return target;
}

// Calls f(name, inode number) for every live entry but "." and "..". RETURNS: false when a block is malformed.
bool ImageReader::for_each_name(uint32_t dir, const std::vector<TreeExtent>& map, auto&& f) const {
  const Context& c = impl_->c;
  uint64_t budget = c.blocks;  // a directory cannot have more blocks than the image
  bool good = dir != 0;
  for (const TreeExtent& e : map) {
    for (uint32_t i = 0; i < e.length && budget > 0; ++i, --budget) {
      const std::byte* bytes = c.block(e.physical + i);
      for (uint32_t offset = 0; offset + 12 <= kBlockBytes;) {
        const auto& entry = *reinterpret_cast<const DirEntry*>(bytes + offset);
        const uint32_t length = entry.rec_len;
        if (length < 12 || length % 4 != 0 || length > kBlockBytes - offset || entry.name_len + 8u > length) {
          good = false;
          break;
        }
        const std::string_view name(reinterpret_cast<const char*>(&entry + 1), entry.name_len);
        if (entry.inode != 0 && name != "." && name != "..") { f(name, uint32_t{entry.inode}); }
        offset += length;
      }
    }
  }
  return good;
}

uint32_t ImageReader::lookup(std::string_view path) const {
  uint32_t at = valid_ ? media::kRootIno : 0;
  std::vector<uint32_t> way;  // for ".."
  std::vector<TreeExtent> map;
  while (at != 0) {
    const size_t start = path.find_first_not_of('/');
    if (start == std::string_view::npos) { return at; }
    path.remove_prefix(start);
    const std::string_view want = path.substr(0, path.find('/'));
    path.remove_prefix(want.size());
    TreeInode inode;
    if (!this->inode(at, inode) || !inode.is_directory()) { return 0; }
    if (want == ".") { continue; }
    if (want == "..") {
      if (!way.empty()) { at = way.back(), way.pop_back(); }
      continue;
    }
    way.push_back(at);
    extents(at, map);
    uint32_t found = 0;
    for_each_name(at, map, [&](std::string_view name, uint32_t ino) { found = name == want ? ino : found; });
    at = found;
  }
  return 0;
}

bool ImageReader::walk(TreeVisitor& visitor) const {
  if (!valid_) { return false; }
  struct Pending {
    std::string path;
    uint32_t ino;
  };
  // A stack of what is still to be visited; entries of a directory are pushed in reverse, so that they pop in order.
  std::vector<Pending> stack;
  stack.push_back({"/", media::kRootIno});
  std::vector<bool> entered(uint64_t{impl_->c.inodes} + 1);
  std::vector<TreeExtent> map;
  // No honest image holds more entries; directories that share blocks could list without end.
  uint64_t entries_left = impl_->c.image_bytes / 12;
  constexpr size_t kPathMax = 1 << 16;
  bool good = true;
  while (!stack.empty()) {
    const Pending now = std::move(stack.back());
    stack.pop_back();
    TreeInode inode;
    if (!this->inode(now.ino, inode)) {
      good = false;
      continue;
    }
    good = extents(now.ino, map) && good;
    visitor.visit({now.path, inode, map});
    if (!inode.is_directory()) { continue; }
    if (entered[now.ino]) {
      good = false;  // a second link to a directory: not entered again, which also ends loops
      continue;
    }
    entered[now.ino] = true;
    const size_t bottom = stack.size();
    good = for_each_name(now.ino, map,
                         [&](std::string_view name, uint32_t ino) {
                           if (entries_left == 0 || now.path.size() > kPathMax) { return; }
                           --entries_left;
                           stack.push_back({(now.path == "/" ? "" : now.path) + "/" + std::string(name), ino});
                         }) &&
           good;
    good = good && entries_left != 0 && now.path.size() <= kPathMax;
    std::reverse(stack.begin() + static_cast<std::ptrdiff_t>(bottom), stack.end());
  }
  return good;
}

bool walk_tree(std::span<const std::byte> image, TreeVisitor& visitor) { return ImageReader(image).walk(visitor); }

}  // namespace daxfs::check
