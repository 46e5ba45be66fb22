// fs/ext4/namei_test.cc - random sequences of name operations against a model of a tree; htree directories of mke2fs.
#include "fs/ext4/namei.h"

#include <cstdio>
#include <map>
#include <set>

#include "fs/ext4/dir.h"
#include "fs/ext4/file_test_world.h"

namespace daxfs::ext4 {
namespace {

using testing::FileWorld;

// What a tree of names should look like: nodes by number, directories with entries.
struct Model {
  struct Node {
    bool directory = false;
    unsigned links = 1;  // of files: names
    int parent = 0;      // of directories
    std::map<std::string, int> entries;
  };
  std::map<int, Node> nodes;
  int next = 1;

  Model() { nodes[0].directory = true; }
  bool inside(int node, int above) const {
    for (;; node = nodes.at(node).parent) {
      if (node == above) { return true; }
      if (node == 0) { return false; }
    }
  }
  unsigned subdirectories(int node) const {
    unsigned count = 0;
    for (const auto& [name, child] : nodes.at(node).entries) { count += nodes.at(child).directory; }
    return count;
  }
};

class RandomNames {
 public:
  explicit RandomNames(FileWorld& w, uint32_t seed) : w_(w), state_(seed) { inos_[0] = Ino(2); }

  void step() {
    const int dir = random_directory();
    const int dir2 = random_directory();
    const std::string name = random_name(), name2 = random_name();
    switch (random(7)) {
      case 0: return create(dir, name, false);
      case 1: return create(dir, name, true);
      case 2:
      case 3: return remove(dir, name);
      case 4: return link(dir, name, dir2, name2);
      default: return rename(dir, name, dir2, name2);
    }
  }

  // Everything that the library says equals the model.
  void compare() {
    for (const auto& [number, node] : model_.nodes) {
      const InodeRef inode = open(number);
      if (!node.directory) {
        ASSERT_EQ(inode->links(), node.links);
        continue;
      }
      ASSERT_EQ(inode->links(), 2 + model_.subdirectories(number) + (number == 0 ? 1 : 0)) << number;
      std::map<std::string, uint32_t> expected, found;
      for (const auto& [name, child] : node.entries) { expected[name] = inos_.at(child).value(); }
      expected["."] = inos_.at(number).value();
      expected[".."] = inos_.at(node.parent).value();
      const rt::ReadLock lock(inode->i_rwsem);
      for (uint64_t position = 0;;) {
        const auto entry = dir_next(*inode, position).value();
        if (!entry) { break; }
        if (entry->name != "lost+found") { found[entry->name] = entry->ino.value(); }
        position = entry->next_position;
      }
      ASSERT_EQ(found, expected);
    }
  }

 private:
  uint32_t random(uint32_t bound) {
    state_ = state_ * 1664525 + 1013904223;
    return (state_ >> 16) % bound;
  }
  std::string random_name() {
    const uint32_t k = random(12);
    return k < 9 ? std::string(1, static_cast<char>('a' + k)) : std::string(80 * (k - 8), static_cast<char>('a' + k));
  }
  int random_directory() {
    std::vector<int> directories;
    for (const auto& [number, node] : model_.nodes) {
      if (node.directory) { directories.push_back(number); }
    }
    return directories[random(static_cast<uint32_t>(directories.size()))];
  }
  InodeRef open(int number) { return w_.volume->inodes().iget(inos_.at(number)).value(); }
  int find(int dir, const std::string& name) {
    const auto& entries = model_.nodes[dir].entries;
    const auto found = entries.find(name);
    return found == entries.end() ? -1 : found->second;
  }
  // The last name of a node is gone.
  void drop(int node) {
    Model::Node& n = model_.nodes[node];
    if (n.directory || --n.links == 0) {
      model_.nodes.erase(node);
      inos_.erase(node);
    }
  }

  void create(int dir, const std::string& name, bool directory) {
    const InodeRef parent = open(dir);
    const Errc expected = find(dir, name) >= 0 ? Errc::kExist : Errc::kOk;
    if (directory) {
      ASSERT_EQ(ext4::mkdir(*parent, name, 0755).error(), expected);
    } else {
      ASSERT_EQ(lookup_or_create(*parent, name, 0644, true).error(), expected);
    }
    if (expected != Errc::kOk) { return; }
    const int node = model_.next++;
    model_.nodes[node].directory = directory;
    model_.nodes[node].parent = dir;
    model_.nodes[dir].entries[name] = node;
    inos_[node] = lookup(*parent, name).value()->ino();
  }

  void remove(int dir, const std::string& name) {
    const InodeRef parent = open(dir);
    const int node = find(dir, name);
    const bool directory = node >= 0 && model_.nodes[node].directory;
    const Errc unlinked = node < 0 ? Errc::kNoEnt : directory ? Errc::kIsDir : Errc::kOk;
    ASSERT_EQ(ext4::unlink(*parent, name).error(), unlinked);
    if (directory) {
      const Errc removed = model_.nodes[node].entries.empty() ? Errc::kOk : Errc::kNotEmpty;
      ASSERT_EQ(ext4::rmdir(*parent, name).error(), removed);
      if (removed != Errc::kOk) { return; }
    }
    if (node < 0) { return; }
    model_.nodes[dir].entries.erase(name);
    drop(node);
  }

