// fs/vfs/semantics_test.cc - what Linux 6.1 answers on ext4 -o dax=always, row by row as it was observed there.
//
// Covered in fs/vfs/syscalls_test.cc: names, open, mount. Not covered: what the library leaves out on purpose
// (docs/known-gaps.md), such as mappings of files without DAX.
#include "fs/vfs/test_world.h"

namespace daxfs::vfs {
namespace {

using testing::in_world;
using testing::k4K;
using testing::kPunch;
using testing::kRw;
using testing::kRwCreate;
using testing::World;

constexpr int64_t kMaxBytes = 17592186040320;  // s_maxbytes
constexpr uint32_t kAlloc = 0;
const VirtAddr kBad{uint64_t{1} << 46};

int64_t errno_of(Errc errc) { return -static_cast<int64_t>(errc); }

// --- reads and writes

TEST(Transfer, DirectOnADaxFileKnowsNoAlignment) {
  in_world([](World& w) {
    const int fd = w.open("f", kRwCreate | kOpenDirect);
    EXPECT_EQ(w.pwrite(fd, 777, 13, 1), 777);
    EXPECT_EQ(w.at(fd, 789), 1);
    EXPECT_EQ(w.size(fd), 790u);
  });
}

TEST(Transfer, DirectOnAFileWithoutDaxWantsSectors) {
  in_world({.blocks = 1024, .mke2fs = "-O ^has_journal", .mount = "dax=never"}, [](World& w) {
    const int fd = w.open("f", kRwCreate | kOpenDirect);
    const VirtAddr buffer = w.map(-1, 4 * k4K, 0, kMmapPrivate | kMmapAnonymous);
    EXPECT_EQ(w.p->pwrite(fd, buffer, 8192, 0).value(), 8192u);
    EXPECT_EQ(w.p->pwrite(fd, buffer, 512, 1).error(), Errc::kInval);
    EXPECT_EQ(w.p->pwrite(fd, buffer, 511, 0).error(), Errc::kInval);
    EXPECT_EQ(w.p->pwrite(fd, buffer + 1, 512, 0).error(), Errc::kInval);
    EXPECT_EQ(w.p->pread(fd, buffer + 512, 1024, 512).value(), 1024u);
    // All of the count, also what lies behind the end of the file.
    EXPECT_EQ(w.p->pread(fd, buffer, 2 * k4K + 2, 0).error(), Errc::kInval);
    EXPECT_EQ(w.p->pread(fd, buffer, 2 * k4K + 512, 0).value(), 2 * k4K);
    EXPECT_EQ(w.p->pwrite(fd, buffer, 2 * k4K + 2, 0).error(), Errc::kInval);
    EXPECT_EQ(w.peek(buffer), 0);
  });
}

// As measured: the hole is zeroed as far as the buffer goes, and no byte is no error.
TEST(Transfer, AHoleReadIntoABadBufferEndsTheReadOfADaxFile) {
  in_world([](World& w) {
    const VirtAddr bad(uint64_t{1} << 46);
    const int fd = w.open("f");
    ASSERT_EQ(w.fallocate(fd, 0, 0, 2 * k4K), Errc::kOk);
    EXPECT_EQ(w.p->pread(fd, bad, k4K, 0).value(), 0u) << "unwritten";
    ASSERT_TRUE(w.p->ftruncate(fd, 8 * k4K).ok());
    EXPECT_EQ(w.p->pread(fd, bad, k4K, 4 * k4K).value(), 0u) << "a hole";
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 1), 8192);
    EXPECT_EQ(w.p->pread(fd, bad, k4K, 0).error(), Errc::kFault) << "data";
    EXPECT_EQ(w.p->read(fd, bad, k4K).error(), Errc::kFault);
    EXPECT_EQ(w.seek(fd, 0, kSeekCurrent).value(), 0);
  });
}

TEST(Transfer, ADaxFileHasNoBlocksToReadFromSMaxbytesOn) {
  for (const char* const mount : {"dax=always", "dax=never"}) {
    in_world({.blocks = 1024, .mke2fs = "-O ^has_journal", .mount = mount}, [&](World& w) {
      const int fd = w.open("f");
      const Errc wanted = std::string(mount) == "dax=always" ? Errc::kInval : Errc::kOk;
      std::byte byte{};
      const auto at = [&](int64_t offset, size_t count) {
        return w.p->pread_bytes(fd, std::span(&byte, count), offset);
      };
      EXPECT_EQ(at(17592186040319, 1).error(), Errc::kOk);
      EXPECT_EQ(at(17592186040320, 1).error(), wanted);
      EXPECT_EQ(at(INT64_MAX - 1, 1).error(), wanted);
      EXPECT_EQ(at(17592186040320, 0).error(), Errc::kOk);
    });
  }
}

// Not whether it is writable, but whether it could become so.
TEST(Mmap, RemoveAdviceNeedsASharedMappingOfAWritableFile) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 1), 8192);
    const VirtAddr reads = w.map(fd, 2 * k4K, 0, kMmapShared, mm::kProtRead);
    EXPECT_TRUE(w.p->madvise(reads, k4K, kAdviseRemove).ok());
    EXPECT_EQ(w.at(fd, 0), 0);
    const VirtAddr never = w.map(w.open("f", testing::kReadOnly), 2 * k4K, 0, kMmapShared, mm::kProtRead);
    EXPECT_EQ(w.p->madvise(never, k4K, kAdviseRemove).error(), Errc::kAccess);
    const VirtAddr own = w.map(fd, 2 * k4K, 0, kMmapPrivate);
    EXPECT_EQ(w.p->madvise(own, k4K, kAdviseRemove).error(), Errc::kAccess);
    EXPECT_EQ(w.at(fd, 4096), 1);
  });
}

TEST(Transfer, DirectWithADaxMappingAsBufferFailsWholeOnABadPage) {
  in_world({.blocks = 1024, .mke2fs = "-O ^has_journal", .mount = "dax=inode"}, [](World& w) {
    const int dax_fd = w.open("dax");
    ASSERT_TRUE(w.p->setxflags(dax_fd, kXflagDax).ok());
    ASSERT_TRUE(w.p->close(dax_fd).ok());
    w.p->drop_caches();
    const int dax = w.open("dax", kRw);
    EXPECT_EQ(w.pwrite(dax, k4K, 0, 4), 4096);
    const VirtAddr m = w.map(dax, 2 * k4K);
    const int fd = w.open("plain", kRwCreate | kOpenDirect);
    EXPECT_EQ(w.p->pwrite(fd, m, k4K, 0).value(), k4K);
    EXPECT_EQ(w.at(w.open("plain", kRw), 4095), 4);
    EXPECT_EQ(w.p->pwrite(fd, m, 2 * k4K, 0).error(), Errc::kFault);  // the second page lies beyond EOF
    EXPECT_EQ(w.size(fd), k4K);
  });
}

