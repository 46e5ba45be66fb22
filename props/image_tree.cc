// props/image_tree.cc - entries of fs/check's tree as those of a listing.
#include "props/image_tree.h"

#include <algorithm>
#include <string>
#include <vector>

#include "fs/check/media_tree.h"

namespace daxfuzz::props {
namespace {

class Listing final : public daxfs::check::TreeVisitor {
 public:
  Listing(const daxfs::check::ImageReader& reader, Tree* tree) : reader_(reader), tree_(tree) {}

  void visit(const daxfs::check::TreeEntry& entry) override {
    if (entry.path == "/") { return; }
    TreeEntry& out = (*tree_)[std::string(entry.path)];
    out.links = entry.inode.links;
    if (entry.inode.is_directory()) {
      out.type = 'd';
    } else if (entry.inode.is_symlink()) {
      const std::string target = reader_.target(entry.inode);
      out.type = 'l';
      out.size = entry.inode.size;
      out.contents_hash = hash_of(std::as_bytes(std::span(target)));
    } else if (entry.inode.is_regular()) {
      std::vector<std::byte> bytes(std::min(entry.inode.size, kTreeContentsMax));
      bytes.resize(reader_.read(entry.inode, entry.extents, 0, bytes));
      out.type = 'f';
      out.size = entry.inode.size;
      out.contents_hash = hash_of(bytes);
    } else {
      out.type = 'c';
    }
  }

 private:
  const daxfs::check::ImageReader& reader_;
  Tree* tree_;
};

}  // namespace

Tree read_image_tree(std::span<const std::byte> image) {
  Tree tree;
  const daxfs::check::ImageReader reader(image);
  Listing listing(reader, &tree);
  reader.walk(listing);
  return tree;
}

}  // namespace daxfuzz::props
