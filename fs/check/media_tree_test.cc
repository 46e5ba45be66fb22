// fs/check/media_tree_test.cc - the independent reader lists and reads what debugfs put into an image.
#include "fs/check/media_tree.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "fs/check/media_test_image.h"

namespace daxfs::check {
namespace {

using test::Image;

class Collector : public TreeVisitor {
 public:
  void visit(const TreeEntry& entry) override {
    order.emplace_back(entry.path);
    inodes[std::string(entry.path)] = entry.inode;
    extents[std::string(entry.path)].assign(entry.extents.begin(), entry.extents.end());
  }
  std::vector<std::string> order;
  std::map<std::string, TreeInode> inodes;
  std::map<std::string, std::vector<TreeExtent>> extents;
};

TEST(MediaTree, EveryPathIsVisitedOnceAndParentsComeFirst) {
  Collector tree;
  ASSERT_TRUE(walk_tree(test::populated_image(test::kSmall), tree));
  std::vector<std::string> sorted = tree.order;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, (std::vector<std::string>{"/", "/blk", "/char", "/dir", "/dir/hard", "/dir/large", "/dir/sub",
                                              "/dir/sub/sparse", "/fast", "/lost+found", "/pipe", "/prealloc", "/slow",
                                              "/small"}));
  const auto place = [&](const char* path) { return std::find(tree.order.begin(), tree.order.end(), path); };
  EXPECT_LT(place("/dir"), place("/dir/sub"));
  EXPECT_LT(place("/dir/sub"), place("/dir/sub/sparse"));
}

TEST(MediaTree, InodesCarryTypeLinksAndSize) {
  Collector tree;
  ASSERT_TRUE(walk_tree(test::populated_image(test::kSmall), tree));
  const TreeInode& small = tree.inodes["/small"];
  EXPECT_TRUE(small.is_regular());
  EXPECT_EQ(small.links, 2u);
  EXPECT_EQ(small.size, 5000u);
  EXPECT_EQ(small.i_blocks, 16u);
  EXPECT_EQ(tree.inodes["/dir/hard"].ino, small.ino);
  EXPECT_TRUE(tree.inodes["/dir"].is_directory());
  EXPECT_TRUE(tree.inodes["/slow"].is_symlink());
  EXPECT_NE(tree.inodes["/dir/large"].attribute_block, 0u);
}

TEST(MediaTree, HolesAndPreallocationShowInTheExtents) {
  Collector tree;
  ASSERT_TRUE(walk_tree(test::populated_image(test::kSmall), tree));
  const std::vector<TreeExtent>& sparse = tree.extents["/dir/sub/sparse"];
  ASSERT_EQ(sparse.size(), 12u);
  for (size_t i = 0; i < sparse.size(); ++i) {
    EXPECT_EQ(sparse[i].logical, 2 * i);
    EXPECT_EQ(sparse[i].length, 1u);
    EXPECT_FALSE(sparse[i].unwritten);
  }
  const std::vector<TreeExtent>& prealloc = tree.extents["/prealloc"];
  uint32_t unwritten = 0;
  for (const TreeExtent& e : prealloc) { unwritten += e.unwritten ? e.length : 0; }
  EXPECT_EQ(unwritten, 8u);
}

TEST(MediaTree, ContentsReadBackWithHolesAsZeros) {
  const Image& image = test::populated_image(test::kSmall);
  const ImageReader reader(image);
  TreeInode inode;
  std::vector<TreeExtent> extents;
  std::vector<uint64_t> nodes;
  ASSERT_TRUE(reader.inode(reader.lookup("/dir/sub/sparse"), inode));
  ASSERT_TRUE(reader.extents(inode.ino, extents, &nodes));
  EXPECT_EQ(nodes.size(), 1u);
  Image bytes(100);
  EXPECT_EQ(reader.read(inode, extents, 4096 - 50, bytes), 100u);
  EXPECT_EQ(bytes[49], std::byte{'h'});
  EXPECT_EQ(bytes[50], std::byte{0});
  ASSERT_TRUE(reader.inode(reader.lookup("/small"), inode));
  ASSERT_TRUE(reader.extents(inode.ino, extents));
  EXPECT_EQ(reader.read(inode, extents, 4990, bytes), 10u);
  EXPECT_EQ(bytes[9], std::byte{'s'});
  EXPECT_EQ(reader.read(inode, extents, 5000, bytes), 0u);
}

TEST(MediaTree, SymlinkTargetsAreFastOrSlow) {
  const ImageReader reader(test::populated_image(test::kSmall));
  TreeInode inode;
  ASSERT_TRUE(reader.inode(reader.lookup("/fast"), inode));
  EXPECT_EQ(reader.target(inode), "target");
  ASSERT_TRUE(reader.inode(reader.lookup("/slow"), inode));
  EXPECT_EQ(reader.target(inode), std::string(100, 't'));
}

TEST(MediaTree, LookupOfWhatIsNotThereIsZero) {
  const ImageReader reader(test::populated_image(test::kSmall));
  EXPECT_EQ(reader.lookup("/"), 2u);
  EXPECT_EQ(reader.lookup("/none"), 0u);
  EXPECT_EQ(reader.lookup("/small/below"), 0u);
  EXPECT_EQ(reader.lookup("/dir//sub/"), reader.lookup("/dir/sub"));
  EXPECT_EQ(reader.lookup("/dir/./sub/../../small"), reader.lookup("/small"));
  EXPECT_EQ(reader.lookup("/../.."), 2u);
  EXPECT_EQ(reader.lookup("/small/.."), 0u);
}

TEST(MediaTree, IndexedDirectoryListsEveryName) {
  const test::Shape shape{"tree index", 1024, "-N 32 -O ^has_journal"};
  Collector tree;
  ASSERT_TRUE(walk_tree(test::indexed_image(test::fresh_image(shape), 300), tree));
  EXPECT_EQ(std::count_if(tree.order.begin(), tree.order.end(),
                          [](const std::string& path) { return path.starts_with("/indexed/"); }),
            300);
}

TEST(MediaTree, LoopOfDirectoriesEndsTheWalkWithFalse) {
  Image image = test::populated_image(test::kSmall);
  const uint32_t dir = test::ino_of(image, "/dir");
  const uint32_t sparse = test::ino_of(image, "/dir/sub/sparse");
  std::byte* block = test::block(image, test::block_of(image, test::ino_of(image, "/dir/sub"), 0));
  for (unsigned offset = 0; offset < 4084;) {
    auto& entry = *reinterpret_cast<media::DirEntry*>(block + offset);
    if (entry.inode == sparse) { entry.inode = dir; }
    offset += entry.rec_len;
  }
  Collector tree;
  EXPECT_FALSE(walk_tree(image, tree));
}

TEST(MediaTree, UnreadableImageIsInvalid) {
  const ImageReader reader({});
  EXPECT_FALSE(reader.valid());
  EXPECT_EQ(reader.lookup("/"), 0u);
  TreeInode inode;
  EXPECT_FALSE(reader.inode(2, inode));
  Collector tree;
  EXPECT_FALSE(walk_tree({}, tree));
}

}  // namespace
}  // namespace daxfs::check
