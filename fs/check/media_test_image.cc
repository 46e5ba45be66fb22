#include "fs/check/media_test_image.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/crc32c.h"
#include "fs/check/media_csum.h"
#include "fs/check/media_tree.h"

namespace daxfs::check::test {

using media::kBlockBytes;

namespace {

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "media tests: %s\n", why.c_str());
  std::abort();
}

// A file that is gone when the test program ends.
class TempFile {
 public:
  TempFile() {
    std::string name = access("/dev/shm", W_OK) == 0 ? "/dev/shm/media_test_XXXXXX" : "/tmp/media_test_XXXXXX";
    const int fd = mkstemp(name.data());
    if (fd < 0) { give_up("cannot make a temporary file"); }
    close(fd);
    path_ = name;
  }
  ~TempFile() { unlink(path_.c_str()); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  const std::string& path() const { return path_; }

  void write(std::span<const std::byte> bytes) const {
    FILE* file = std::fopen(path_.c_str(), "wb");
    if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size()) {
      give_up("cannot write");
    }
    std::fclose(file);
  }

  Image read() const {
    Image image;
    FILE* file = std::fopen(path_.c_str(), "rb");
    if (file == nullptr) { give_up("cannot read"); }
    std::byte buffer[1 << 16];
    for (size_t n; (n = std::fread(buffer, 1, sizeof(buffer), file)) != 0;) {
      image.insert(image.end(), buffer, buffer + n);
    }
    std::fclose(file);
    return image;
  }

 private:
  std::string path_;
};

Fsck run(const std::string& command) {
  Fsck result;
  FILE* pipe = popen(("PATH=$PATH:/usr/sbin:/sbin LC_ALL=C; " + command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) { give_up("cannot run " + command); }
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof(buffer), pipe)) != 0;) {
    // e2fsck can print without end on some corruptions; the first part says what it objects to.
    if (result.output.size() < (1 << 16)) { result.output.append(buffer, n); }
  }
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
  if (result.exit_code == 127) { give_up("e2fsprogs is not installed: " + result.output); }
  return result;
}

void write_text(const TempFile& file, const std::string& text) { file.write(std::as_bytes(std::span(text))); }

}  // namespace

const Image& fresh_image(const Shape& shape) {
  static std::map<std::string, Image> made;
  Image& image = made[shape.name];
  if (image.empty()) {
    TempFile file;
    const std::string size = std::to_string(shape.blocks);
    const Fsck result = run("truncate -s " + size + "0K " + file.path() + " && truncate -s " +
                            std::to_string(shape.blocks * kBlockBytes) + " " + file.path() +
                            " && mke2fs -q -F -t ext4 -b 4096 -E hash_seed=01234567-89ab-cdef-0123-456789abcdef -U "
                            "76543210-89ab-cdef-0123-456789abcdef " +
                            shape.options + " " + file.path() + " " + size);
    if (result.exit_code != 0) { give_up("mke2fs " + std::string(shape.options) + ": " + result.output); }
    image = file.read();
  }
  return image;
}

Image with_script(const Image& image, const std::string& script) {
  TempFile file;
  TempFile commands;
  file.write(image);
  write_text(commands, script);
  const Fsck result = run("debugfs -w -f " + commands.path() + " " + file.path());
  if (result.exit_code != 0) { give_up("debugfs: " + result.output); }
  return file.read();
}

const Image& populated_image(const Shape& shape) {
  static std::map<std::string, Image> made;
  Image& image = made[shape.name];
  if (!image.empty()) { return image; }
  TempFile small;
  TempFile large;
  TempFile sparse;
  small.write(Image(5000, std::byte{'s'}));
  large.write(Image(60000, std::byte{'l'}));
  Image holes(24 * kBlockBytes);
  for (size_t at = 0; at < holes.size(); at += 2 * kBlockBytes) {
    std::fill_n(holes.begin() + static_cast<std::ptrdiff_t>(at), kBlockBytes, std::byte{'h'});
  }
  sparse.write(holes);
  const std::string long_target(100, 't');
  image = with_script(fresh_image(shape),
                      "mkdir dir\nmkdir dir/sub\nwrite " + small.path() + " small\nwrite " + large.path() +
                          " dir/large\nwrite " + sparse.path() + " dir/sub/sparse\nsymlink fast target\nsymlink slow " +
                          long_target +
                          "\nmknod pipe p\nmknod char c 1 3\nmknod blk b 3 1\nln small dir/hard\n"
                          "sif small links_count 2\nea_set small user.foo bar\nea_set dir/large user.big " +
                          std::string(300, 'v') + "\nwrite " + small.path() + " prealloc\n" +
                          // debugfs leaves a wrong size when it preallocates in a block-mapped file.
                          (std::strstr(shape.options, "^extent") != nullptr ? "" : "fallocate prealloc 2 9\n"));
  return image;
}

