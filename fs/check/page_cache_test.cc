// fs/check/page_cache_test.cc - files without DAX, as system calls see them; then damage to the page cache, one kind a
// test, and the oracle that must speak.
#include "fs/cache/page_cache.h"

#include <gtest/gtest.h>

#include "fs/cache/reclaim.h"
#include "fs/cache/writeback.h"
#include "fs/check/audit.h"
#include "fs/mm/folio.h"
#include "fs/vfs/test_world.h"

namespace daxfs::check {
namespace {

using vfs::testing::in_world;
using vfs::testing::k4K;
using vfs::testing::kPunch;
using vfs::testing::kRwCreate;
using vfs::testing::World;
using vfs::testing::WorldOptions;

const WorldOptions kCached{.mount = "dax=never"};

mm::AddressSpace& mapping_of(World& w, int fd) { return w.p->inode_of(fd).value()->mapping(); }

TEST(PageCache, WritesMappingsAndReadsAreOne) {
  in_world(kCached, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 3 * k4K, 100, 1), 3 * 4096);
    const VirtAddr m = w.map(fd, 4 * k4K);
    EXPECT_EQ(w.peek(m + 100), 1);
    EXPECT_EQ(w.peek(m + 99), 0);
    EXPECT_EQ(w.poke(m + k4K, 2), mm::Signal::kNone);
    EXPECT_EQ(w.at(fd, k4K), 2);
    EXPECT_EQ(w.peek_signal(m + 4 * k4K - 1), mm::Signal::kNone);  // in the page of EOF
    EXPECT_TRUE(w.p->ftruncate(fd, k4K).ok());
    EXPECT_EQ(w.peek_signal(m + k4K), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.peek(m + 100), 1);
  });
}

TEST(PageCache, BlocksComeWithWritebackAndRoomIsPromisedBefore) {
  in_world(kCached, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 1), 8192);
    EXPECT_EQ(w.sectors(fd), 16u);  // promised
    EXPECT_EQ(w.seek(fd, 0, 3 /* SEEK_DATA */).value(), 0);
    EXPECT_TRUE(w.p->fsync(fd).ok());
    EXPECT_EQ(w.layout(fd, 3), "ww.");
    EXPECT_EQ(w.sectors(fd), 16u);
    w.remount();
    const int again = w.open("f", vfs::kOpenReadWrite);
    EXPECT_EQ(w.at(again, 8191), 1);
  });
}

TEST(PageCache, PromisesEndWhereTheVolumeDoes) {
  in_world(kCached, [](World& w) {
    const int fd = w.open("f");
    int64_t at = 0;
    while (w.pwrite(fd, k4K, at, 1) == 4096) { at += 4096; }
    EXPECT_EQ(w.pwrite(fd, k4K, at, 1), -static_cast<int64_t>(Errc::kNoSpc));
    EXPECT_GT(at, 100 * 4096);
    EXPECT_TRUE(w.p->fsync(fd).ok());
    EXPECT_EQ(w.at(fd, at - 1), 1);
  });
}

TEST(PageCache, PunchTruncateAndZeroRangeReachWhatIsCached) {
  in_world(kCached, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 4 * k4K, 0, 7), 4 * 4096);
    const VirtAddr m = w.map(fd, 4 * k4K);
    EXPECT_EQ(w.poke(m + 5, 8), mm::Signal::kNone);
    EXPECT_EQ(w.fallocate(fd, kPunch, 4000, k4K), Errc::kOk);
    EXPECT_EQ(w.peek(m + 3999), 7);
    EXPECT_EQ(w.peek(m + 4000), 0);
    EXPECT_EQ(w.peek(m + 5), 8);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocZeroRange, 2 * 4096, k4K), Errc::kOk);
    EXPECT_EQ(w.peek(m + 2 * k4K), 0);
    EXPECT_EQ(w.fallocate(fd, ext4::kFallocCollapseRange, 0, k4K), Errc::kOk);
    EXPECT_EQ(w.at(fd, 2 * 4096), 7);
    EXPECT_TRUE(w.p->ftruncate(fd, 2 * 4096 + 10).ok());
    EXPECT_TRUE(w.p->ftruncate(fd, 3 * 4096).ok());
    EXPECT_EQ(w.at(fd, 2 * 4096 + 9), 7);
    EXPECT_EQ(w.at(fd, 2 * 4096 + 10), 0);
  });
}

TEST(PageCache, DirectIoAndTheCacheAgree) {
  in_world(kCached, [](World& w) {
    const int fd = w.open("f");
    const int direct = w.open("f", vfs::kOpenReadWrite | vfs::kOpenDirect);
    EXPECT_EQ(w.pwrite(fd, k4K, 0, 1), 4096);
    EXPECT_EQ(w.at(fd, 0), 1);
    std::vector<std::byte> bytes(k4K);
    EXPECT_EQ(w.p->pread_bytes(direct, bytes, 0).value(), k4K);  // flushed first
    EXPECT_EQ(bytes[0], std::byte{1});
    EXPECT_EQ(w.pwrite(direct, k4K, 0, 2), 4096);
    EXPECT_EQ(w.at(fd, 0), 2);  // dropped, read again
  });
}