TEST(Transfer, ABufferThatFaultsShortensTheCall) {
  in_world([](World& w) {
    const int source = w.open("source");
    EXPECT_EQ(w.pwrite(source, k4K, 0, 2), 4096);
    const VirtAddr m = w.map(source, 2 * k4K);
    const int fd = w.open("f");
    EXPECT_EQ(w.p->pwrite(fd, m, 2 * k4K, 0).value(), k4K);
    EXPECT_EQ(w.size(fd), k4K);
    EXPECT_EQ(w.p->pread(fd, m, 2 * k4K, 0).value(), k4K);
    EXPECT_EQ(w.p->pread(fd, kBad, 100, 0).error(), Errc::kFault);
    EXPECT_EQ(w.p->pwrite(fd, kBad, 100, 0).error(), Errc::kFault);
    EXPECT_EQ(w.p->pread(fd, kBad, 100, k4K).value(), 0u);  // EOF comes first
    EXPECT_EQ(w.p->pread(fd, kBad, 0, 0).value(), 0u);
    // Nothing copied: the file stays as it was (6.1 itself grows it, a bug).
    EXPECT_EQ(w.p->pwrite(fd, kBad, 100, 50000).error(), Errc::kFault);
    EXPECT_EQ(w.size(fd), k4K);
    EXPECT_EQ(w.sectors(fd), 8u);
  });
}

TEST(Transfer, OffsetsAreCheckedInTheKernelsOrder) {
  in_world([](World& w) {
    const int fd = w.open("f");
    const int ro = w.open("f", 0);
    const int wo = w.open("f", kOpenWriteOnly);
    const VirtAddr buffer = w.map(-1, k4K, 0, kMmapPrivate | kMmapAnonymous);
    EXPECT_EQ(w.p->pread(99, buffer, 1, -1).error(), Errc::kInval);
    EXPECT_EQ(w.p->pwrite(99, buffer, 1, -1).error(), Errc::kInval);
    EXPECT_EQ(w.p->pread(99, buffer, 1, 0).error(), Errc::kBadf);
    EXPECT_EQ(w.p->pwrite(ro, buffer, 0, 0).error(), Errc::kBadf);
    EXPECT_EQ(w.p->pread(wo, buffer, 0, 0).error(), Errc::kBadf);
    EXPECT_EQ(w.p->pread(fd, buffer, 2, INT64_MAX).error(), Errc::kInval);
    EXPECT_EQ(w.p->pwrite(fd, buffer, 2, INT64_MAX).error(), Errc::kInval);
    EXPECT_EQ(w.p->pread(fd, buffer, UINT64_MAX, 0).error(), Errc::kFault);
    EXPECT_EQ(w.p->pwrite(fd, buffer, 1, kMaxBytes).error(), Errc::kFBig);
    EXPECT_EQ(w.p->pwrite(fd, buffer, 0, 100000).value(), 0u);
    EXPECT_EQ(w.size(fd), 0u);
    const auto before = w.stat(fd);
    rt::clock_advance(1000);
    EXPECT_EQ(w.p->pwrite(fd, buffer, 0, 100000).value(), 0u);
    EXPECT_EQ(w.stat(fd).mtime, before.mtime);
    EXPECT_EQ(w.p->ftruncate(fd, kMaxBytes).error(), Errc::kOk);
    EXPECT_EQ(w.p->ftruncate(fd, kMaxBytes + 1).error(), Errc::kFBig);
    EXPECT_EQ(w.p->ftruncate(fd, 0).error(), Errc::kOk);
    // A directory: read is EISDIR, write is EBADF.
    const int dir = w.open(".", 0);
    EXPECT_EQ(w.p->pread(dir, buffer, 1, 0).error(), Errc::kIsDir);
    EXPECT_EQ(w.p->pwrite(dir, buffer, 1, 0).error(), Errc::kBadf);
  });
}

TEST(Transfer, AppendIgnoresTheOffset) {
  in_world([](World& w) {
    const int fd = w.open("f", kRwCreate | kOpenAppend);
    EXPECT_EQ(w.pwrite(fd, 100, 0, 1), 100);
    EXPECT_EQ(w.pwrite(fd, 50, 0, 2), 50);
    EXPECT_EQ(w.size(fd), 150u);
    EXPECT_EQ(w.at(fd, 0), 1);
    EXPECT_EQ(w.at(fd, 100), 2);
    EXPECT_EQ(w.fallocate(fd, kPunch, 0, 10), Errc::kOk);
    EXPECT_TRUE(w.p->ftruncate(fd, 10).ok());
  });
}

// --- fallocate

TEST(StatusFlags, SetFlChangesAppendAndDirectAndNothingElse) {
  in_world({.mount = "dax=never"}, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.p->setfl(fd, kOpenDirect | kOpenSync).error(), Errc::kOk);
    EXPECT_EQ(w.p->getfl(fd).value(), kRwCreate | kOpenDirect);
    EXPECT_EQ(w.pwrite(fd, 100, 0, 1), -static_cast<int64_t>(Errc::kInval)) << "sectors only";
    EXPECT_EQ(w.p->setfl(fd, kOpenAppend).error(), Errc::kOk);
    EXPECT_EQ(w.pwrite(fd, 100, 0, 1), 100);
    EXPECT_EQ(w.pwrite(fd, 100, 0, 2), 100);
    EXPECT_EQ(w.size(fd), 200u);
    EXPECT_EQ(w.p->setfl(w.open("/", testing::kReadOnly), kOpenDirect).error(), Errc::kInval);
    EXPECT_EQ(w.p->setfl(w.open("f", kOpenPath), 0).error(), Errc::kBadf);
    EXPECT_EQ(w.p->setfl(99, 0).error(), Errc::kBadf);
  });
}