Image indexed_image(const Image& image, unsigned files, unsigned name_bytes) {
  TempFile empty;
  std::string script = "mkdir indexed\n";
  for (unsigned i = 0; i < files / (4000 / (name_bytes + 14)) + 1; ++i) { script += "expand_dir indexed\n"; }
  for (unsigned i = 0; i < files; ++i) {
    // All names are links to one file, so that few inodes are needed.
    const std::string name = std::string(name_bytes - 4, 'n') + std::to_string(i * 7919);
    script += i == 0 ? "write " + empty.path() + " indexed/first\n" : "ln indexed/first indexed/" + name + "\n";
  }
  script += "sif indexed/first links_count " + std::to_string(files) + "\n";
  TempFile file;
  file.write(with_script(image, script));
  const Fsck result = run("e2fsck -fyD " + file.path());
  if (result.exit_code > 1) { give_up("e2fsck -fyD: " + result.output); }
  Image indexed = file.read();
  if ((inode(indexed, ino_of(indexed, "/indexed")).flags & media::kFlagIndex) == 0) { give_up("no index was made"); }
  return indexed;
}

Fsck run_e2fsck(const Image& image) {
  static const TempFile file;
  file.write(image);
  return run("timeout 5 e2fsck -fn " + file.path());
}

std::span<const Shape> all_shapes() {
  static constexpr Shape kShapes[] = {
      kSmall,
      {"tiny", 256, "-N 16 -O ^has_journal,^resize_inode"},
      {"default", 2048, "-N 64"},
      {"default 8 MiB", 2048, ""},
      {"no checksums", 512, "-N 32 -O ^has_journal,^metadata_csum"},
      {"uninit_bg", 2048, "-N 128 -g 512 -O ^metadata_csum,uninit_bg"},
      {"old inodes", 512, "-N 64 -I 128 -O ^has_journal"},
      {"old inodes without checksums", 512, "-N 64 -I 128 -O ^has_journal,^metadata_csum"},
      {"stored seed", 512, "-N 32 -O ^has_journal,metadata_csum_seed"},
      {"no resize", 2048, "-N 64 -O ^resize_inode"},
      {"32 bit", 1024, "-N 32 -O ^has_journal,^64bit"},
      {"no flex", 2048, "-N 128 -g 512 -O ^flex_bg,^has_journal"},
      {"groups", 4096, "-N 256 -g 1024"},
      {"all backups", 4096, "-N 128 -g 1024 -O ^sparse_super,^resize_inode,^has_journal"},
      {"large inodes", 1024, "-N 64 -I 512 -O ^has_journal"},
      {"block maps", 1024, "-N 64 -O ^extent,^64bit,^has_journal"},
  };
  return kShapes;
}

media::SuperBlock& super(Image& image) {
  return *reinterpret_cast<media::SuperBlock*>(image.data() + media::kSuperOffset);
}

media::GroupDesc& group(Image& image, uint32_t number) {
  const uint32_t bytes = (super(image).feature_incompat & media::kIncompat64Bit) != 0 ? super(image).desc_size : 32u;
  return *reinterpret_cast<media::GroupDesc*>(image.data() + kBlockBytes + uint64_t{number} * bytes);
}

std::byte* block(Image& image, uint64_t number) { return image.data() + number * kBlockBytes; }

media::Inode& inode(Image& image, uint32_t ino) {
  const uint32_t per_group = super(image).inodes_per_group;
  std::byte* table = block(image, group(image, (ino - 1) / per_group).inode_table_lo);
  return *reinterpret_cast<media::Inode*>(table + uint64_t{(ino - 1) % per_group} * super(image).inode_size);
}

uint32_t ino_of(const Image& image, const char* path) {
  const uint32_t ino = ImageReader(image).lookup(path);
  if (ino == 0) { give_up(std::string("no such path: ") + path); }
  return ino;
}

uint64_t block_of(const Image& image, uint32_t ino, uint32_t logical) {
  std::vector<TreeExtent> extents;
  ImageReader(image).extents(ino, extents);
  for (const TreeExtent& e : extents) {
    if (logical >= e.logical && logical - e.logical < e.length) { return e.physical + (logical - e.logical); }
  }
  give_up("logical block is a hole");
}

Checksums::Checksums(const Image& image) {
  Image copy = image;
  const media::SuperBlock& sb = super(copy);
  inodes_ = sb.inodes_count;
  inodes_per_group_ = sb.inodes_per_group;
  inode_bytes_ = sb.inode_size;
  blocks_per_group_ = sb.blocks_per_group;
  groups_ = inodes_ / inodes_per_group_;
  desc_bytes_ = (sb.feature_incompat & media::kIncompat64Bit) != 0 ? sb.desc_size : 32u;
  metadata_ = {0, 1};
  for (uint32_t i = 0; i < groups_; ++i) {
    const media::GroupDesc& desc = group(copy, i);
    block_bitmaps_.push_back(desc.block_bitmap_lo);
    inode_bitmaps_.push_back(desc.inode_bitmap_lo);
    inode_tables_.push_back(desc.inode_table_lo);
    metadata_.insert(metadata_.end(), {desc.block_bitmap_lo, desc.inode_bitmap_lo, desc.inode_table_lo});
  }
  const ImageReader reader(image);
  std::vector<TreeExtent> extents;
  std::vector<uint64_t> nodes;
  for (uint32_t ino = 1; ino <= inodes_; ++ino) {
    TreeInode found;
    reader.inode(ino, found);
    if (found.links == 0 || ino == media::kResizeIno) { continue; }
    reader.extents(ino, extents, &nodes);
    if ((found.flags & media::kFlagExtents) != 0) {
      for (const uint64_t node : nodes) { sites_.push_back({kExtents, node, ino}); }
    }
    if (found.attribute_block != 0) { sites_.push_back({kXattr, found.attribute_block, ino}); }
    if (!found.is_directory()) { continue; }
    const bool indexed = (found.flags & media::kFlagIndex) != 0;
    for (const TreeExtent& e : extents) {
      for (uint32_t i = 0; i < e.length; ++i) {
        const auto* first = reinterpret_cast<const media::DirEntry*>(block(copy, e.physical + i));
        const bool node = indexed && first->inode == 0 && first->rec_len == kBlockBytes;
        sites_.push_back({!indexed || (e.logical + i != 0 && !node) ? kDir
                          : node                                    ? kDxNode
                                                                    : kDxRoot,
                          e.physical + i, ino});
      }
    }
  }
  for (const Site& site : sites_) { metadata_.push_back(site.block); }
}

