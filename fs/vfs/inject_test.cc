// fs/vfs/inject_test.cc - failures on order: the call says so, and the file is whole.
#include <gtest/gtest.h>

#include "fs/vfs/test_world.h"

namespace daxfs::vfs {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): short spellings

TEST(Inject, TheNthBioFailsAndNoOther) {
  in_world({.mount = "dax=never,fail_bio=2"}, [](World& w) {
    const int fd = w.open("f", kRwCreate | kOpenDirect);
    const VirtAddr buffer = w.map(-1, k4K, 0, kMmapPrivate | kMmapAnonymous);
    ASSERT_EQ(w.p->pwrite(fd, buffer, k4K, 0).value_or(0), k4K);
    EXPECT_EQ(w.p->pwrite(fd, buffer, k4K, k4K).error(), Errc::kIo);
    EXPECT_EQ(w.size(fd), k4K) << "what did not arrive does not count";
    EXPECT_EQ(w.layout(fd, 2), "w.") << "and its block is given back";
    EXPECT_EQ(w.p->pwrite(fd, buffer, k4K, k4K).value_or(0), k4K);
  });
}

TEST(Inject, BlocksOfAFailedWriteStayUnwritten) {
  in_world({.mount = "dax=never,fail_bio=1"}, [](World& w) {
    const int fd = w.open("f", kRwCreate | kOpenDirect);
    ASSERT_EQ(w.fallocate(fd, 0, 0, 2 * k4K), Errc::kOk);
    const VirtAddr buffer = w.map(-1, k4K, 0, kMmapPrivate | kMmapAnonymous);
    ASSERT_TRUE(w.p->io_submit(true, fd, buffer, k4K, 0, 1).ok());
    const auto events = w.p->io_getevents(1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].error, Errc::kIo);
    EXPECT_EQ(w.layout(fd, 2), "uu");
  });
}

// Kernel: generic_write_sync, file_check_and_advance_wb_err.
TEST(Inject, AWriteWithOSyncHearsOfItsPages) {
  in_world({.mount = "dax=never,fail_bio=1"}, [](World& w) {
    const int fd = w.open("f", kRwCreate | kOpenDataSync);
    EXPECT_EQ(w.pwrite(fd, k4K, 0, 1), -static_cast<int64_t>(Errc::kIo));
    EXPECT_EQ(w.size(fd), k4K) << "it is in the cache all the same";
    EXPECT_EQ(w.pwrite(fd, k4K, 0, 1), static_cast<int64_t>(k4K));
    EXPECT_TRUE(w.p->fsync(fd).ok()) << "told already";
  });
}

// Kernel: filemap_check_errors.
TEST(Inject, AFlushThatIsNoFsyncHearsOnceAndTakesNothingFromFsync) {
  in_world({.mount = "dax=never,fail_bio=1"}, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 1), static_cast<int64_t>(2 * k4K));
    EXPECT_EQ(w.fallocate(fd, kPunch, k4K, k4K), Errc::kIo);
    EXPECT_EQ(w.at(fd, k4K), 1) << "nothing was punched";
    EXPECT_EQ(w.fallocate(fd, kPunch, k4K, k4K), Errc::kOk);
    EXPECT_EQ(w.p->fsync(fd).error(), Errc::kIo);
    EXPECT_TRUE(w.p->fsync(fd).ok());
  });
  in_world({.mount = "dax=never,fail_bio=1"}, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, k4K, 0, 1), static_cast<int64_t>(k4K));
    EXPECT_EQ(w.p->fsync(fd).error(), Errc::kIo);
    EXPECT_EQ(w.fallocate(fd, kPunch, k4K, k4K), Errc::kOk) << "fsync told";
  });
}

TEST(Inject, AnAllocationFailsOnce) {
  in_world({.mount = "dax=always,fail_alloc=1"}, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, k4K, 0, 1), -static_cast<int64_t>(Errc::kNoSpc));
    EXPECT_EQ(w.pwrite(fd, k4K, 0, 1), static_cast<int64_t>(k4K));
  });
}

TEST(Inject, PrivateMemoryFailsOnce) {
  in_world({.mount = "dax=always,fail_memory=1"}, [](World& w) {
    const VirtAddr memory = w.map(-1, k4K, 0, kMmapPrivate | kMmapAnonymous);
    EXPECT_NE(w.poke(memory), mm::Signal::kNone);
    EXPECT_EQ(w.poke(memory), mm::Signal::kNone);
  });
}

TEST(Inject, NumbersFromOneOnAreTaken) {
  std::string message;
  EXPECT_FALSE(parse_mount_options("fail_bio=0", &message).ok());
  EXPECT_FALSE(parse_mount_options("fail_alloc=x", &message).ok());
  EXPECT_FALSE(parse_mount_options("reclaim=0", &message).ok());
  EXPECT_EQ(parse_mount_options("reclaim=3,es_test,trim_eof", &message)->reclaim_pages, 3u);
  EXPECT_EQ(parse_mount_options("fail_memory=7", &message)->fail[static_cast<size_t>(Injection::kMemory)], 7u);
}

}  // namespace
}  // namespace daxfs::vfs
