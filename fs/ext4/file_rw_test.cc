// fs/ext4/file_rw_test.cc - read and write of DAX files, direct and uncached I/O of others, times.
#include "fs/ext4/file_rw.h"

#include "fs/ext4/file_test_world.h"
#include "fs/rt/clock.h"

namespace daxfs::ext4 {
namespace {

using testing::FileWorld;
using testing::in_file_world;
using testing::TestFile;

TEST(DaxFile, KeepsWhatIsWrittenAcrossARemount) {
  in_file_world([](FileWorld& w) {
    {
      const TestFile f = w.open("f");
      EXPECT_EQ(w.fill(f, 5000, 10000, 0x31).value_or(0), 10000u);
      EXPECT_EQ(f->i_size(), 15000u);
      EXPECT_EQ(f->i_disksize(), 15000u);
      EXPECT_EQ(w.blocks(f, 4), ".www");
    }
    EXPECT_TRUE(w.volume->unmount().ok());
    w.mount();
    const TestFile f = w.open("f");
    EXPECT_EQ(f->i_size(), 15000u);
    EXPECT_EQ(w.at(f, 4999), 0);
    EXPECT_EQ(w.at(f, 5000), 0x31);
    EXPECT_EQ(w.at(f, 14999), 0x31);
    EXPECT_EQ(w.at(f, 15000), -1);
  });
}

TEST(DaxFile, AppendsAtEofWhateverThePosition) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 100, 1).ok());
    const std::vector<std::byte> bytes(10, std::byte{2});
    io::IovBuffer buffer = io::IovBuffer::kernel_source(bytes);
    uint64_t pos = 3;
    EXPECT_EQ(file_write(*f, buffer, &pos, kRwAppend).value_or(0), 10u);
    EXPECT_EQ(pos, 110u);
    EXPECT_EQ(w.at(f, 105), 2);
  });
}

TEST(DaxFile, StopsAtTheLargestSize) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_EQ(w.fill(f, kMaxFileBytes, 1, 1).error(), Errc::kFBig);
    EXPECT_EQ(w.fill(f, kMaxFileBytes - 5, 10, 1).value_or(0), 5u);
    EXPECT_EQ(f->i_size(), kMaxFileBytes);
    EXPECT_EQ(w.truncate(f, kMaxFileBytes + 1), Status(Errc::kFBig));
    EXPECT_TRUE(w.truncate(f, 0).ok());
  });
}

// Linux grows the file here (kernel-semantics.md calls it a bug); this library leaves it alone.
TEST(DaxFile, IsUnchangedByAnExtendingWriteThatCopiesNothing) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.fill(f, 0, 100, 1).ok());
    const uint64_t sectors = f->sectors();
    io::IovBuffer bad = io::IovBuffer::user(w.p0, VirtAddr(0x7000), 10);
    uint64_t pos = 9000;
    EXPECT_EQ(file_write(*f, bad, &pos, 0).error(), Errc::kFault);
    EXPECT_EQ(f->i_size(), 100u);
    EXPECT_EQ(f->sectors(), sectors);
    EXPECT_EQ(w.blocks(f, 4), "w...");
  });
}

TEST(DaxFile, WriteThatRunsOutOfSpaceKeepsWhatFitted) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    const auto done = w.fill(f, 0, 400 * kPageSize, 1);
    ASSERT_TRUE(done.ok());
    EXPECT_LT(*done, 400 * kPageSize);
    EXPECT_EQ(*done, f->i_size());
    EXPECT_EQ(w.fill(f, f->i_size(), kPageSize, 1).error(), Errc::kNoSpc);
  });
}

TEST(DaxFile, WriteShowsInAMappingOfTheHoleItFills) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    EXPECT_TRUE(w.truncate(f, 4 * kPageSize).ok());
    const VirtAddr a = w.map(w.p0, f, 4);
    EXPECT_EQ(w.peek(w.p0, a), 0);
    EXPECT_TRUE(w.fill(f, 0, 1, 0x55).ok());
    EXPECT_EQ(w.peek(w.p0, a), 0x55);
  });
}

// The 32 KiB rule makes the neighbours of a write in an unwritten extent written zeros, while their
// zero pages are mapped.
TEST(DaxFile, ZeroPagesOfConvertedNeighboursGoAway) {
  for (const bool by_store : {false, true}) {
    in_file_world([by_store](FileWorld& w) {
      const TestFile f = w.open("f");
      EXPECT_TRUE(fallocate(*f, 0, 0, 4 * kPageSize).ok());
      const VirtAddr a = w.map(w.p0, f, 4);
      for (uint64_t n = 0; n < 4; ++n) { EXPECT_EQ(w.peek(w.p0, a + n * kPageSize), 0); }
      if (by_store) {
        EXPECT_EQ(w.poke(w.p0, a + kPageSize, 1), mm::Signal::kNone);
      } else {
        EXPECT_TRUE(w.fill(f, kPageSize, 100, 1).ok());
      }
      EXPECT_EQ(w.blocks(f, 4), "wwww");
      for (const uint64_t n : {0u, 2u, 3u}) {
        EXPECT_TRUE(dax::Entry::from_tree(f->mapping().i_pages.load(n)).none()) << n;
      }
      EXPECT_TRUE(w.fill(f, 3 * kPageSize, 1, 0x66).ok());
      EXPECT_EQ(w.peek(w.p0, a + 3 * kPageSize), 0x66);
    });
  }
}

