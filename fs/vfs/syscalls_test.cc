// fs/vfs/syscalls_test.cc - descriptors, names and their errors, mount options; space that runs out.
#include "fs/vfs/test_world.h"

namespace daxfs::vfs {
namespace {

using testing::in_world;
using testing::k4K;
using testing::kRw;
using testing::kRwCreate;
using testing::World;

constexpr uint32_t kRo = 0;

TEST(Open, FlagsAndKindsAnswerInTheKernelsOrder) {
  in_world([](World& w) {
    EXPECT_TRUE(w.p->mkdir("d").ok());
    w.open("f");
    EXPECT_TRUE(w.p->symlink("f", "l").ok());
    EXPECT_EQ(w.open_error("missing", kRo), Errc::kNoEnt);
    EXPECT_EQ(w.open_error("d", kRw), Errc::kIsDir);
    EXPECT_EQ(w.open_error("d", kOpenCreate), Errc::kIsDir);
    EXPECT_EQ(w.open_error("d", kOpenTruncate), Errc::kIsDir);
    EXPECT_EQ(w.open_error("d", kRo), Errc::kOk);
    EXPECT_EQ(w.open_error("d", kOpenDirect), Errc::kInval);
    EXPECT_EQ(w.open_error("x/", kOpenCreate), Errc::kIsDir);
    EXPECT_EQ(w.open_error("x/", kOpenCreate | kOpenExclusive), Errc::kIsDir);
    EXPECT_EQ(w.open_error("f/", kRo), Errc::kNotDir);
    EXPECT_EQ(w.open_error("f", kOpenDirectory), Errc::kNotDir);
    EXPECT_EQ(w.open_error("f", kOpenDirectory | kOpenPath), Errc::kNotDir);
    EXPECT_EQ(w.open_error("f", kOpenCreate | kOpenExclusive), Errc::kExist);
    EXPECT_EQ(w.open_error("l", kOpenCreate | kOpenExclusive), Errc::kExist);
    EXPECT_EQ(w.open_error("l", kOpenCreate | kOpenNoFollow), Errc::kLoop);
    EXPECT_EQ(w.open_error("l", kOpenDirectory | kOpenNoFollow), Errc::kNotDir);
    EXPECT_EQ(w.open_error(".", kOpenCreate | kOpenExclusive), Errc::kExist);
    EXPECT_EQ(w.open_error("/", kOpenCreate), Errc::kIsDir);
    // Before 6.1.y took over what 6.4 does, a file was made.
    EXPECT_EQ(w.open_error("made", kOpenCreate | kOpenDirectory), Errc::kInval);
    EXPECT_EQ(w.open_error("made", kRo), Errc::kNoEnt);
  });
}

TEST(Open, TmpfileHasNoNameAndVanishesWithItsLastUser) {
  in_world([](World& w) {
    const uint64_t free_before = w.p->statfs("/").value().files_free;
    EXPECT_EQ(w.open_error(".", kOpenTmpfile), Errc::kInval);
    EXPECT_EQ(w.open_error(".", kOpenTmpfile | kOpenCreate | kRw), Errc::kInval);
    const int fd = w.open(".", kOpenTmpfile | kRw);
    EXPECT_EQ(w.stat(fd).links, 0u);
    EXPECT_EQ(w.pwrite(fd, 10000, 0, 7), 10000);
    EXPECT_EQ(w.at(fd, 9999), 7);
    EXPECT_EQ(w.open_error("f", kOpenTmpfile | kRw), Errc::kNoEnt);
    EXPECT_EQ(w.p->statfs("/").value().files_free, free_before - 1);
    EXPECT_TRUE(w.p->close(fd).ok());
    EXPECT_EQ(w.p->statfs("/").value().files_free, free_before);
  });
}

TEST(Open, DescriptorsAreTheLowestFreeNumbersAndShareAPosition) {
  in_world([](World& w) {
    const int a = w.open("a"), b = w.open("b"), c = w.open("c");
    EXPECT_EQ(a, 0);
    EXPECT_EQ(c, 2);
    EXPECT_TRUE(w.p->close(b).ok());
    EXPECT_EQ(w.p->close(b).error(), Errc::kBadf);
    EXPECT_EQ(w.p->dup(a).value(), 1);
    EXPECT_EQ(w.p->dup(99).error(), Errc::kBadf);
    const std::byte bytes[5] = {};
    EXPECT_EQ(w.p->write_bytes(a, bytes).value(), 5u);
    EXPECT_EQ(w.seek(1, 0, kSeekCurrent).value(), 5);
    EXPECT_EQ(w.seek(w.open("a"), 0, kSeekCurrent).value(), 0);
  });
}

TEST(Open, APathDescriptorCannotDoMuch) {
  in_world([](World& w) {
    w.open("f");
    const int fd = w.open("f", kOpenPath);
    std::byte byte{};
    EXPECT_EQ(w.p->read_bytes(fd, std::span(&byte, 1)).error(), Errc::kBadf);
    EXPECT_EQ(w.p->ftruncate(fd, 0).error(), Errc::kBadf);
    EXPECT_EQ(w.fallocate(fd, 0, 0, 1), Errc::kBadf);
    EXPECT_EQ(w.seek(fd, 0, kSeekSet).error(), Errc::kBadf);
    EXPECT_EQ(w.p->fsync(fd).error(), Errc::kBadf);
    EXPECT_EQ(w.map_error(k4K, mm::kProtRead, kMmapShared, fd), Errc::kBadf);
    EXPECT_EQ(w.p->getdents(fd).error(), Errc::kBadf);
    EXPECT_EQ(w.p->fiemap(fd, 0, 1).error(), Errc::kBadf);
    EXPECT_TRUE(w.p->fstat(fd).ok());
    EXPECT_TRUE(w.p->dup(fd).ok());
  });
}

TEST(Names, RenameAnswersAsRenameat2Does) {
  in_world([](World& w) {
    auto& p = *w.p;
    const auto rename = [&](std::string_view from, std::string_view to, uint32_t flags = 0) {
      return p.rename(from, to, flags).error();
    };
    EXPECT_TRUE(p.mkdir("d").ok());
    EXPECT_TRUE(p.mkdir("d/e").ok());
    EXPECT_TRUE(p.mkdir("empty").ok());
    w.open("f");
    w.open("g");
    EXPECT_EQ(rename("f", "d"), Errc::kIsDir);
    EXPECT_EQ(rename("d", "f"), Errc::kNotDir);
    EXPECT_EQ(rename("empty", "d"), Errc::kNotEmpty);
    EXPECT_EQ(rename("d", "d/e/x"), Errc::kInval);
    EXPECT_EQ(rename("d/e", "d"), Errc::kNotEmpty);
    EXPECT_EQ(rename("d", "d/e", kRenameExchange), Errc::kInval);
    EXPECT_EQ(rename("d/e", "d", kRenameExchange), Errc::kInval);
    EXPECT_EQ(rename(".", "x"), Errc::kBusy);
    EXPECT_EQ(rename("d/..", "x"), Errc::kBusy);
    EXPECT_EQ(rename("f", "/"), Errc::kBusy);
    EXPECT_EQ(rename("f", ".", kRenameNoReplace), Errc::kExist);
    EXPECT_EQ(rename("f/", "x"), Errc::kNotDir);
    EXPECT_EQ(rename("f", "x/"), Errc::kNotDir);
    EXPECT_EQ(rename("f", "g", kRenameNoReplace), Errc::kExist);
    EXPECT_EQ(rename("f", "missing", kRenameExchange), Errc::kNoEnt);
    EXPECT_EQ(rename("missing", "x"), Errc::kNoEnt);
    EXPECT_EQ(rename("f", "g", kRenameNoReplace | kRenameExchange), Errc::kInval);
    EXPECT_EQ(rename("f", "g", 8), Errc::kInval);
    // Two names of one inode: success, and both stay.
    EXPECT_TRUE(p.link("f", "f2").ok());
    EXPECT_EQ(rename("f", "f2"), Errc::kOk);
    EXPECT_EQ(p.stat("f").value().links, 2u);
    // A directory moves: link counts of both parents, and "..".
    EXPECT_EQ(rename("d/e", "empty/e/"), Errc::kOk);
    EXPECT_EQ(p.stat("d").value().links, 2u);
    EXPECT_EQ(p.stat("empty").value().links, 3u);
    EXPECT_EQ(p.stat("empty/e/..").value().ino, p.stat("empty").value().ino);
    // Directory against file, and back.
    EXPECT_EQ(rename("f", "empty/e", kRenameExchange), Errc::kOk);
    EXPECT_EQ(p.stat("empty").value().links, 2u);
    EXPECT_EQ(p.stat("f").value().mode & 0170000, 0040000);
    EXPECT_EQ(rename("f", "d"), Errc::kOk);
    EXPECT_EQ(rename("g", "g"), Errc::kOk);
  });
}

TEST(Names, RenameCanLeaveAWhiteout) {
  in_world([](World& w) {
    w.open("f");
    EXPECT_TRUE(w.p->rename("f", "g", kRenameWhiteout).ok());
    const auto whiteout = w.p->stat("f").value();
    EXPECT_EQ(whiteout.mode, 0020000);
    EXPECT_EQ(whiteout.links, 1u);
    EXPECT_EQ(w.open_error("f", kRo), Errc::kNxio);
    EXPECT_EQ(w.p->rename("g", "f", kRenameWhiteout | kRenameExchange).error(), Errc::kInval);
    EXPECT_TRUE(w.p->rename("g", "f", kRenameWhiteout).ok());
    EXPECT_TRUE(w.p->unlink("g").ok());
  });
}

TEST(Names, LinkUnlinkAndDirectoriesAnswerAsTheKernelDoes) {
  in_world([](World& w) {
    auto& p = *w.p;
    EXPECT_TRUE(p.mkdir("d").ok());
    w.open("f");
    w.open("d/g");
    EXPECT_EQ(p.link("d", "x").error(), Errc::kPerm);
    EXPECT_EQ(p.link("f", "d").error(), Errc::kExist);
    EXPECT_EQ(p.link("d", "f").error(), Errc::kExist);
    EXPECT_EQ(p.link("missing", "f").error(), Errc::kNoEnt);
    EXPECT_EQ(p.link("f", "x/").error(), Errc::kNoEnt);
    EXPECT_EQ(p.link("f", "f/").error(), Errc::kExist);
    EXPECT_EQ(p.link("f", "missing/x").error(), Errc::kNoEnt);
    EXPECT_EQ(p.unlink("d").error(), Errc::kIsDir);
    EXPECT_EQ(p.unlink("d/").error(), Errc::kIsDir);
    EXPECT_EQ(p.unlink("f/").error(), Errc::kNotDir);
    EXPECT_EQ(p.unlink(".").error(), Errc::kIsDir);
    EXPECT_EQ(p.rmdir("f").error(), Errc::kNotDir);
    EXPECT_EQ(p.rmdir("d").error(), Errc::kNotEmpty);
    EXPECT_EQ(p.rmdir("d/.").error(), Errc::kInval);
    EXPECT_EQ(p.rmdir("d/..").error(), Errc::kNotEmpty);
    EXPECT_EQ(p.rmdir("/").error(), Errc::kBusy);
    EXPECT_EQ(p.mkdir("d").error(), Errc::kExist);
    EXPECT_EQ(p.mkdir("f/").error(), Errc::kExist);
    EXPECT_EQ(p.mkdir("/").error(), Errc::kExist);
    EXPECT_EQ(p.mkdir("e/").error(), Errc::kOk);
    EXPECT_EQ(p.symlink("", "l").error(), Errc::kNoEnt);
    EXPECT_EQ(p.symlink("x", "f").error(), Errc::kExist);
    EXPECT_EQ(p.symlink("x", "l/").error(), Errc::kNoEnt);
    EXPECT_EQ(p.symlink(std::string(4096, 'x'), "l").error(), Errc::kNameTooLong);
    for (const size_t size : {1u, 59u, 60u, 4095u}) {  // fast, fast, in a block, the largest
      const std::string target(size, 'x');
      EXPECT_TRUE(p.symlink(target, "l").ok());
      EXPECT_EQ(p.readlink("l").value(), target);
      EXPECT_EQ(p.lstat("l").value().size, size);
      EXPECT_EQ(p.lstat("l").value().sectors, size < 60 ? 0u : 8u);
      EXPECT_TRUE(p.unlink("l").ok());
    }
    EXPECT_EQ(p.readlink("f").error(), Errc::kInval);
  });
}

TEST(Names, AnUnlinkedFileLivesUntilItsLastDescriptorAndMapping) {
  in_world([](World& w) {
    const uint64_t free_before = w.p->statfs("/").value().blocks_free;
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 20000, 0, 5), 20000);
    const VirtAddr m = w.map(fd, 8192);
    EXPECT_TRUE(w.p->unlink("f").ok());
    EXPECT_EQ(w.stat(fd).links, 0u);
    EXPECT_EQ(w.at(fd, 19999), 5);
    EXPECT_TRUE(w.p->close(fd).ok());
    EXPECT_EQ(w.poke(m, 6), mm::Signal::kNone);
    EXPECT_EQ(w.peek(m), 6);
    EXPECT_LT(w.p->statfs("/").value().blocks_free, free_before);
    EXPECT_TRUE(w.p->munmap(m, 8192).ok());
    EXPECT_EQ(w.p->statfs("/").value().blocks_free, free_before);
  });
}