// The mount option trim_eof.
TEST(Release, FreesBlocksBehindEofOfAFileThatWasOpenForWriting) {
  in_world({.mount = "dax=inode,trim_eof"}, [](World& w) {
    const int writer = w.open("f");
    const int reader = w.open("f", testing::kReadOnly);
    EXPECT_EQ(w.pwrite(writer, k4K, 0, 1), 4096);
    EXPECT_EQ(w.fallocate(writer, ext4::kFallocKeepSize, 0, 4 * 4096), Errc::kOk);
    EXPECT_TRUE(w.p->fsync(writer).ok());
    EXPECT_EQ(w.sectors(reader), 32u);
    const int copy = w.p->dup(writer).value();
    EXPECT_TRUE(w.p->close(writer).ok());
    EXPECT_EQ(w.sectors(reader), 32u) << "still open";
    EXPECT_TRUE(w.p->close(copy).ok());
    EXPECT_EQ(w.sectors(reader), 8u);
    EXPECT_EQ(w.at(reader, 4095), 1);
  });
}

TEST(Fallocate, ChecksComeInTheKernelsOrder) {
  in_world([](World& w) {
    const int fd = w.open("f");
    const int ro = w.open("f", 0);
    const int dir = w.open(".", 0);
    constexpr uint32_t kUnknown = 0x100;
    EXPECT_EQ(w.fallocate(99, kUnknown, -1, 0), Errc::kBadf);
    EXPECT_EQ(w.fallocate(ro, kUnknown, -1, 1), Errc::kInval);
    EXPECT_EQ(w.fallocate(ro, kUnknown, 0, 0), Errc::kInval);
    EXPECT_EQ(w.fallocate(ro, kUnknown, 0, 1), Errc::kOpNotSupp);
    EXPECT_EQ(w.fallocate(ro, ext4::kFallocPunchHole | ext4::kFallocZeroRange, 0, 1), Errc::kOpNotSupp);
    EXPECT_EQ(w.fallocate(ro, ext4::kFallocPunchHole, 0, 1), Errc::kOpNotSupp);
    EXPECT_EQ(w.fallocate(ro, ext4::kFallocCollapseRange | ext4::kFallocKeepSize, 0, k4K), Errc::kInval);
    EXPECT_EQ(w.fallocate(ro, ext4::kFallocInsertRange | ext4::kFallocKeepSize, 0, k4K), Errc::kInval);
    EXPECT_EQ(w.fallocate(ro, ext4::kFallocUnshareRange, 0, 1), Errc::kBadf);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocUnshareRange, 0, 1), Errc::kOpNotSupp);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocUnshareRange | ext4::kFallocZeroRange, 0, 1), Errc::kInval);
    EXPECT_EQ(w.fallocate(ro, kAlloc, 0, 1), Errc::kBadf);
    EXPECT_EQ(w.fallocate(dir, kAlloc, 0, 1), Errc::kBadf);
    EXPECT_EQ(w.fallocate(fd, kAlloc, 0, INT64_MAX), Errc::kFBig);
    EXPECT_EQ(w.fallocate(fd, kAlloc, INT64_MAX, INT64_MAX), Errc::kFBig);
    EXPECT_EQ(w.fallocate(fd, kAlloc, kMaxBytes - 1, 2), Errc::kFBig);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocCollapseRange, 0, k4K), Errc::kInval);  // empty file
    EXPECT_EQ(w.pwrite(fd, 4 * k4K, 0, 1), 16384);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocCollapseRange, 1, k4K), Errc::kInval);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocCollapseRange, k4K, 3 * k4K), Errc::kInval);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocInsertRange, 4 * k4K, k4K), Errc::kInval);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocInsertRange, 0, 100), Errc::kInval);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocInsertRange, 0, kMaxBytes - 4096), Errc::kFBig);
  });
}

TEST(Fallocate, PunchZeroesEdgesAndFreesWholeBlocks) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 5 * k4K, 0, 1), 5 * 4096);
    EXPECT_EQ(w.fallocate(fd, kPunch, 100, 3 * k4K), Errc::kOk);
    EXPECT_EQ(w.layout(fd, 5), "w..ww");
    EXPECT_EQ(w.at(fd, 99), 1);
    EXPECT_EQ(w.at(fd, 100), 0);
    EXPECT_EQ(w.at(fd, 3 * 4096 + 99), 0);
    EXPECT_EQ(w.at(fd, 3 * 4096 + 100), 1);
    EXPECT_EQ(w.size(fd), 5 * k4K);
    // Past EOF: nothing, not even a time, and blocks that KEEP_SIZE put there stay.
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocKeepSize, 5 * k4K, 2 * k4K), Errc::kOk);
    const auto before = w.stat(fd);
    rt::clock_advance(1000);
    EXPECT_EQ(w.fallocate(fd, kPunch, 5 * k4K, 2 * k4K), Errc::kOk);
    EXPECT_EQ(w.stat(fd).mtime, before.mtime);
    EXPECT_EQ(w.stat(fd).sectors, before.sectors);
  });
}

TEST(Fallocate, ZeroRangeConvertsWholeBlocksAndZeroesEdges) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 4 * k4K, 0, 1), 16384);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocZeroRange, 100, 2 * k4K), Errc::kOk);
    EXPECT_EQ(w.layout(fd, 4), "wuww");
    EXPECT_EQ(w.at(fd, 2 * 4096 + 99), 0);
    EXPECT_EQ(w.at(fd, 2 * 4096 + 100), 1);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocZeroRange, 6 * k4K + 5, 10), Errc::kOk);  // an edge in a hole
    EXPECT_EQ(w.size(fd), 6 * k4K + 15);
    EXPECT_EQ(w.layout(fd, 7), "wuww..u");
  });
}

TEST(Fallocate, KeepSizeBlocksBeyondEofComeAndGo) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocKeepSize, 0, 20000), Errc::kOk);
    EXPECT_EQ(w.sectors(fd), 40u);
    EXPECT_EQ(w.size(fd), 0u);
    EXPECT_EQ(w.seek(fd, 0, kSeekData).error(), Errc::kNxio);
    EXPECT_EQ(w.seek(fd, 0, kSeekHole).error(), Errc::kNxio);
    EXPECT_TRUE(w.p->ftruncate(fd, 5000).ok());
    EXPECT_EQ(w.sectors(fd), 40u);  // upwards keeps them
    EXPECT_TRUE(w.p->ftruncate(fd, 5000).ok());
    EXPECT_EQ(w.sectors(fd), 16u);  // the same size frees what is beyond
  });
}

