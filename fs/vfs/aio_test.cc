// fs/vfs/aio_test.cc - requests that go on after their call, and who waits for them.
#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fs/vfs/test_world.h"

namespace daxfs::vfs {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): short spellings

constexpr uint32_t kDirectRw = kRwCreate | kOpenDirect;

WorldOptions plain(std::string mount = "dax=never") { return {.mount = std::move(mount)}; }

VirtAddr memory(World& w, uint64_t length) { return w.map(-1, length, 0, kMmapPrivate | kMmapAnonymous); }

void fill(World& w, VirtAddr at, uint64_t length, int value) {
  const std::vector<std::byte> bytes(length, std::byte{static_cast<unsigned char>(value)});
  ASSERT_EQ(w.p->store(at, bytes).bytes_done, length);
}

TEST(Aio, AWriteAndAReadGoOnAndTheirEventsCome) {
  in_world(plain(), [](World& w) {
    const int fd = w.open("f", kDirectRw);
    const VirtAddr buffer = memory(w, 4 * k4K);
    fill(w, buffer, 2 * k4K, 0x41);
    ASSERT_EQ(w.p->pwrite(fd, buffer, 2 * k4K, 0).value_or(0), 2 * k4K);
    fill(w, buffer, k4K, 0x42);
    ASSERT_TRUE(w.p->io_submit(true, fd, buffer, k4K, 0, 7).ok());
    ASSERT_TRUE(w.p->io_submit(false, fd, buffer + 2 * k4K, 2 * k4K, k4K, 8).ok());
    auto events = w.p->io_getevents(0);
    ASSERT_EQ(events.size(), 2u);
    if (events[0].data != 7) { std::swap(events[0], events[1]); }
    EXPECT_EQ(events[0].data, 7u);
    EXPECT_EQ(events[0].bytes, k4K);
    EXPECT_EQ(events[1].bytes, k4K);  // clipped to the size
    EXPECT_EQ(w.peek(buffer + 2 * k4K), 0x41);
    EXPECT_TRUE(w.p->io_getevents(0).empty());
    EXPECT_TRUE(w.p->io_getevents(3).empty()) << "nothing is in flight";
  });
}

// ID1: one mark, one conversion, counted once each.
TEST(Aio, UnwrittenBlocksAreConvertedBeforeTheEventComes) {
  in_world(plain(), [](World& w) {
    const int fd = w.open("f", kDirectRw);
    ASSERT_EQ(w.fallocate(fd, 0, 0, 4 * k4K), Errc::kOk);
    const VirtAddr buffer = memory(w, 2 * k4K);
    fill(w, buffer, 2 * k4K, 0x43);
    ASSERT_TRUE(w.p->io_submit(true, fd, buffer, 2 * k4K, k4K, 1).ok());
#if defined(DAXFS_RT_FIBER)  // a worker of the native build is a thread, which may be done by now
    EXPECT_EQ(w.layout(fd, 4), "uuuu") << "nobody has run yet that could convert";
#endif
    ASSERT_EQ(w.p->io_getevents(1).size(), 1u);
    EXPECT_EQ(w.layout(fd, 4), "uwwu");
    ASSERT_EQ(w.p->pread(fd, buffer, k4K, 2 * k4K).value_or(0), k4K);
    EXPECT_EQ(w.peek(buffer), 0x43);
  });
}

TEST(Aio, ExtendingWritesAreOverWhenTheCallReturns) {
  in_world(plain(), [](World& w) {
    const int fd = w.open("f", kDirectRw);
    const VirtAddr buffer = memory(w, k4K);
    fill(w, buffer, k4K, 0x44);
    ASSERT_TRUE(w.p->io_submit(true, fd, buffer, k4K, 0, 1).ok());
    EXPECT_EQ(w.size(fd), k4K);
    EXPECT_EQ(w.p->io_getevents(0).size(), 1u);
  });
}

// IE2: otherwise a worker converts blocks that are gone (corpus/bugs/dio-done-before-conversion).
TEST(Aio, TruncateAndPunchWaitForWhatIsInFlight) {
  for (const char* mount : {"dax=never", "dax=never,dioread_nolock"}) {
    in_world(plain(mount), [](World& w) {
      const int fd = w.open("f", kDirectRw);
      ASSERT_EQ(w.fallocate(fd, 0, 0, 8 * k4K), Errc::kOk);
      const VirtAddr buffer = memory(w, 4 * k4K);
      fill(w, buffer, 4 * k4K, 0x45);
      ASSERT_TRUE(w.p->io_submit(true, fd, buffer, 2 * k4K, 0, 1).ok());
      ASSERT_TRUE(w.p->io_submit(true, fd, buffer, 2 * k4K, 4 * k4K, 2).ok());
      ASSERT_EQ(w.fallocate(fd, kPunch, 0, k4K), Errc::kOk);
      EXPECT_EQ(w.layout(fd, 8), ".wuuwwuu") << "both were over when the hole was made";
      ASSERT_TRUE(w.p->io_submit(false, fd, buffer, 2 * k4K, 4 * k4K, 3).ok());
      ASSERT_TRUE(w.p->ftruncate(fd, k4K).ok());
      EXPECT_EQ(w.p->io_getevents(0).size(), 3u);
    });
  }
}