TEST(Names, ARemovedDirectoryThatIsStillOpenIsEmptyForEver) {
  in_world([](World& w) {
    EXPECT_TRUE(w.p->mkdir("d").ok());
    const int fd = w.open("d", kRo);
    EXPECT_EQ(w.p->getdents(fd).value().size(), 2u);
    EXPECT_EQ(w.p->getdents(fd).value().size(), 0u);
    EXPECT_EQ(w.seek(fd, 0, kSeekCurrent).value(), INT64_MAX);
    EXPECT_EQ(w.seek(fd, 12345, kSeekSet).value(), 12345);  // positions are hashes of names
    EXPECT_EQ(w.p->getdents(fd).value().size(), 2u);
    EXPECT_TRUE(w.p->rmdir("d").ok());
    EXPECT_EQ(w.stat(fd).links, 0u);
    EXPECT_EQ(w.seek(fd, 0, kSeekSet).value(), 0);
    EXPECT_EQ(w.p->getdents(fd).error(), Errc::kNoEnt);
  });
}

TEST(Names, ImmutableAndAppendOnlyFilesRefuse) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 100, 0, 1), 100);
    ASSERT_TRUE(w.p->setxflags(fd, kXflagImmutable).ok());
    EXPECT_EQ(w.pwrite(fd, 1, 0, 1), -1 /* EPERM */);
    EXPECT_EQ(w.pwrite(fd, 0, 0, 1), -1);
    EXPECT_EQ(w.p->ftruncate(fd, int64_t{1} << 60).error(), Errc::kPerm);
    EXPECT_EQ(w.fallocate(fd, 0, 0, INT64_MAX), Errc::kPerm);
    EXPECT_EQ(w.open_error("f", kRw), Errc::kPerm);
    EXPECT_EQ(w.p->unlink("f").error(), Errc::kPerm);
    EXPECT_EQ(w.p->rename("f", "g").error(), Errc::kPerm);
    EXPECT_EQ(w.p->link("f", "g").error(), Errc::kPerm);
    EXPECT_EQ(w.p->setxflags(fd, kXflagImmutable | kXflagAppend).error(), Errc::kPerm);
    ASSERT_TRUE(w.p->setxflags(fd, kXflagAppend).ok());
    EXPECT_EQ(w.open_error("f", kRw), Errc::kPerm);
    EXPECT_EQ(w.open_error("f", kRw | kOpenAppend), Errc::kOk);
    EXPECT_EQ(w.open_error("f", kOpenTruncate), Errc::kPerm);
    EXPECT_EQ(w.p->ftruncate(fd, 0).error(), Errc::kPerm);
    EXPECT_EQ(w.fallocate(fd, testing::kPunch, 0, 1), Errc::kPerm);
    EXPECT_EQ(w.fallocate(fd, 0, 0, 200), Errc::kOk);
    EXPECT_EQ(w.map_error(k4K, mm::kProtRead, kMmapShared, fd), Errc::kAccess);
    ASSERT_TRUE(w.p->setxflags(fd, 0).ok());
    EXPECT_TRUE(w.p->unlink("f").ok());
  });
}