TEST(Fallocate, OnAFullDiskKeepsWhatItGot) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.fallocate(fd, kAlloc, 0, 300000000), Errc::kNoSpc);
    EXPECT_GT(w.size(fd), 100 * k4K);
    EXPECT_EQ(w.size(fd) % k4K, 0u);
    EXPECT_TRUE(w.p->ftruncate(fd, 0).ok());
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocKeepSize, 0, 300000000), Errc::kNoSpc);
    EXPECT_EQ(w.size(fd), 0u);
    EXPECT_GT(w.sectors(fd), 800u);
  });
}

TEST(Fallocate, ShiftsMoveWhatLiesBeyondEofAndWhatMappingsSee) {
  in_world([](World& w) {
    const int fd = w.open("f");
    for (int i = 0; i < 4; ++i) { EXPECT_EQ(w.pwrite(fd, k4K, i * 4096, i + 1), 4096); }
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocKeepSize, 6 * k4K, k4K), Errc::kOk);
    const VirtAddr m = w.map(fd, 4 * k4K);
    for (uint64_t i = 0; i < 4; ++i) { EXPECT_EQ(w.peek(m + i * k4K), static_cast<int>(i) + 1); }
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocCollapseRange, k4K, k4K), Errc::kOk);
    EXPECT_EQ(w.peek(m + k4K), 3);
    EXPECT_EQ(w.peek_signal(m + 3 * k4K), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.layout(fd, 8), "www..u..");
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocInsertRange, k4K, k4K), Errc::kOk);
    EXPECT_EQ(w.peek(m + k4K), 0);
    EXPECT_EQ(w.peek(m + 2 * k4K), 3);
    EXPECT_EQ(w.layout(fd, 8), "w.ww..u.");
    EXPECT_EQ(w.fallocate(fd, kPunch, 0, k4K), Errc::kOk);
    EXPECT_EQ(w.peek(m), 0);
    EXPECT_EQ(w.poke(m, 8), mm::Signal::kNone);
    EXPECT_EQ(w.layout(fd, 4), "w.ww");
  });
}

TEST(Fallocate, MoreThanFourExtentsCostALeaf) {
  in_world([](World& w) {
    const int fd = w.open("f");
    for (int i = 0; i < 4; ++i) { EXPECT_EQ(w.pwrite(fd, 1, i * 8192, 1), 1); }
    EXPECT_EQ(w.sectors(fd), 32u);
    EXPECT_EQ(w.pwrite(fd, 1, 4 * 8192, 1), 1);
    EXPECT_EQ(w.sectors(fd), 48u);
  });
}

TEST(Fallocate, AWriteIntoUnwrittenBlocksTakesSmallNeighboursAlong) {
  in_world([](World& w) {
    const auto written = [&](const char* name, int64_t unwritten, int64_t offset, uint64_t size) {
      const int fd = w.open(name);
      EXPECT_EQ(w.fallocate(fd, kAlloc, 0, unwritten), Errc::kOk);
      EXPECT_EQ(w.pwrite(fd, size, offset, 1), static_cast<int64_t>(size));
      return w.layout(fd, static_cast<uint64_t>(unwritten) / k4K);
    };
    EXPECT_EQ(written("a", 16384, 4096, 100), "wwww");
    EXPECT_EQ(written("b", 65536, 16384, 4096), "wwwwwuuuuuuuuuuu");
    EXPECT_EQ(written("c", 65536, 15 * 4096, 4096), "uuuuuuuuuuuuuuuw");  // no tail: only itself
  });
}

// --- size and seek

TEST(Size, TruncateAnswersInTheKernelsOrder) {
  in_world([](World& w) {
    const int ro = w.open("f", kOpenCreate);
    EXPECT_TRUE(w.p->mkdir("d").ok());
    const int dir = w.open("d", 0);
    EXPECT_EQ(w.p->ftruncate(99, -1).error(), Errc::kInval);
    EXPECT_EQ(w.p->ftruncate(99, 1).error(), Errc::kBadf);
    EXPECT_EQ(w.p->ftruncate(ro, 1).error(), Errc::kInval);
    EXPECT_EQ(w.p->ftruncate(dir, 1).error(), Errc::kInval);
    EXPECT_EQ(w.p->truncate("missing", -1).error(), Errc::kInval);
    EXPECT_EQ(w.p->truncate("missing", 1).error(), Errc::kNoEnt);
    EXPECT_EQ(w.p->truncate("d", 1).error(), Errc::kIsDir);
    EXPECT_EQ(w.p->truncate("f", kMaxBytes + 1).error(), Errc::kFBig);
    EXPECT_TRUE(w.p->truncate("f", 123).ok());
    EXPECT_EQ(w.size(ro), 123u);
  });
}

TEST(Fiemap, ChecksItsStartAndFlagsThatNobodyKnowsPass) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.p->fiemap(fd, 0, 0).error(), Errc::kInval);
    EXPECT_EQ(w.p->fiemap(fd, 17592186040319, 1).error(), Errc::kOk);
    EXPECT_EQ(w.p->fiemap(fd, 17592186040320, 1).error(), Errc::kInval);
    EXPECT_EQ(w.p->fiemap(fd, 17592186040321, 1).error(), Errc::kFBig);
    EXPECT_EQ(w.p->setxflags(fd, 0x10000000).error(), Errc::kOk);
  });
}

TEST(Seek, DataAndHolesAndTheirErrors) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, k4K, 2 * 4096, 1), 4096);
    EXPECT_TRUE(w.p->ftruncate(fd, 3 * 4096 + 100).ok());
    EXPECT_EQ(w.seek(fd, 0, kSeekData).value(), 8192);
    EXPECT_EQ(w.seek(fd, 0, kSeekHole).value(), 0);
    EXPECT_EQ(w.seek(fd, 8192, kSeekHole).value(), 12288);
    EXPECT_EQ(w.seek(fd, 12288, kSeekData).error(), Errc::kNxio);
    EXPECT_EQ(w.seek(fd, -1, kSeekData).error(), Errc::kNxio);
    EXPECT_EQ(w.seek(fd, 3 * 4096 + 100, kSeekHole).error(), Errc::kNxio);
    EXPECT_EQ(w.pwrite(fd, 100, 3 * 4096, 1), 100);
    EXPECT_EQ(w.seek(fd, 8192, kSeekHole).value(), 3 * 4096 + 100);  // EOF, not rounded
    EXPECT_EQ(w.seek(fd, 0, 9).error(), Errc::kInval);
    EXPECT_EQ(w.seek(fd, kMaxBytes, kSeekSet).value(), kMaxBytes);
    EXPECT_EQ(w.seek(fd, kMaxBytes + 1, kSeekSet).error(), Errc::kInval);
    EXPECT_EQ(w.seek(fd, 1, kSeekCurrent).error(), Errc::kInval);
    EXPECT_EQ(w.seek(fd, -20000, kSeekEnd).error(), Errc::kInval);
    EXPECT_EQ(w.seek(fd, -100, kSeekEnd).value(), 12288);
    const int dir = w.open(".", 0);
    EXPECT_EQ(w.seek(dir, 0, kSeekData).value(), 0);
    EXPECT_EQ(w.seek(dir, 0, kSeekHole).value(), INT64_MAX);
  });
}