void Checksums::refresh(Image& image) const {
  media::SuperBlock& sb = super(image);
  const bool full = (sb.feature_ro_compat & media::kRoMetadataCsum) != 0;
  const uint32_t seed = media::fs_seed(sb);
  const auto store = [&](std::byte* at, uint32_t value) { std::memcpy(at, &value, 4); };
  const auto table_inode = [&](uint32_t ino) -> media::Inode& {
    return *reinterpret_cast<media::Inode*>(block(image, inode_tables_[(ino - 1) / inodes_per_group_]) +
                                            uint64_t{(ino - 1) % inodes_per_group_} * inode_bytes_);
  };
  for (const Site& site : full ? std::span<const Site>(sites_) : std::span<const Site>()) {
    std::byte* bytes = block(image, site.block);
    const uint32_t owner = media::inode_seed(seed, site.ino, table_inode(site.ino).generation);
    const uint32_t offset = site.kind == kDxRoot ? 32 : 8;
    switch (site.kind) {
      case kDir: store(bytes + kBlockBytes - 4, media::dir_block_csum(owner, bytes)); break;
      case kExtents: {
        const auto* header = reinterpret_cast<const media::ExtentHeader*>(bytes);
        if (header->max > 340) { break; }
        store(bytes + std::min<size_t>(12 + 12 * header->max, kBlockBytes - 4), media::extent_block_csum(owner, bytes));
        break;
      }
      case kXattr:
        reinterpret_cast<media::XattrHeader*>(bytes)->checksum = media::xattr_block_csum(seed, site.block, bytes);
        break;
      case kDxRoot:
      case kDxNode: {
        const auto* pair = reinterpret_cast<const media::DxCountLimit*>(bytes + offset);
        if (offset + pair->limit * 8u + 8u > kBlockBytes || pair->count > pair->limit) { break; }
        store(bytes + offset + pair->limit * 8u + 4,
              media::dx_block_csum(owner, bytes, offset, pair->count, pair->limit));
        break;
      }
    }
  }
  for (uint32_t ino = 1; full && ino <= inodes_; ++ino) {
    media::Inode& node = table_inode(ino);
    if (std::all_of(reinterpret_cast<std::byte*>(&node), reinterpret_cast<std::byte*>(&node) + inode_bytes_,
                    [](std::byte b) { return b == std::byte{0}; })) {
      continue;
    }
    const uint32_t crc = media::inode_csum(media::inode_seed(seed, ino, node.generation), node, inode_bytes_);
    node.checksum_lo = static_cast<uint16_t>(crc);
    if (media::inode_csum_has_high(node, inode_bytes_)) { node.checksum_hi = static_cast<uint16_t>(crc >> 16); }
  }
  for (uint32_t i = 0; i < groups_; ++i) {
    auto& desc = *reinterpret_cast<media::GroupDesc*>(image.data() + kBlockBytes + uint64_t{i} * desc_bytes_);
    if (full) {
      const uint32_t of_blocks = crc32c(seed, block(image, block_bitmaps_[i]), blocks_per_group_ / 8);
      const uint32_t of_inodes = crc32c(seed, block(image, inode_bitmaps_[i]), inodes_per_group_ / 8);
      desc.block_bitmap_csum_lo = static_cast<uint16_t>(of_blocks);
      desc.inode_bitmap_csum_lo = static_cast<uint16_t>(of_inodes);
      if (desc_bytes_ >= sizeof(desc)) {
        desc.block_bitmap_csum_hi = static_cast<uint16_t>(of_blocks >> 16);
        desc.inode_bitmap_csum_hi = static_cast<uint16_t>(of_inodes >> 16);
      }
    }
    if (full || (sb.feature_ro_compat & media::kRoGdtCsum) != 0) {
      desc.checksum = media::group_csum(sb, seed, i, desc, desc_bytes_);
    }
  }
  if (full) { sb.checksum = media::super_csum(sb); }
}

}  // namespace daxfs::check::test