TEST(FileTimes, WriteStampsMtimeAndCtimeReadOnlyAtime) {
  in_file_world([](FileWorld& w) {
    const TestFile f = w.open("f");
    const InodeAttributes before = f->attributes();
    rt::clock_advance(1000000);
    EXPECT_TRUE(w.fill(f, 0, 10, 1).ok());
    const InodeAttributes written = f->attributes();
    EXPECT_GT(written.mtime, before.mtime);
    EXPECT_GT(written.ctime, before.ctime);
    rt::clock_advance(1000000);
    w.read(f, 0, 10);
    const InodeAttributes read = f->attributes();
    EXPECT_EQ(read.mtime, written.mtime);
    EXPECT_GT(read.atime, written.atime);
    rt::clock_advance(1000000);
    EXPECT_EQ(w.write(f, 9000, {}).value_or(9), 0u);  // nothing to write: nothing changes
    EXPECT_EQ(f->attributes().mtime, written.mtime);
    EXPECT_EQ(f->i_size(), 10u);
  });
}

// --- files without DAX.

Result<uint64_t> direct(FileWorld& w, const TestFile& f, VirtAddr address, uint64_t size, uint64_t pos, bool write) {
  io::IovBuffer buffer = io::IovBuffer::user(w.p0, address, size);
  return write ? file_write(*f, buffer, &pos, kRwDirect) : file_read(*f, buffer, &pos, kRwDirect);
}

TEST(DirectFile, WritesExtendsOverwritesAndReads) {
  in_file_world(
      [](FileWorld& w) {
        const TestFile f = w.open("f");
        const VirtAddr user = w.p0.user_buffer(8 * kPageSize).value();
        w.poke(w.p0, user, 0x41);
        w.poke(w.p0, user + kPageSize, 0x42);
        EXPECT_EQ(direct(w, f, user, 2 * kPageSize, 0, true).value_or(0), 2 * kPageSize);
        EXPECT_EQ(f->i_size(), 2 * kPageSize);
        EXPECT_EQ(w.blocks(f, 3), "ww.");
        EXPECT_EQ(w.at(f, kPageSize), 0x42);
        EXPECT_EQ(direct(w, f, user + kPageSize, kPageSize, 0, true).value_or(0),
                  kPageSize);  // shared overwrite
        EXPECT_EQ(w.at(f, 0), 0x42);
        EXPECT_EQ(direct(w, f, user + 4 * kPageSize, 4 * kPageSize, 0, false).value_or(0), 2 * kPageSize);
        EXPECT_EQ(w.peek(w.p0, user + 5 * kPageSize), 0x42);
        EXPECT_EQ(direct(w, f, user, 100, 0, true).error(), Errc::kInval);
        EXPECT_EQ(direct(w, f, user, kPageSize, 1, false).error(), Errc::kInval);
        EXPECT_EQ(direct(w, f, VirtAddr(0x7000), kPageSize, 4 * kPageSize, true).error(), Errc::kFault);
        EXPECT_EQ(f->i_size(), 2 * kPageSize);
      },
      DaxMode::kNever);
}

TEST(DirectFile, ConvertsUnwrittenBlocksWhenTheBytesAreThere) {
  in_file_world(
      [](FileWorld& w) {
        const TestFile f = w.open("f");
        EXPECT_TRUE(fallocate(*f, 0, 0, 16 * kPageSize).ok());
        EXPECT_EQ(w.blocks(f, 16), "uuuuuuuuuuuuuuuu");
        const VirtAddr user = w.p0.user_buffer(kPageSize).value();
        w.poke(w.p0, user + 512, 0x43);
        EXPECT_EQ(direct(w, f, user + 512, 512, 12 * kPageSize + 512, true).value_or(0), 512u);
        EXPECT_EQ(w.at(f, 12 * kPageSize + 512), 0x43);
        EXPECT_EQ(w.at(f, 12 * kPageSize), 0);
        EXPECT_EQ(w.blocks(f, 16)[12], 'w');
        EXPECT_EQ(w.at(f, 0), 0);
      },
      DaxMode::kNever);
}

TEST(UncachedFile, ReadsAndWritesWithoutAlignment) {
  in_file_world(
      [](FileWorld& w) {
        const TestFile f = w.open("f");
        EXPECT_EQ(w.fill(f, 4095, 3, 0x21).value_or(0), 3u);
        EXPECT_EQ(w.at(f, 4095), 0x21);
        EXPECT_EQ(w.at(f, 4094), 0);
        EXPECT_EQ(mmap_check(*f, false), ok_status());
        EXPECT_EQ(mmap_check(*f, true), Status(Errc::kOpNotSupp));
      },
      DaxMode::kNever);
}

#if defined(DAXFS_RT_FIBER)

// EF1: somebody takes blocks away under the shared lock.
TEST(IomapOps, AnOverwriteThatMeetsAHoleIsAFinding) {
  const auto outcome = dax::run_in_world<FileWorld>([](FileWorld& w) {
    const TestFile f = w.open("f");
    io::Iomap iomap;
    iomap_overwrite_ops().iomap_begin(*f, 0, 1, io::kIomapWrite, &iomap).ignore_error("ends the run");
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "EF1");
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::ext4
