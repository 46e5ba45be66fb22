// fs/vfs/huge_test.cc - huge mappings from the system call to the medium: 2 MiB, and 16 KiB on a machine whose huge
// pages are of order 2.
#include "fs/check/audit.h"
#include "fs/dax/entry.h"
#include "fs/ext4/inode_cache.h"
#include "fs/vfs/test_world.h"

namespace daxfs::vfs {
namespace {

using testing::k4K;
using testing::kProtRw;
using testing::kPunch;
using testing::kRwCreate;
using testing::World;
using testing::WorldOptions;

// Both orders; `huge` is the size in bytes.
template <typename Body>
void at_both_orders(Body body) {
  for (const char order : {'2', '9'}) {
    SCOPED_TRACE(std::string("huge=") + order);
    const bool small = order == '2';
    WorldOptions options{.blocks = small ? 1024U : 4096U,
                         .mke2fs = small ? "-O ^has_journal" : "-O ^has_journal -E stride=512,stripe_width=512",
                         .mount = std::string("dax=always,huge=") + order};
    testing::in_world(options, [&](World& w) { body(w, w.fs->memory().huge_size()); });
  }
}

mm::Pte pte(World& w, VirtAddr at) { return w.p->mm().page_table.load_unscheduled(at); }
bool huge(World& w, VirtAddr at) { return pte(w, at).huge(); }
dax::Entry entry(World& w, int fd, uint64_t page) {
  return dax::Entry::from_tree(w.p->inode_of(fd).value()->mapping().i_pages.load(page));
}
// A file of `size` bytes, all hole.
int sparse(World& w, const char* name, uint64_t size) {
  const int fd = w.open(name, kRwCreate);
  EXPECT_TRUE(w.p->ftruncate(fd, static_cast<int64_t>(size)).ok());
  return fd;
}
void audit(World& w) { check::audit({*w.fs, {&w.p->mm()}}); }

TEST(Huge, AStoreIntoAHoleMapsTheWholeRangeWithOneFault) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", 2 * size);
    const VirtAddr m = w.map(fd, 2 * size);
    EXPECT_EQ(m.value() % size, 0u);
    EXPECT_EQ(w.poke(m + k4K + 7, 0x41), mm::Signal::kNone);
    EXPECT_TRUE(huge(w, m));
    EXPECT_TRUE(pte(w, m + size - 1).write());
    EXPECT_FALSE(huge(w, m + size));
    EXPECT_EQ(pte(w, m + size - k4K).pfn(), pte(w, m).pfn() + (size / k4K - 1));
    EXPECT_TRUE(entry(w, fd, 1).is_pmd());
    EXPECT_EQ(w.sectors(fd), size / 512);
    EXPECT_EQ(w.at(fd, k4K + 7), 0x41);
    EXPECT_EQ(w.peek(m + size - 1), 0);
    audit(w);
  });
}

TEST(Huge, AReadOfAHoleMapsTheZeroPageAndAStoreReplacesIt) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", size);
    const VirtAddr m = w.map(fd, size);
    const VirtAddr n = w.map(fd, size);
    EXPECT_EQ(w.peek(m + size - 1), 0);
    EXPECT_EQ(w.peek(n), 0);
    EXPECT_TRUE(pte(w, m).huge() && pte(w, m).special());
    EXPECT_TRUE(entry(w, fd, 0).is_zero() && entry(w, fd, 0).is_pmd());
    EXPECT_EQ(w.sectors(fd), 0u);
    audit(w);
    EXPECT_EQ(w.poke(m + 5), mm::Signal::kNone);
    EXPECT_TRUE(huge(w, m) && pte(w, m).write());
    EXPECT_TRUE(pte(w, n).none());  // who had the zero page mapped must not go on to read zeros
    EXPECT_EQ(w.peek(n + 5), 1);
    EXPECT_TRUE(huge(w, n) && !pte(w, n).write());
    audit(w);
  });
}

TEST(Huge, FsyncWriteProtectsItAndTheNextStoreMakesItWritableAgain) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", size);
    const VirtAddr m = w.map(fd, size);
    w.poke(m);
    EXPECT_TRUE(w.p->fsync(fd).ok());
    EXPECT_TRUE(huge(w, m) && !pte(w, m).write());
    audit(w);
    EXPECT_EQ(w.poke(m + size - 1, 9), mm::Signal::kNone);
    EXPECT_TRUE(huge(w, m) && pte(w, m).write());
    EXPECT_EQ(w.at(fd, static_cast<int64_t>(size) - 1), 9);
    audit(w);
  });
}