TEST(Seek, APageThatWasLoadedCountsAsDataUntilTheInodeLeaves) {
  in_world([](World& w) {
    int fd = w.open("f");
    EXPECT_EQ(w.fallocate(fd, kAlloc, 0, 4 * k4K), Errc::kOk);
    EXPECT_EQ(w.seek(fd, 0, kSeekData).error(), Errc::kNxio);
    EXPECT_EQ(w.at(fd, 4096), 0);  // pread does not count
    EXPECT_EQ(w.seek(fd, 0, kSeekData).error(), Errc::kNxio);
    const VirtAddr m = w.map(fd, 4 * k4K);
    EXPECT_EQ(w.peek(m + 2 * k4K), 0);
    EXPECT_EQ(w.seek(fd, 0, kSeekData).value(), 8192);
    EXPECT_TRUE(w.p->munmap(m, 4 * k4K).ok());
    EXPECT_TRUE(w.p->fsync(fd).ok());
    w.p->drop_caches();
    EXPECT_EQ(w.seek(fd, 0, kSeekData).value(), 8192);
    EXPECT_TRUE(w.p->close(fd).ok());
    w.p->drop_caches();
    fd = w.open("f", kRw);
    EXPECT_EQ(w.seek(fd, 0, kSeekData).error(), Errc::kNxio);
    // A load of a real hole does not count.
    const int sparse = w.open("g");
    EXPECT_TRUE(w.p->ftruncate(sparse, 8192).ok());
    EXPECT_EQ(w.peek(w.map(sparse, 8192)), 0);
    EXPECT_EQ(w.seek(sparse, 0, kSeekData).error(), Errc::kNxio);
  });
}

TEST(Times, ChangeWhenTheKernelChangesThem) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 1), 8192);
    const VirtAddr m = w.map(fd, 2 * k4K);
    ext4::InodeAttributes last = w.stat(fd);
    const auto changed = [&](const char* what, bool mtime, bool ctime) {
      const auto now = w.stat(fd);
      EXPECT_EQ(now.mtime != last.mtime, mtime) << what;
      EXPECT_EQ(now.ctime != last.ctime, ctime) << what;
      last = now;
      rt::clock_advance(1000);
    };
    rt::clock_advance(1000);
    EXPECT_EQ(w.peek(m), 1);
    changed("load", false, false);
    EXPECT_EQ(w.poke(m), mm::Signal::kNone);
    changed("first store", true, true);
    EXPECT_EQ(w.poke(m), mm::Signal::kNone);
    changed("later store", false, false);
    EXPECT_TRUE(w.p->msync(m, k4K, kMsyncSync).ok());
    changed("msync", false, false);
    EXPECT_EQ(w.poke(m), mm::Signal::kNone);
    changed("first store after msync", true, true);
    EXPECT_TRUE(w.p->ftruncate(fd, 8192).ok());
    changed("ftruncate to the same size", true, true);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocKeepSize, 0, 4096), Errc::kOk);
    changed("fallocate of allocated blocks", true, true);
    EXPECT_TRUE(w.p->rename("f", "g").ok());
    changed("rename", false, true);
    EXPECT_TRUE(w.p->link("g", "h").ok());
    changed("link", false, true);
  });
}

// --- mappings

TEST(Mmap, ChecksComeInTheKernelsOrder) {
  in_world([](World& w) {
    const int fd = w.open("f");
    const int ro = w.open("f", 0);
    const int wo = w.open("f", kOpenWriteOnly);
    const int dir = w.open(".", 0);
    constexpr uint32_t kR = mm::kProtRead;
    constexpr uint32_t kRW = mm::kProtRead | mm::kProtWrite;
    EXPECT_EQ(w.map_error(0, kR, kMmapShared, 99, 1), Errc::kInval);
    EXPECT_EQ(w.map_error(0, kR, kMmapShared, 99), Errc::kBadf);
    EXPECT_EQ(w.map_error(0, kR, kMmapShared, fd), Errc::kInval);
    EXPECT_EQ(w.map_error(k4K, kR, kMmapShared, fd, ~uint64_t{4095}), Errc::kOverflow);
    EXPECT_EQ(w.map_error(k4K, kR, kMmapPrivate, wo), Errc::kAccess);
    EXPECT_EQ(w.map_error(k4K, kRW, kMmapShared, ro), Errc::kAccess);
    EXPECT_EQ(w.map_error(k4K, kR, kMmapShared, dir), Errc::kNoDev);
    EXPECT_EQ(w.map_error(k4K, kR, 0, fd), Errc::kInval);
    EXPECT_EQ(w.map_error(k4K, kRW, kMmapSharedValidate | kMmapFixedNoReplace, fd), Errc::kOpNotSupp);
    EXPECT_EQ(w.map_error(k4K, kRW, kMmapSharedValidate | kMmapSync, fd), Errc::kOk);
    EXPECT_EQ(w.map_error(k4K, kR, kMmapSharedValidate | kMmapSync, ro), Errc::kOk);
    EXPECT_EQ(w.map_error(k4K, kR, kMmapSharedValidate | 0x200, fd), Errc::kOpNotSupp) << "no such flag";
    EXPECT_EQ(w.map_error(0, kR, kMmapSharedValidate | 0x200, fd), Errc::kInval);
    EXPECT_EQ(w.map_error(k4K, kR, kMmapShared | 0x200, fd), Errc::kOk);
    EXPECT_EQ(w.map_error(k4K, kR, kMmapShared | 0x100, fd), Errc::kInval) << "MAP_GROWSDOWN";
    EXPECT_EQ(w.map_error(k4K, kRW, kMmapShared | 0x100, ro), Errc::kAccess);
    EXPECT_EQ(w.map_error(k4K, kR, kMmapShared | 0x40000, fd), Errc::kInval) << "MAP_HUGETLB";
    EXPECT_EQ(w.map_error(k4K, kRW, kMmapPrivate, ro), Errc::kOk);
    EXPECT_EQ(w.map_error(k4K, kRW, kMmapShared, fd, 1 << 20), Errc::kOk);  // wholly past EOF
  });
}