TEST(Aio, OverwritesWithoutTheInodeLockWriteWhatTheyShould) {
  in_world(plain("dax=never,dioread_nolock"), [](World& w) {
    const int fd = w.open("f", kDirectRw);
    const VirtAddr buffer = memory(w, 4 * k4K);
    fill(w, buffer, 4 * k4K, 0x46);
    ASSERT_EQ(w.p->pwrite(fd, buffer, 4 * k4K, 0).value_or(0), 4 * k4K);
    fill(w, buffer, 4 * k4K, 0x47);
    ASSERT_EQ(w.p->pwrite(fd, buffer, k4K, k4K).value_or(0), k4K);
    ASSERT_TRUE(w.p->io_submit(true, fd, buffer, k4K, 3 * k4K, 1).ok());
    ASSERT_EQ(w.p->io_getevents(1).size(), 1u);
    ASSERT_EQ(w.p->pread(fd, buffer, 4 * k4K, 0).value_or(0), 4 * k4K);
    EXPECT_EQ(w.peek(buffer), 0x46);
    EXPECT_EQ(w.peek(buffer + k4K), 0x47);
    EXPECT_EQ(w.peek(buffer + 2 * k4K), 0x46);
    EXPECT_EQ(w.peek(buffer + 3 * k4K), 0x47);
  });
}

TEST(Aio, AnUnlinkedFileLivesUntilItsRequestIsOver) {
  in_world(plain(), [](World& w) {
    const int fd = w.open("f", kDirectRw);
    ASSERT_EQ(w.fallocate(fd, 0, 0, 4 * k4K), Errc::kOk);
    const VirtAddr buffer = memory(w, k4K);
    ASSERT_TRUE(w.p->io_submit(true, fd, buffer, k4K, 0, 1).ok());
    ASSERT_TRUE(w.p->io_submit(false, fd, buffer, k4K, 0, 2).ok());
    ASSERT_TRUE(w.p->close(fd).ok());
    ASSERT_TRUE(w.p->unlink("f").ok());
    EXPECT_EQ(w.p->io_getevents(0).size(), 2u);
  });
}

// AI1, AI2.
TEST(Aio, AProcessWaitsForItsRequestsWhenItEnds) {
  in_world(plain(), [](World& w) {
    const int fd = w.open("f", kDirectRw);
    ASSERT_EQ(w.fallocate(fd, 0, 0, 4 * k4K), Errc::kOk);
    const VirtAddr buffer = memory(w, k4K);
    ASSERT_TRUE(w.p->io_submit(true, fd, buffer, k4K, 0, 1).ok());
    w.p->exit();
    ASSERT_TRUE(w.p->io_getevents(0).empty());
  });
}

TEST(Aio, CallsAreRefusedLikeLinuxDoes) {
  in_world(plain(), [](World& w) {
    const int fd = w.open("f", kDirectRw);
    const int reader = w.open("f", kReadOnly | kOpenDirect);
    ASSERT_EQ(w.fallocate(fd, 0, 0, 4 * k4K), Errc::kOk);
    const VirtAddr buffer = memory(w, k4K);
    EXPECT_EQ(w.p->io_submit(true, 99, buffer, k4K, 0, 1).error(), Errc::kBadf);
    EXPECT_EQ(w.p->io_submit(true, reader, buffer, k4K, 0, 1).error(), Errc::kBadf);
    EXPECT_EQ(w.p->io_submit(true, fd, buffer, k4K, -1, 1).error(), Errc::kInval);
    EXPECT_EQ(w.p->io_submit(true, fd, buffer, UINT64_MAX, -1, 1).error(), Errc::kInval);
    // Where the buffer may be is asked before where the bytes may go.
    EXPECT_EQ(w.p->io_submit(true, fd, VirtAddr(kTaskSize - 1), k4K, -1, 1).error(), Errc::kFault);
    ASSERT_TRUE(w.p->io_submit(true, fd, VirtAddr(4096), k4K, 0, 5).ok());
    const auto events = w.p->io_getevents(1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].error, Errc::kFault);
    for (size_t i = 0; i < AioContext::kRequestsMax; ++i) {
      ASSERT_TRUE(w.p->io_submit(false, fd, buffer, k4K, 0, i).ok());
    }
    // A full context counts before what is wrong with the request, but for its length.
    EXPECT_EQ(w.p->io_submit(false, fd, buffer, k4K, 0, 9).error(), Errc::kAgain);
    EXPECT_EQ(w.p->io_submit(false, 99, buffer, k4K, 0, 9).error(), Errc::kAgain);
    EXPECT_EQ(w.p->io_submit(false, fd, buffer, k4K, -1, 9).error(), Errc::kAgain);
    EXPECT_EQ(w.p->io_submit(false, 99, buffer, UINT64_MAX, 0, 9).error(), Errc::kInval);
    EXPECT_EQ(w.p->io_getevents(3).size(), 3u);
  });
}

TEST(Aio, OnDaxTheCallDoesItAll) {
  in_world([](World& w) {
    const int fd = w.open("f", kDirectRw);
    const VirtAddr buffer = memory(w, k4K);
    fill(w, buffer, k4K, 0x48);
    ASSERT_TRUE(w.p->io_submit(true, fd, buffer, k4K, 0, 1).ok());
    EXPECT_EQ(w.at(fd, 0), 0x48);
    EXPECT_EQ(w.p->io_getevents(1).size(), 1u);
  });
}

}  // namespace
}  // namespace daxfs::vfs