TEST(Mount, ReadOnlyRefusesEveryChangeWithErofs) {
  in_world([](World& w) {
    EXPECT_TRUE(w.p->mkdir("d").ok());
    const int made = w.open("f");
    EXPECT_EQ(w.pwrite(made, 5000, 0, 9), 5000);
    w.remount("dax=always,ro");
    EXPECT_EQ(w.open_error("f", kRw), Errc::kRoFs);
    EXPECT_EQ(w.open_error("f", kOpenTruncate), Errc::kRoFs);
    EXPECT_EQ(w.open_error("new", kOpenCreate), Errc::kRoFs);
    EXPECT_EQ(w.open_error("f", kOpenCreate), Errc::kOk);
    EXPECT_EQ(w.open_error(".", kOpenTmpfile | kRw), Errc::kRoFs);
    EXPECT_EQ(w.p->mkdir("e").error(), Errc::kRoFs);
    EXPECT_EQ(w.p->mkdir("d").error(), Errc::kExist);
    EXPECT_EQ(w.p->rmdir("d").error(), Errc::kRoFs);
    EXPECT_EQ(w.p->unlink("f").error(), Errc::kRoFs);
    EXPECT_EQ(w.p->unlink("missing").error(), Errc::kRoFs);
    EXPECT_EQ(w.p->rename("f", "g").error(), Errc::kRoFs);
    EXPECT_EQ(w.p->link("f", "g").error(), Errc::kRoFs);
    EXPECT_EQ(w.p->symlink("f", "g").error(), Errc::kRoFs);
    EXPECT_EQ(w.p->truncate("f", 0).error(), Errc::kRoFs);
    const int fd = w.open("f", kRo);
    EXPECT_EQ(w.at(fd, 4999), 9);
    const VirtAddr m = w.map(fd, k4K, 0, kMmapShared, mm::kProtRead);
    EXPECT_EQ(w.peek(m), 9);
  });
}