  void link(int dir, const std::string& name, int dir2, const std::string& name2) {
    const int node = find(dir, name);
    if (node < 0) { return; }
    const Errc expected = find(dir2, name2) >= 0         ? Errc::kExist
                          : model_.nodes[node].directory ? Errc::kPerm
                                                         : Errc::kOk;
    const InodeRef target = open(node), parent = open(dir2);
    ASSERT_EQ(ext4::link(*target, *parent, name2).error(), expected);
    if (expected != Errc::kOk) { return; }
    model_.nodes[dir2].entries[name2] = node;
    ++model_.nodes[node].links;
  }

  Errc expected_rename(int source, int target, int dir, int dir2, RenameFlags flags) {
    if (source < 0) { return Errc::kNoEnt; }
    if (flags.no_replace && target >= 0) { return Errc::kExist; }
    if (flags.exchange && target < 0) { return Errc::kNoEnt; }
    const bool directory = model_.nodes[source].directory;
    if (dir != dir2 && directory && model_.inside(dir2, source)) { return Errc::kInval; }
    if (target >= 0 && dir != dir2 && model_.nodes[target].directory && model_.inside(dir, target)) {
      return flags.exchange ? Errc::kInval : Errc::kNotEmpty;
    }
    if (source == target || flags.exchange || target < 0) { return Errc::kOk; }
    if (directory && !model_.nodes[target].directory) { return Errc::kNotDir; }
    if (!directory && model_.nodes[target].directory) { return Errc::kIsDir; }
    return directory && !model_.nodes[target].entries.empty() ? Errc::kNotEmpty : Errc::kOk;
  }

  void rename(int dir, const std::string& name, int dir2, const std::string& name2) {
    const uint32_t kind = random(6);
    const RenameFlags flags{.no_replace = kind == 0, .exchange = kind == 1};
    const int source = find(dir, name), target = find(dir2, name2);
    const Errc expected = expected_rename(source, target, dir, dir2, flags);
    {
      const InodeRef from = open(dir), to = open(dir2);
      ASSERT_EQ(ext4::rename(*from, name, *to, name2, flags).error(), expected);
    }
    if (expected != Errc::kOk || source == target) { return; }
    model_.nodes[dir].entries.erase(name);
    if (flags.exchange) {
      model_.nodes[dir].entries[name] = target;
      model_.nodes[target].parent = dir;
    } else if (target >= 0) {
      drop(target);
    }
    model_.nodes[dir2].entries[name2] = source;
    model_.nodes[source].parent = dir2;
  }

  FileWorld& w_;
  uint32_t state_;
  Model model_;
  std::map<int, Ino> inos_;
};

TEST(Namei, RandomSequencesFollowAModel) {
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    testing::in_file_world(
        [&](FileWorld& w) {
          RandomNames names(w, seed * 7919);
          for (int i = 0; i < 1500 && !::testing::Test::HasFatalFailure(); ++i) {
            names.step();
            if (i % 100 == 0) {
              names.compare();
              w.volume->inodes().shrink();  // what was in memory must be what is on the medium
              names.compare();
            }
          }
        },
        DaxMode::kAlways, 1024);
  }
}

// An htree directory of thousands of names, made by mke2fs -d: read as it is, linear after the first change.
TEST(Namei, HtreeDirectoriesOfMke2fsAreReadAndThenChanged) {
  const std::string tree = ::testing::TempDir() + "daxfs_htree";
  int code = 0;
  testing::run_command("rm -rf " + tree + "; mkdir -p " + tree + "/d; cd " + tree +
                           "/d; seq -f 'a_rather_long_file_name_%g' 1 3000 | xargs touch",
                       &code);
  ASSERT_EQ(code, 0);
  for (const char* features : {"-O ^has_journal", "-O ^has_journal,^metadata_csum"}) {
    SCOPED_TRACE(features);
    const auto& image = testing::make_image(2048, std::string("-N 4096 ") + features + " -d " + tree);
    rt::run_for_test([&] {
      const auto device = testing::load_device(image);
      mm::Memory memory(*device, 16);
      std::string message;
      auto volume = Volume::mount(*device, memory, MountOptions{}, &message).value();
      {
        const InodeRef root = volume->inodes().iget(Ino(2)).value();
        const InodeRef d = lookup(*root, "d").value();
        EXPECT_GT(d->i_size(), 20 * kBlockSize);
        const auto name = [](int i) { return "a_rather_long_file_name_" + std::to_string(i); };
        for (int i = 1; i <= 3000; i += 7) { ASSERT_TRUE(lookup(*d, name(i)).ok()) << i; }
        EXPECT_EQ(lookup(*d, name(3001)).error(), Errc::kNoEnt);
        ASSERT_TRUE(unlink(*d, name(1)).ok());
        ASSERT_TRUE(lookup_or_create(*d, "new", 0644, true).ok());
        for (int i = 2; i <= 3000; i += 13) { ASSERT_TRUE(unlink(*d, name(i)).ok()) << i; }
        std::set<std::string> left;
        const rt::ReadLock lock(d->i_rwsem);
        for (uint64_t position = 0;;) {
          const auto entry = dir_next(*d, position).value();
          if (!entry) { break; }
          EXPECT_TRUE(left.insert(entry->name).second) << entry->name;
          position = entry->next_position;
        }
        EXPECT_EQ(left.size(), 3000u - 1 - 231 + 1 + 2);
      }
      EXPECT_TRUE(volume->unmount().ok());
      volume.reset();
      EXPECT_EQ(testing::e2fsck(device->bytes()), "");
    });
  }
  testing::run_command("rm -rf " + tree, &code);
}

}  // namespace
}  // namespace daxfs::ext4