TEST(Mmap, SyncIsRefusedWithoutDax) {
  in_world({.blocks = 1024, .mke2fs = "-O ^has_journal", .mount = "dax=never"}, [](World& w) {
    const int fd = w.open("f");
    // Whatever the type: only MAP_SHARED_VALIDATE promises that it is looked at, but it always is.
    for (uint32_t type : {kMmapSharedValidate, kMmapShared, kMmapPrivate}) {
      EXPECT_EQ(w.map_error(k4K, mm::kProtRead, type | kMmapSync, fd), Errc::kOpNotSupp);
    }
    EXPECT_EQ(w.map_error(k4K, mm::kProtRead, kMmapPrivate | kMmapAnonymous | kMmapSync, -1), Errc::kOk);
  });
}

TEST(Mmap, TheLastPageIsUsableToItsEndAndKeepsWhatIsStoredThere) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 100, 0, 1), 100);
    const VirtAddr m = w.map(fd, 2 * k4K);
    EXPECT_EQ(w.peek(m + 4095), 0);
    EXPECT_EQ(w.peek_signal(m + 4096), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.poke(m + 200, 7), mm::Signal::kNone);
    EXPECT_TRUE(w.p->msync(m, k4K, kMsyncSync).ok());
    EXPECT_TRUE(w.p->ftruncate(fd, 300).ok());
    EXPECT_EQ(w.at(fd, 200), 7);  // no zeroing when a file grows
    EXPECT_TRUE(w.p->ftruncate(fd, 150).ok());
    EXPECT_EQ(w.peek(m + 200), 0);  // shrinking zeroes the tail
    EXPECT_EQ(w.peek_signal(kBad), mm::Signal::kSegvMaperr);
    const VirtAddr r = w.map(fd, k4K, 0, kMmapShared, mm::kProtRead);
    EXPECT_EQ(w.poke(r), mm::Signal::kSegvAccerr);
  });
}

TEST(Mmap, TruncateDropsPrivateCopiesAndPunchKeepsThem) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 1), 8192);
    const VirtAddr m = w.map(fd, 2 * k4K, 0, kMmapPrivate);
    EXPECT_EQ(w.poke(m, 5), mm::Signal::kNone);
    EXPECT_EQ(w.poke(m + k4K, 6), mm::Signal::kNone);
    EXPECT_EQ(w.at(fd, 0), 1);
    EXPECT_EQ(w.fallocate(fd, kPunch, 0, k4K), Errc::kOk);
    EXPECT_EQ(w.peek(m), 5);
    EXPECT_TRUE(w.p->ftruncate(fd, k4K).ok());
    EXPECT_EQ(w.peek_signal(m + k4K), mm::Signal::kBusAdrerr);
    EXPECT_TRUE(w.p->ftruncate(fd, 2 * k4K).ok());
    EXPECT_EQ(w.peek(m + k4K), 0);
  });
}

TEST(Mmap, MsyncAndMadviseAnswerAsTheKernelDoes) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 4 * k4K, 0, 1), 16384);
    const VirtAddr m = w.map(fd, 4 * k4K);
    auto& p = *w.p;
    EXPECT_EQ(p.msync(m + 1, 1, kMsyncSync).error(), Errc::kInval);
    EXPECT_EQ(p.msync(m, 1, kMsyncSync | kMsyncAsync).error(), Errc::kInval);
    EXPECT_EQ(p.msync(m, 8 * k4K, kMsyncSync).error(), Errc::kNoMem);
    EXPECT_EQ(p.msync(m, 0, 0).error(), Errc::kOk);
    EXPECT_EQ(p.msync(m, k4K, 0).error(), Errc::kOk);
    EXPECT_EQ(p.msync(m, k4K, kMsyncInvalidate).error(), Errc::kOk);
    EXPECT_EQ(p.msync(m, UINT64_MAX, kMsyncSync).error(), Errc::kOk);
    EXPECT_EQ(p.madvise(m + 1, 1, kAdviseNormal).error(), Errc::kInval);
    EXPECT_EQ(p.madvise(m, k4K, 77).error(), Errc::kInval);
    EXPECT_EQ(p.madvise(m, 8 * k4K, kAdviseDontNeed).error(), Errc::kNoMem);
    for (uint32_t hint : {kAdviseDontFork, kAdviseMergeable, kAdviseDoDump, kAdviseKeepOnFork, kAdviseDontNeedLocked}) {
      EXPECT_EQ(p.madvise(m, k4K, hint).error(), Errc::kOk) << hint;
    }
    EXPECT_EQ(p.madvise(m, k4K, kAdviseWipeOnFork).error(), Errc::kInval);
    EXPECT_EQ(p.madvise(m, k4K, kAdviseCollapse).error(), Errc::kInval);
    EXPECT_EQ(p.madvise(m + 64 * k4K, k4K, kAdviseCollapse).error(), Errc::kNoMem);
    EXPECT_EQ(p.mprotect(m, k4K, testing::kProtRw | 8).error(), Errc::kOk) << "PROT_SEM";
    EXPECT_EQ(p.mprotect(m, k4K, testing::kProtRw | 16).error(), Errc::kInval);
    EXPECT_EQ(p.madvise(m, k4K, kAdviseFree).error(), Errc::kInval);
    EXPECT_EQ(w.poke(m, 9), mm::Signal::kNone);
    EXPECT_EQ(p.madvise(m, k4K, kAdviseDontNeed).error(), Errc::kOk);
    EXPECT_EQ(w.peek(m), 9);
    EXPECT_EQ(p.madvise(m, k4K, kAdviseRemove).error(), Errc::kOk);
    EXPECT_EQ(w.peek(m), 0);
    EXPECT_EQ(w.layout(fd, 2), ".w");
    const VirtAddr r = w.map(fd, k4K, 0, kMmapShared, mm::kProtRead);
    EXPECT_EQ(p.madvise(r, k4K, kAdviseRemove).error(), Errc::kOk);  // it could become writable
    const VirtAddr c = w.map(fd, k4K, 0, kMmapPrivate);
    EXPECT_EQ(p.madvise(c, k4K, kAdviseRemove).error(), Errc::kAccess);
    const VirtAddr past = w.map(fd, 8 * k4K);
    EXPECT_EQ(p.madvise(past, 8 * k4K, kAdvisePopulateRead).error(), Errc::kFault);
    EXPECT_EQ(p.madvise(past, 4 * k4K, kAdvisePopulateWrite).error(), Errc::kOk);
  });
}