TEST(Mount, UnknownOptionsAreNamed) {
  std::string message;
  EXPECT_EQ(parse_mount_options("dax=always,huge", &message).error(), Errc::kInval);
  EXPECT_NE(message.find("'huge'"), std::string::npos);
  EXPECT_TRUE(parse_mount_options("", &message).ok());
  EXPECT_TRUE(parse_mount_options("ro,dax=inode,poison_freed", &message)->poison_freed);
}

TEST(Mount, EverythingIsThereAfterARemount) {
  in_world([](World& w) {
    EXPECT_TRUE(w.p->mkdir("d", 01750).ok());
    const int fd = w.open("d/f", kRwCreate, 0640);
    EXPECT_EQ(w.pwrite(fd, 12345, 70000, 3), 12345);
    EXPECT_TRUE(w.p->link("d/f", "again").ok());
    EXPECT_TRUE(w.p->symlink("d/f", "l").ok());
    const auto before = w.stat(fd);
    w.remount();
    const auto after = w.p->stat("l").value();
    EXPECT_EQ(after.size, before.size);
    EXPECT_EQ(after.sectors, before.sectors);
    EXPECT_EQ(after.mode, 0100640);
    EXPECT_EQ(after.links, 2u);
    EXPECT_EQ(after.mtime, before.mtime);
    EXPECT_EQ(after.crtime, before.crtime);
    EXPECT_EQ(w.p->stat("d").value().mode, 0041750);
    EXPECT_EQ(w.at(w.open("again", kRo), 70000 + 12344), 3);
  });
}