TEST(PageCache, ReclaimWritesUnmapsAndFrees) {
  in_world(kCached, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 4 * k4K, 0, 3), 4 * 4096);
    EXPECT_TRUE(w.p->fsync(fd).ok());
    const VirtAddr m = w.map(fd, 4 * k4K);
    EXPECT_EQ(w.poke(m, 4), mm::Signal::kNone);
    EXPECT_EQ(w.peek(m + k4K), 3);
    unsigned freed = 0;
    for (int pass = 0; pass < 4; ++pass) {
      freed += w.fs->reclaim(16);
      rt::run_pending_system_tasks();
    }
    EXPECT_EQ(freed, 4u);
    EXPECT_EQ(mapping_of(w, fd).nrpages, 0u);
    EXPECT_EQ(w.peek(m), 4);
    EXPECT_EQ(w.peek(m + k4K), 3);
  });
}

// The mount option reclaim=N: kswapd is a task of its own.
TEST(PageCache, UnderPressureKswapdTakesPagesBetweenCalls) {
  in_world({.mount = "dax=never,reclaim=16"}, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 4 * k4K, 0, 3), 4 * 4096);
    EXPECT_TRUE(w.p->fsync(fd).ok());
    EXPECT_EQ(mapping_of(w, fd).nrpages, 4u) << "nobody woke it";
    for (int pass = 0; pass < 3; ++pass) {
      w.fs->wake_daemons();
      w.fs->wake_daemons();  // awake already
      rt::run_pending_system_tasks();
    }
    EXPECT_EQ(mapping_of(w, fd).nrpages, 0u);
    EXPECT_EQ(w.at(fd, 4 * 4096 - 1), 3);
    w.fs->wake_daemons();  // the unmount waits for it
  });
}

TEST(PageCache, BlocksOfDelayedPagesMayComeFromFallocate) {
  in_world({.mount = "dax=never,es_test"}, [](World& w) {
    const int fd = w.open("f");
    const int direct = w.open("f", vfs::kOpenReadWrite | vfs::kOpenDirect);
    EXPECT_EQ(w.pwrite(fd, 2048, 0, 1), 2048);
    const auto inode = w.p->inode_of(fd).value();
    EXPECT_TRUE(inode->extent_status.is_delayed(LogicalBlock(0)));
    EXPECT_EQ(w.fallocate(fd, 0, 0, 2 * 4096), Errc::kOk);
    EXPECT_TRUE(inode->extent_status.is_delayed(LogicalBlock(1))) << "the extent as a whole";
    EXPECT_EQ(w.pwrite(direct, k4K, 4096, 2), 4096);
    EXPECT_FALSE(inode->extent_status.is_delayed(LogicalBlock(1))) << "it has its bytes";
    EXPECT_EQ(w.pwrite(fd, 2048, 4096 + 2048, 3), 2048);
    EXPECT_EQ(w.at(fd, 4096), 2);
    EXPECT_TRUE(w.p->fsync(fd).ok());
    EXPECT_FALSE(inode->extent_status.has_delayed());
    EXPECT_EQ(w.at(fd, 0), 1);
  });
}

TEST(PageCache, PrivateCopiesStayApart) {
  in_world(kCached, [](World& w) {
    const int fd = w.open("f");
    EXPECT_EQ(w.pwrite(fd, 2 * k4K, 0, 5), 8192);
    const VirtAddr m = w.map(fd, 2 * k4K, 0, vfs::kMmapPrivate);
    EXPECT_EQ(w.peek(m), 5);
    EXPECT_EQ(w.poke(m, 6), mm::Signal::kNone);
    EXPECT_EQ(w.peek(m), 6);
    EXPECT_EQ(w.at(fd, 0), 5);
    EXPECT_EQ(w.pwrite(fd, k4K, 4096, 9), 4096);
    EXPECT_EQ(w.peek(m + k4K), 9);
    EXPECT_EQ(w.fallocate(fd, kPunch, 0, k4K), Errc::kOk);
    EXPECT_EQ(w.peek(m), 6);
  });
}

TEST(PageCache, AFailedWritebackIsToldOnceToEachDescriptor) {
  in_world({.mount = "dax=never,fail_bio=1"}, [](World& w) {
    const int a = w.open("f");
    const int b = w.open("f");
    EXPECT_EQ(w.pwrite(a, k4K, 0, 1), 4096);
    EXPECT_EQ(w.p->fsync(a).error(), Errc::kIo);
    EXPECT_TRUE(w.p->fsync(a).ok());
    EXPECT_EQ(w.p->fsync(b).error(), Errc::kIo);
    EXPECT_TRUE(w.p->fsync(b).ok());
  });
}

#if defined(DAXFS_RT_FIBER)

struct Damaged {
  World& w;
  int fd;
  mm::AddressSpace& mapping;
  mm::Page& page;  // number 0 of the file: clean, mapped, with its buffer; one reference is the damager's
};