TEST(Huge, WhatDoesNotFitIsMappedPageByPage) {
  at_both_orders([](World& w, uint64_t size) {
    // Beyond EOF.
    const int fd = sparse(w, "f", size - k4K);
    const VirtAddr m = w.map(fd, size);
    w.poke(m);
    EXPECT_FALSE(huge(w, m));
    EXPECT_EQ(w.sectors(fd), 8u);
    EXPECT_EQ(w.peek_signal(m + size - 1), mm::Signal::kBusAdrerr);
    // Too small a mapping, and one whose address has another colour than its offset.
    const int g = sparse(w, "g", 4 * size);
    w.poke(w.map(g, size - k4K));
    EXPECT_EQ(w.sectors(g), 8u);
    const VirtAddr odd = w.map(g, 3 * size) + k4K;
    EXPECT_TRUE(w.p->mmap(odd, size * 2, kProtRw, kMmapShared | kMmapFixed, g, size).ok());
    w.poke(odd + size);
    EXPECT_FALSE(huge(w, odd + size));
    EXPECT_EQ(w.sectors(g), 16u);
    // A private mapping reads huge and stores page by page.
    const VirtAddr p = w.map(g, 4 * size, 0, kMmapPrivate);
    EXPECT_EQ(w.peek(p + 3 * size), 0);
    EXPECT_TRUE(huge(w, p + 3 * size));
    EXPECT_EQ(w.poke(p + 3 * size, 3), mm::Signal::kNone);
    EXPECT_FALSE(huge(w, p + 3 * size));
    EXPECT_EQ(w.peek(p + 3 * size), 3);
    EXPECT_EQ(w.at(g, static_cast<int64_t>(3 * size)), 0);
    audit(w);
  });
}

// A block inside the range ends the hole: what lies in front of it is allocated, and pages do.
TEST(Huge, ABlockInsideTheRangeLeavesTheAllocationAndFallsBack) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", size);
    EXPECT_EQ(w.pwrite(fd, 1, static_cast<int64_t>(size / 2), 7), 1);
    const VirtAddr m = w.map(fd, size);
    EXPECT_EQ(w.poke(m + k4K), mm::Signal::kNone);
    EXPECT_FALSE(huge(w, m));
    EXPECT_EQ(w.sectors(fd), (size / 2 + k4K) / 512);
    audit(w);
  });
}

TEST(Huge, AlignedBlocksOfWriteAndFallocateAreMappedHuge) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = w.open("f");
    EXPECT_EQ(w.fallocate(fd, 0, 0, static_cast<int64_t>(size)), Errc::kOk);
    const VirtAddr m = w.map(fd, size);
    EXPECT_EQ(w.peek(m), 0);
    EXPECT_TRUE(huge(w, m) && pte(w, m).special());
    w.poke(m + 1);
    EXPECT_TRUE(huge(w, m) && pte(w, m).write());
    const int g = w.open("g");
    EXPECT_EQ(w.pwrite(g, size, 0, 0x55), static_cast<int64_t>(size));
    const VirtAddr n = w.map(g, size);
    EXPECT_EQ(w.peek(n + size - 1), 0x55);
    EXPECT_TRUE(huge(w, n));
    audit(w);
  });
}

TEST(Huge, AWriteIntoTheZeroPageDropsIt) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", size);
    const VirtAddr m = w.map(fd, size);
    EXPECT_EQ(w.peek(m), 0);
    EXPECT_EQ(w.pwrite(fd, 1, static_cast<int64_t>(size) - 1, 6), 1);
    EXPECT_TRUE(pte(w, m).none());
    EXPECT_TRUE(entry(w, fd, 0).none());
    EXPECT_EQ(w.peek(m + size - 1), 6);
    EXPECT_EQ(w.peek(m), 0);
    audit(w);
  });
}

TEST(Huge, PunchAndTruncateInsideTakeTheMappingAndTheEntryAndKeepTheOtherPages) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", 2 * size);
    const VirtAddr m = w.map(fd, 2 * size);
    w.poke(m, 1);
    w.poke(m + size - 1, 2);
    w.poke(m + size, 3);
    w.poke(m + 2 * size - 1, 4);
    EXPECT_EQ(w.fallocate(fd, kPunch, k4K, k4K), Errc::kOk);
    EXPECT_TRUE(entry(w, fd, 0).none());
    audit(w);
    EXPECT_EQ(w.peek(m), 1);
    EXPECT_EQ(w.peek(m + size - 1), 2);
    EXPECT_EQ(w.peek(m + k4K), 0);
    EXPECT_FALSE(huge(w, m));
    EXPECT_TRUE(w.p->ftruncate(fd, static_cast<int64_t>(size + k4K)).ok());
    EXPECT_EQ(w.peek(m + size), 3);
    EXPECT_EQ(w.peek_signal(m + 2 * size - 1), mm::Signal::kBusAdrerr);
    audit(w);
  });
}