TEST(Mmap, AnImmutableFileCanStillBeStoredToThroughAMapping) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, k4K, 0, 1), 4096);
    const VirtAddr m = w.map(fd, k4K);
    ASSERT_TRUE(w.p->setxflags(fd, kXflagImmutable).ok());
    EXPECT_EQ(w.poke(m, 3), mm::Signal::kNone);
    EXPECT_EQ(w.at(fd, 0), 3);
    ASSERT_TRUE(w.p->setxflags(fd, 0).ok());
  });
}

// Its dirty pages are written when it becomes immutable, and with that write-protected.
TEST(Mmap, AnImmutableFileWithoutDaxCannotBeStoredTo) {
  in_world({.blocks = 1024, .mke2fs = "-O ^has_journal", .mount = "dax=never"}, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 1), 8192);
    const VirtAddr m = w.map(fd, 2 * k4K);
    EXPECT_EQ(w.poke(m, 7), mm::Signal::kNone);
    ASSERT_TRUE(w.p->setxflags(fd, kXflagImmutable).ok());
    EXPECT_EQ(w.poke(m, 8), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.poke(m + k4K, 8), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.peek(m), 7);
    ASSERT_TRUE(w.p->setxflags(fd, 0).ok());
    EXPECT_EQ(w.poke(m, 9), mm::Signal::kNone);
  });
}

TEST(Mmap, AStoreIntoA2MiBHoleAsksForAllOfIt) {
  const testing::WorldOptions large{.blocks = 4096, .mke2fs = "-O ^has_journal", .mount = "dax=always"};
  in_world(large, [](World& w) {
    constexpr uint64_t k2M = 2 << 20;
    const int fd = w.open("f");
    EXPECT_TRUE(w.p->ftruncate(fd, k2M).ok());
    const VirtAddr m = w.map(fd, k2M);
    EXPECT_EQ(m.value() % k2M, 0u);
    EXPECT_EQ(w.poke(m + 12345), mm::Signal::kNone);
    EXPECT_EQ(w.sectors(fd), 4096u);
    // A block in the middle: the hole in front of it.
    const int g = w.open("g");
    EXPECT_TRUE(w.p->ftruncate(g, k2M).ok());
    EXPECT_EQ(w.pwrite(g, k4K, 1 << 20, 1), 4096);
    EXPECT_EQ(w.poke(w.map(g, k2M) + 8192), mm::Signal::kNone);
    EXPECT_EQ(w.sectors(g), 257u * 8);
    // The range begins with a block: only 4 KiB.
    const int h = w.open("h");
    EXPECT_TRUE(w.p->ftruncate(h, k2M).ok());
    EXPECT_EQ(w.pwrite(h, k4K, 0, 1), 4096);
    EXPECT_EQ(w.poke(w.map(h, k2M) + 8192), mm::Signal::kNone);
    EXPECT_EQ(w.sectors(h), 16u);
    // A mapping that is too small, and a private one.
    const int i = w.open("i");
    EXPECT_TRUE(w.p->ftruncate(i, k2M).ok());
    EXPECT_EQ(w.poke(w.map(i, k2M - k4K)), mm::Signal::kNone);
    EXPECT_EQ(w.sectors(i), 8u);
    EXPECT_EQ(w.poke(w.map(i, k2M, 0, kMmapPrivate) + 8192), mm::Signal::kNone);
    EXPECT_EQ(w.sectors(i), 8u);
  });
}

// process_vm_rw_core (6.1): pins by pin_user_pages_remote, never by the fast walk, so that the VMA's rights count and
// not the PTE's; what was copied before the first page that cannot be had is the result.
TEST(ProcessVm, ReadsUpToTheFirstPageThatCannotBeHad) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 7), 8192);
    const VirtAddr m = w.map(fd, 4 * k4K);
    std::vector<std::byte> bytes(4 * k4K);
    EXPECT_EQ(w.p->process_vm_readv(m + 10, std::span(bytes).first(k4K)).value(), k4K);
    EXPECT_EQ(bytes[k4K - 1], std::byte{7});
    EXPECT_EQ(w.p->process_vm_readv(m + 10, bytes).value(), 2 * k4K - 10);  // beyond EOF: no SIGBUS
    EXPECT_EQ(w.p->process_vm_readv(m + 2 * k4K, bytes).error(), Errc::kFault);
    EXPECT_EQ(w.p->process_vm_readv(kBad, bytes).error(), Errc::kFault);
    EXPECT_EQ(w.p->process_vm_readv(kBad, {}).value(), 0u);
    ASSERT_TRUE(w.p->mprotect(m, k4K, mm::kProtWrite).ok());
    EXPECT_EQ(w.p->process_vm_readv(m, bytes).error(), Errc::kFault);
  });
}

TEST(Mmap, DontUnmapLeavesAMappingWithoutPages) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 1), 8192);
    const VirtAddr m = w.map(fd, 2 * k4K, 0, kMmapPrivate);
    EXPECT_EQ(w.poke(m, 5), mm::Signal::kNone);
    EXPECT_EQ(w.p->mremap(m, 2 * k4K, k4K, kRemapMayMove | kRemapDontUnmap, VirtAddr(0)).error(), Errc::kInval);
    EXPECT_EQ(w.p->mremap(m, 2 * k4K, 2 * k4K, kRemapDontUnmap, VirtAddr(0)).error(), Errc::kInval);
    const auto moved = w.p->mremap(m, 2 * k4K, 2 * k4K, kRemapMayMove | kRemapDontUnmap, VirtAddr(0));
    ASSERT_TRUE(moved.ok());
    EXPECT_NE(*moved, m);
    EXPECT_EQ(w.peek(*moved), 5);
    EXPECT_EQ(w.peek(m), 1);  // the private copy moved away
    EXPECT_EQ(w.peek(m + k4K), 1);
  });
}

// --- media errors