// The tag of the finding after `damage` to a world with a cached page; "silent" if none. The world is abandoned.
template <typename Damage>
std::string tag_of_cached(Damage damage) {
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    World& w = *new World(kCached);
    const int fd = w.open("f");
    w.pwrite(fd, 2 * k4K, 0, 1);
    w.p->fsync(fd).ignore_error("checked by other tests");
    w.peek(w.map(fd, k4K));
    mm::AddressSpace& mapping = mapping_of(w, fd);
    mm::Page* const page = cache::find_get_page(mapping, PgOff(0));
    damage(Damaged{w, fd, mapping, *page});
    mm::put_page(*page);
    audit({*w.fs, {&w.p->mm()}});
  });
  return outcome.finding.has_value() ? outcome.finding->tag : "silent";
}

TEST(PageCacheAudit, SoundCacheIsSilent) {
  EXPECT_EQ(tag_of_cached([](const Damaged&) {}), "silent");
}

TEST(PageCacheAudit, UnlockingTwiceIsCF1) {
  EXPECT_EQ(tag_of_cached([](const Damaged& d) { mm::unlock_handed_folio(d.page); }), "CF1");
}

TEST(PageCacheAudit, AMappedPageThatLeavesIsCF2) {
  EXPECT_EQ(tag_of_cached([](const Damaged& d) {
              mm::lock_folio(d.page);
              cache::remove_page(d.mapping, d.page, cache::Remove::kAlways);
            }),
            "CF2");
}

TEST(PageCacheAudit, LockMarksAndReferencesAreCF3) {
  EXPECT_EQ(tag_of_cached([](const Damaged& d) { mm::folio_set(d.page, mm::Folio::kLocked); }), "CF3");
  EXPECT_EQ(tag_of_cached([](const Damaged& d) { mm::folio_set(d.page, mm::Folio::kDirty); }), "CF3");
  EXPECT_EQ(tag_of_cached([](const Damaged& d) { ++d.page.refcount; }), "CF3");
  EXPECT_EQ(tag_of_cached([](const Damaged& d) { d.page.index = PgOff(1); }), "CF3");
  EXPECT_EQ(tag_of_cached([](const Damaged& d) { ++mm::folio_of(d.page).pins; }), "CF3");
}

TEST(PageCacheAudit, ABufferOfAnotherBlockIsCF4) {
  EXPECT_EQ(tag_of_cached([](const Damaged& d) { mm::folio_of(d.page).block = FsBlock(7); }), "CF4");
}

TEST(PageCacheAudit, WritingAPageTwiceAtOnceIsCF5) {
  EXPECT_EQ(tag_of_cached([](const Damaged& d) {
              mm::lock_folio(d.page);
              cache::start_writeback(d.mapping, d.page);
              cache::start_writeback(d.mapping, d.page);
            }),
            "CF5");
}

TEST(PageCacheAudit, MiscountedPagesAreO3) {
  EXPECT_EQ(tag_of_cached([](const Damaged& d) { ++d.mapping.nrpages; }), "O3");
}

TEST(PageCacheAudit, DirtyWithoutABufferIsO20) {
  EXPECT_EQ(tag_of_cached([](const Damaged& d) {
              cache::drop_buffer(d.page);
              mm::set_page_dirty(d.page);
            }),
            "O20");
}

TEST(PageCacheAudit, ABufferThatGoesUnderAPinIsO20) {
  const auto strip = [](mm::Page& page) {
    mm::get_page(page);
    mm::PagePin pin = mm::PagePin::adopt(page);
    cache::drop_buffer(page);
    pin.release();
  };
  EXPECT_EQ(tag_of_cached([&](const Damaged& d) { strip(d.page); }), "O20");
  // Truncated, it may go.
  EXPECT_EQ(tag_of_cached([](const Damaged& d) {
              d.w.p->exit();
              mm::get_page(d.page);
              mm::PagePin pin = mm::PagePin::adopt(d.page);
              mm::lock_folio(d.page);
              cache::remove_page(d.mapping, d.page, cache::Remove::kAlways);
              mm::unlock_folio(d.page);
              pin.release();
            }),
            "silent");
}

TEST(PageCacheAudit, AWrittenBlockThatCountsAsDelayedIsO18) {
  EXPECT_EQ(tag_of_cached([](const Damaged& d) {
              d.w.p->fsync(d.fd).ignore_error("nothing fails here");
              d.w.p->inode_of(d.fd).value()->extent_status.add_delayed(LogicalBlock(0), 1);
            }),
            "O18");
}

TEST(PageCacheAudit, RoomReservedAtEvictionIsIN4) {
  EXPECT_EQ(tag_of_cached([](const Damaged& d) {
              d.w.p->inode_of(d.fd).value()->reserve_delayed(LogicalBlock(0)).ignore_error("there is room");
              d.w.p->exit();
              d.w.fs->drop_caches();
            }),
            "IN4");
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::check