TEST(Huge, PartsThatAreUnmappedProtectedOrMovedTakeTheMappingApart) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", 4 * size);
    const VirtAddr m = w.map(fd, 4 * size);
    for (uint64_t i = 0; i < 4; ++i) { w.poke(m + i * size, static_cast<int>(i + 1)); }
    EXPECT_TRUE(w.p->munmap(m + k4K, k4K).ok());
    EXPECT_TRUE(pte(w, m).none());
    EXPECT_EQ(w.peek(m), 1);
    EXPECT_EQ(w.peek_signal(m + k4K), mm::Signal::kSegvMaperr);
    EXPECT_TRUE(w.p->mprotect(m + size, k4K, mm::kProtRead).ok());
    EXPECT_EQ(w.poke(m + size), mm::Signal::kSegvAccerr);
    EXPECT_EQ(w.poke(m + size + k4K), mm::Signal::kNone);
    EXPECT_FALSE(huge(w, m + size));
    // As a whole it stays.
    EXPECT_TRUE(w.p->mprotect(m + 2 * size, size, mm::kProtRead).ok());
    EXPECT_TRUE(huge(w, m + 2 * size) && !pte(w, m + 2 * size).write());
    EXPECT_EQ(w.poke(m + 2 * size), mm::Signal::kSegvAccerr);
    EXPECT_TRUE(w.p->mprotect(m + 2 * size, size, mm::kProtNone).ok());
    EXPECT_EQ(w.peek_signal(m + 2 * size), mm::Signal::kSegvAccerr);
    EXPECT_TRUE(w.p->mprotect(m + 2 * size, size, kProtRw).ok());
    EXPECT_EQ(w.poke(m + 2 * size, 8), mm::Signal::kNone);
    EXPECT_TRUE(huge(w, m + 2 * size));
    audit(w);
    const VirtAddr room = w.map(-1, 2 * size, 0, kMmapPrivate | kMmapAnonymous);
    const VirtAddr to(round_up(room.value(), size));
    ASSERT_TRUE(w.p->mremap(m + 3 * size, size, size, mm::kMremapMayMove | mm::kMremapFixed, to).ok());
    EXPECT_TRUE(huge(w, to));
    EXPECT_EQ(w.peek(to), 4);
    ASSERT_TRUE(w.p->mremap(m + 2 * size, size, size, mm::kMremapMayMove | mm::kMremapFixed, to + size + k4K).ok());
    EXPECT_FALSE(huge(w, to + size + k4K));
    EXPECT_EQ(w.peek(to + size + k4K), 8);
    audit(w);
  });
}

TEST(Huge, AMappingThatComesAfterPagesOfAnotherCanBeHuge) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", size);
    const VirtAddr m = w.map(-1, 2 * size, 0, kMmapPrivate | kMmapAnonymous);
    const VirtAddr at(round_up(m.value(), size));
    w.poke(at);
    EXPECT_TRUE(w.p->mmap(at, size, kProtRw, kMmapShared | kMmapFixed, fd, 0).ok());
    w.poke(at);
    EXPECT_TRUE(huge(w, at));
    audit(w);
  });
}

TEST(Huge, DirectIoThroughAHugeMappingReachesTheRightFrames) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", size);
    const VirtAddr m = w.map(fd, size);
    w.poke(m + 2 * k4K, 0x22);
    const int g = w.open("g", kRwCreate | kOpenDirect);
    EXPECT_EQ(w.p->pwrite(g, m + 2 * k4K, k4K, 0).value(), k4K);
    EXPECT_EQ(w.at(g, 0), 0x22);
    EXPECT_EQ(w.p->pread(g, m + 3 * k4K, k4K, 0).value(), k4K);
    EXPECT_EQ(w.at(fd, 3 * k4K), 0x22);
    audit(w);
  });
}

TEST(Huge, ASynchronousStoreIsMappedHugeAfterItsSync) {
  at_both_orders([](World& w, uint64_t size) {
    const int fd = sparse(w, "f", size);
    const VirtAddr m = w.map(fd, size, 0, kMmapSharedValidate | kMmapSync);
    EXPECT_EQ(w.poke(m + size - 1, 5), mm::Signal::kNone);
    EXPECT_TRUE(huge(w, m) && pte(w, m).write());
    EXPECT_EQ(w.at(fd, static_cast<int64_t>(size) - 1), 5);
    audit(w);
  });
}

TEST(Huge, WithoutTheOptionNothingIsMappedHuge) {
  testing::in_world({.blocks = 4096, .mount = "dax=always"}, [](World& w) {
    const int fd = sparse(w, "f", kPmdSize);
    const VirtAddr m = w.map(fd, kPmdSize);
    w.poke(m);
    EXPECT_FALSE(huge(w, m));
    EXPECT_EQ(w.sectors(fd), kPmdSize / 512);  // yet all of it is allocated
  });
}

TEST(Huge, MountRefusesOtherSizes) {
  std::string message;
  EXPECT_EQ(parse_mount_options("huge=0", &message).error(), Errc::kInval);
  EXPECT_EQ(parse_mount_options("huge=10", &message).error(), Errc::kInval);
  EXPECT_EQ(parse_mount_options("huge=9", &message).value().huge_order, 9u);
  EXPECT_EQ(parse_mount_options("huge=never", &message).value().huge_order, 0u);
}

}  // namespace
}  // namespace daxfs::vfs