TEST(HwPoison, SignalsOnceAndThePageStaysUsable) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, k4K, 0, 1), 4096);
    EXPECT_TRUE(w.p->ftruncate(fd, 2 * k4K).ok());
    const VirtAddr m = w.map(fd, 4 * k4K);
    const auto poison = [&](VirtAddr at, uint64_t length, mm::AccessResult* signal) {
      return w.p->madvise(at, length, kAdviseHwPoison, signal).error();
    };
    for (int round = 0; round < 2; ++round) {
      mm::AccessResult signal;
      EXPECT_EQ(poison(m, 1, &signal), Errc::kOk);
      EXPECT_EQ(signal.signal, mm::Signal::kBusMceerr);
      EXPECT_EQ(signal.fault_address, m);
      EXPECT_EQ(w.peek(m), 1);
      EXPECT_EQ(w.at(fd, 0), 1);
    }
    mm::AccessResult none;
    EXPECT_EQ(poison(m + 1, 1, &none), Errc::kInval);
    EXPECT_EQ(poison(m, 0, &none), Errc::kOk);
    EXPECT_EQ(poison(m + k4K, k4K, &none), Errc::kBusy);       // a hole
    EXPECT_EQ(poison(m + 2 * k4K, k4K, &none), Errc::kFault);  // beyond EOF
    EXPECT_TRUE(none.ok());
    EXPECT_EQ(w.p->madvise(m, k4K, kAdviseSoftOffline).error(), Errc::kIo);
  });
}

struct Poisoned {
  explicit Poisoned(World& w) : w_(w), fd(w.open("f")) {
    EXPECT_EQ(w.pwrite(fd, 4 * k4K, 0, 1), 16384);
    physical = w.p->fiemap(fd, 0, k4K).value()[0].physical + k4K;  // block 1 of the file
  }
  void set() { w_.device->set_poison(physical, 512); }

  World& w_;
  int fd;
  uint64_t physical = 0;
};

TEST(Poison, ReadsOfThePageFailAndFaultsSignal) {
  in_world([](World& w) {
    Poisoned f(w);
    const VirtAddr old_mapping = w.map(f.fd, 4 * k4K);
    EXPECT_EQ(w.peek(old_mapping + k4K), 1);
    f.set();
    std::vector<std::byte> bytes(4 * k4K);
    EXPECT_EQ(w.p->pread_bytes(f.fd, std::span(bytes).first(100), 4096 + 2000).error(), Errc::kIo);
    EXPECT_EQ(w.p->pread_bytes(f.fd, bytes, 0).error(), Errc::kIo);  // one extent: no short read
    EXPECT_EQ(w.at(f.fd, 8192), 1);
    EXPECT_EQ(w.peek(old_mapping + k4K), 1);  // a mapping from before keeps working
    const VirtAddr fresh = w.map(f.fd, 4 * k4K);
    EXPECT_EQ(w.peek_signal(fresh + k4K), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.peek(fresh), 1);
    w.device->clear_poison(f.physical, 512);
  });
}

TEST(MemoryFailure, TakesThePageFromTheProcessAndAWholePageWriteGivesItBack) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 4 * k4K, 0, 1), 16384);
    const VirtAddr m = w.map(fd, 4 * k4K);
    EXPECT_EQ(w.peek(m + k4K), 1);
    std::vector<mm::FrameUser> users;
    EXPECT_EQ(w.p->memory_failure(fd, k4K + 7, &users).error(), Errc::kOk);
    ASSERT_EQ(users.size(), 1u);
    EXPECT_EQ(users[0].address, m + k4K);
    EXPECT_EQ(users[0].order, 0u);
    EXPECT_EQ(w.peek_signal(m + k4K), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.poke(m + k4K), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.peek(m), 1);
    std::byte byte{};
    EXPECT_EQ(w.p->pread_bytes(fd, std::span(&byte, 1), k4K).error(), Errc::kIo);
    check::audit({*w.fs, {&w.p->mm()}});
    EXPECT_EQ(w.pwrite(fd, k4K, k4K, 2), 4096);
    EXPECT_EQ(w.peek(m + k4K), 2);
    EXPECT_EQ(w.at(fd, k4K), 2);
  });
}

TEST(MemoryFailure, RefusesWhatIsNoPageOfADaxFileAndPoisonsWhatNobodyMaps) {
  in_world([](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, k4K, 0, 1), 4096);
    EXPECT_TRUE(w.p->ftruncate(fd, 2 * k4K).ok());
    EXPECT_EQ(w.p->memory_failure(77, 0).error(), Errc::kBadf);
    EXPECT_EQ(w.p->memory_failure(fd, k4K).error(), Errc::kNxio);
    EXPECT_EQ(w.p->memory_failure(fd, UINT64_MAX).error(), Errc::kNxio);
    EXPECT_TRUE(w.p->mkdir("d").ok());
    const int directory = w.open("d", testing::kReadOnly);
    EXPECT_EQ(w.p->memory_failure(directory, 0).error(), Errc::kOpNotSupp);
    EXPECT_EQ(w.p->memory_failure(fd, 0).error(), Errc::kBusy);  // in no tree: nobody to tell
    EXPECT_EQ(w.peek_signal(w.map(fd, k4K)), mm::Signal::kBusAdrerr);
    // Truncated away, the block is good again for its next owner, whose zeroes it gets.
    EXPECT_TRUE(w.p->ftruncate(fd, 0).ok());
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 3), 8192);
    EXPECT_EQ(w.at(fd, 0), 3);
  });
}

TEST(Poison, WholePageWritesCureAndPartsDoNot) {
  in_world([](World& w) {
    Poisoned f(w);
    f.set();
    EXPECT_EQ(w.pwrite(f.fd, 100, 4096, 2), errno_of(Errc::kFault));
    EXPECT_EQ(w.pwrite(f.fd, 4096, 4096, 2), 4096);
    EXPECT_EQ(w.at(f.fd, 4096), 2);
    EXPECT_FALSE(w.device->poisoned(f.physical, 4096));
  });
}

TEST(Poison, FallocateAndTruncateOverABadPage) {
  in_world([](World& w) {
    Poisoned f(w);
    f.set();
    EXPECT_EQ(w.fallocate(f.fd, kPunch, 4096, 100), Errc::kIo);
    EXPECT_EQ(w.fallocate(f.fd, ext4::kFallocZeroRange, 4096, 4096), Errc::kOk);
    EXPECT_EQ(w.at(f.fd, 4096), 0);
    EXPECT_TRUE(w.device->poisoned(f.physical, 4096));
    EXPECT_TRUE(w.p->ftruncate(f.fd, 4096 + 10).ok());
    EXPECT_EQ(w.fallocate(f.fd, kPunch, 4096, 4096), Errc::kOk);
    EXPECT_EQ(w.at(f.fd, 4096), 0);
    w.device->clear_poison(f.physical, 512);
  });
}

}  // namespace
}  // namespace daxfs::vfs
