// fs/vfs/path_test.cc - path walk: dots, slashes, symlinks, lengths; answers as Linux 6.1 gives them.
#include "fs/vfs/path.h"

#include "fs/vfs/test_world.h"

namespace daxfs::vfs {
namespace {

using testing::in_world;
using testing::kReadOnly;
using testing::World;

Errc stat_error(World& w, std::string_view path) { return w.p->stat(path).error(); }

TEST(Path, DotsAndSlashesNameWhatTheyShould) {
  in_world([](World& w) {
    EXPECT_TRUE(w.p->mkdir("d").ok());
    w.open("d/f");
    const auto ino = [&](std::string_view path) { return w.p->stat(path).value().ino.value(); };
    EXPECT_EQ(ino("d/f"), ino("/d/f"));
    EXPECT_EQ(ino("d/f"), ino("//d///f"));
    EXPECT_EQ(ino("d/f"), ino("./d/./../d/f"));
    EXPECT_EQ(ino("/"), ino(".."));
    EXPECT_EQ(ino("/"), ino("d/../.."));
    EXPECT_EQ(ino("d"), ino("d/"));
    EXPECT_EQ(ino("d"), ino("d/."));
    EXPECT_EQ(stat_error(w, "d/f/"), Errc::kNotDir);
    EXPECT_EQ(stat_error(w, "d/f/."), Errc::kNotDir);
    EXPECT_EQ(stat_error(w, "d/f/.."), Errc::kNotDir);
    EXPECT_EQ(stat_error(w, "d/f/x"), Errc::kNotDir);
    EXPECT_EQ(stat_error(w, "missing/x"), Errc::kNoEnt);
    EXPECT_EQ(stat_error(w, ""), Errc::kNoEnt);
  });
}

TEST(Path, NamesMayHave255BytesAndPaths4095) {
  in_world([](World& w) {
    const std::string longest(255, 'n');
    w.open(longest);
    EXPECT_EQ(stat_error(w, longest), Errc::kOk);
    const std::string too_long(256, 'n');
    EXPECT_EQ(stat_error(w, too_long), Errc::kNameTooLong);
    EXPECT_EQ(w.open_error(too_long, testing::kRwCreate), Errc::kNameTooLong);
    EXPECT_EQ(w.p->mkdir(too_long).error(), Errc::kNameTooLong);
    EXPECT_EQ(w.p->symlink("x", too_long).error(), Errc::kNameTooLong);
    EXPECT_EQ(w.p->unlink(too_long).error(), Errc::kNameTooLong);
    EXPECT_EQ(w.p->rename(longest, too_long).error(), Errc::kNameTooLong);
    // The directory on the way is missing: that is found first.
    EXPECT_EQ(w.p->rename(too_long, "missing/x").error(), Errc::kNoEnt);
    EXPECT_EQ(stat_error(w, longest + "/" + too_long), Errc::kNotDir);
    std::string path;
    while (path.size() < 4094) { path += "./"; }
    EXPECT_EQ(path.size(), 4094u);
    EXPECT_EQ(stat_error(w, path + "."), Errc::kOk);
    EXPECT_EQ(stat_error(w, path + "./"), Errc::kNameTooLong);
  });
}

TEST(Path, SymlinksAreFollowedWhereTheyShouldBe) {
  in_world([](World& w) {
    EXPECT_TRUE(w.p->mkdir("d").ok());
    w.open("d/f");
    EXPECT_TRUE(w.p->symlink("d", "to_dir").ok());
    EXPECT_TRUE(w.p->symlink("/d/f", "to_file").ok());
    EXPECT_TRUE(w.p->symlink("../to_file", "d/up").ok());
    EXPECT_TRUE(w.p->symlink("nowhere", "dangling").ok());
    const uint32_t file = w.p->stat("d/f").value().ino.value();
    EXPECT_EQ(w.p->stat("to_dir/f").value().ino.value(), file);
    EXPECT_EQ(w.p->stat("to_dir/up").value().ino.value(), file);
    EXPECT_EQ(w.p->stat("to_file").value().ino.value(), file);
    EXPECT_EQ(w.p->lstat("to_file").value().mode & 0170000, 0120000);
    // A trailing slash follows even for lstat.
    EXPECT_EQ(w.p->lstat("to_dir/").value().mode & 0170000, 0040000);
    EXPECT_EQ(w.p->lstat("to_file/").error(), Errc::kNotDir);
    EXPECT_EQ(stat_error(w, "dangling"), Errc::kNoEnt);
    EXPECT_EQ(w.p->readlink("to_dir").value(), "d");
    EXPECT_EQ(w.p->readlink("to_dir/").error(), Errc::kInval);
    EXPECT_EQ(w.open_error("to_file", kReadOnly | kOpenNoFollow), Errc::kLoop);
    EXPECT_EQ(w.open_error("to_file", kReadOnly | kOpenNoFollow | kOpenPath), Errc::kOk);
    // O_CREAT goes through a dangling link and makes its target.
    w.open("dangling");
    EXPECT_EQ(w.p->lstat("nowhere").value().mode & 0170000, 0100000);
  });
}

TEST(Path, FortySymlinksAreFollowedAndNoMore) {
  in_world([](World& w) {
    w.open("f");
    std::string target = "f";
    for (int i = 1; i <= 41; ++i) {
      const std::string name = "l" + std::to_string(i);
      EXPECT_TRUE(w.p->symlink(target, name).ok());
      target = name;
    }
    EXPECT_EQ(stat_error(w, "l40"), Errc::kOk);
    EXPECT_EQ(stat_error(w, "l41"), Errc::kLoop);
    EXPECT_EQ(w.open_error("l41", testing::kRwCreate), Errc::kLoop);
    EXPECT_TRUE(w.p->symlink("self", "self").ok());
    EXPECT_EQ(stat_error(w, "self"), Errc::kLoop);
    EXPECT_EQ(stat_error(w, "self/x"), Errc::kLoop);
    EXPECT_EQ(w.open_error("self", testing::kRwCreate), Errc::kLoop);
  });
}

TEST(Path, ParentOfKnowsTheLastComponent) {
  in_world([](World& w) {
    EXPECT_TRUE(w.p->mkdir("d").ok());
    ext4::Volume& volume = w.fs->volume();
    const auto kind = [&](std::string_view path) { return walk_parent(volume, path).value().kind; };
    EXPECT_EQ(kind("/"), LastKind::kRoot);
    EXPECT_EQ(kind("///"), LastKind::kRoot);
    EXPECT_EQ(kind("."), LastKind::kDot);
    EXPECT_EQ(kind("d/../"), LastKind::kDotDot);
    EXPECT_EQ(kind("d/new"), LastKind::kName);
    const ParentOf parent = walk_parent(volume, "d/new//").value();
    EXPECT_EQ(parent.last, "new");
    EXPECT_TRUE(parent.trailing_slash);
    EXPECT_EQ(parent.dir->ino(), w.p->stat("d").value().ino);
  });
}

}  // namespace
}  // namespace daxfs::vfs