// fs/ext4/xattr_block.h: the block of attributes goes with its last inode.
TEST(Names, UnlinkFreesTheBlockOfExtendedAttributes) {
  rt::run_for_test([] {
    // debugfs puts a value of 300 bytes into a block of its own.
    const auto& image = ext4::testing::make_image(
        1024, "-O ^has_journal", "write /etc/hostname f\\nea_set f user.large " + std::string(300, 'v') + "\\n");
    const auto device = ext4::testing::load_device(image);
    std::string message;
    auto fs = Filesystem::mount(*device, "dax=always", &message).value();
    Process p(*fs);
    const uint64_t before = p.statfs("/").value().blocks_free;
    const uint64_t sectors = p.stat("f").value().sectors;
    EXPECT_TRUE(p.unlink("f").ok());
    EXPECT_EQ(p.statfs("/").value().blocks_free, before + sectors / 8);
    EXPECT_EQ(sectors, 16u);
    p.exit();
    EXPECT_TRUE(fs->unmount().ok());
    fs.reset();
    EXPECT_EQ(ext4::testing::e2fsck(device->bytes()), "");
  });
}

// Creates, grows and links until nothing fits any more, in several mixtures; unmount and the checkers do the rest.
TEST(Space, RunningOutAnywhereLeavesAConsistentImage) {
  for (int mixture = 0; mixture < 6; ++mixture) {
    SCOPED_TRACE(mixture);
    const testing::WorldOptions tiny{
        .blocks = 128, .mke2fs = "-N 64 -O ^has_journal,^resize_inode", .mount = "dax=always"};
    in_world(tiny, [&](World& w) {
      auto& p = *w.p;
      EXPECT_TRUE(p.mkdir("d").ok());
      int failures = 0;
      const std::string tail(200, 'n');
      for (int i = 0; i < 400 && failures < 40; ++i) {
        const std::string name = "d/" + std::to_string(i) + tail;
        Status status;
        switch ((i * 7 + mixture * 3) % 6) {
          case 0: {
            const auto fd = p.open(name, kRwCreate, 0644);
            status = fd.status();
            if (fd.ok()) {
              // Every second block: the extent tree grows, too.
              for (int k = 0; k < 8 && status.ok(); ++k) {
                const int64_t done = w.pwrite(*fd, 100, k * 8192, i);
                if (done < 0) { status = static_cast<Errc>(-done); }
              }
              p.close(*fd).ignore_error("just opened");
            }
            break;
          }
          case 1: status = p.mkdir(name); break;
          case 2: status = p.symlink(std::string(1000, 's'), name); break;
          case 3: status = p.link("d/0" + tail, name); break;
          case 4: {
            const auto fd = p.open("big" + std::to_string(i % 3), kRwCreate, 0644);
            status = fd.status();
            if (fd.ok()) {
              status = p.fallocate(*fd, (i / 6) % 2 != 0 ? ext4::kFallocKeepSize : 0, (i % 11) * 40000, 9000);
              p.close(*fd).ignore_error("just opened");
            }
            break;
          }
          default:
            status = p.rename("d/" + std::to_string(i - 1 - mixture) + tail, name, i % 4 == 3 ? kRenameWhiteout : 0);
            break;
        }
        if (status.error() == Errc::kNoSpc) { ++failures; }
      }
      EXPECT_GT(failures, 0);
      // Life goes on: what is removed can be used again.
      for (int i = 0; i < 400; ++i) {
        const std::string name = "d/" + std::to_string(i) + tail;
        if (!p.unlink(name).ok()) { p.rmdir(name).ignore_error("most names do not exist"); }
      }
      EXPECT_TRUE(p.mkdir("d/after").ok());
    });
  }
}

}  // namespace
}  // namespace daxfs::vfs
