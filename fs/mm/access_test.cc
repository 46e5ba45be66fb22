// fs/mm/access_test.cc - loads, stores and kernel copies, and the signals they end in.
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

class AccessTest : public MmTest {};

TEST_F(AccessTest, SharedStoresReachTheMediumAndTheOtherProcess) {
  rt::run_for_test([&] {
    const VirtAddr mine = map(mm_, kMapShared);
    const VirtAddr theirs = map(other_, kMapShared);
    EXPECT_EQ(load(mm_, page(mine, 1)), "b");
    EXPECT_EQ(load(other_, page(theirs, 1)), "b");
    EXPECT_EQ(store(mm_, page(mine, 1), 'X'), "ok");
    EXPECT_EQ(load(other_, page(theirs, 1)), "X");
    EXPECT_EQ(file_.media(1), 'X');
    EXPECT_EQ(file_.mkwrites, 1);
    EXPECT_TRUE(pte(mm_, page(mine, 1)).dirty());
    EXPECT_FALSE(pte(other_, page(theirs, 1)).write());
  });
}

TEST_F(AccessTest, AStoreToAHoleReplacesTheZeroPage) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared);
    EXPECT_EQ(load(mm_, page(base, 5)), std::string(1, '\0'));
    EXPECT_TRUE(pte(mm_, page(base, 5)).special());
    EXPECT_EQ(mm_.counters().file_pages, 0U);
    EXPECT_EQ(store(mm_, page(base, 5), 'h'), "ok");
    EXPECT_FALSE(pte(mm_, page(base, 5)).special());
    EXPECT_EQ(file_.media(5), 'h');
    EXPECT_EQ(mm_.counters().file_pages, 1U);
    EXPECT_EQ(page_ref_count(memory_.page(memory_.zero_pfn())), 1);
  });
}

TEST_F(AccessTest, PrivateStoresStayPrivate) {
  rt::run_for_test([&] {
    const VirtAddr mine = map(mm_, kMapPrivate);
    const VirtAddr theirs = map(other_, kMapShared);
    EXPECT_EQ(store(mm_, page(mine, 0), 'P'), "ok");  // from nothing
    EXPECT_EQ(load(mm_, page(mine, 1)), "b");
    EXPECT_EQ(store(mm_, page(mine, 1), 'Q'), "ok");  // from the file's frame
    EXPECT_EQ(load(mm_, page(mine, 6)), std::string(1, '\0'));
    EXPECT_EQ(store(mm_, page(mine, 6), 'R'), "ok");  // from the zero page
    EXPECT_EQ(load(mm_, page(mine, 0)) + load(mm_, page(mine, 1)) + load(mm_, page(mine, 6)), "PQR");
    EXPECT_EQ(load(mm_, page(mine, 0) + 1) + load(mm_, page(mine, 1) + 1), "ab");
    EXPECT_EQ(load(other_, page(theirs, 0)) + load(other_, page(theirs, 1)), "ab");
    EXPECT_EQ(mm_.counters().anon_pages, 3U);
    EXPECT_EQ(memory_.dram_in_use(), 3U);
    EXPECT_EQ(file_.mkwrites, 0);
  });
}

TEST_F(AccessTest, AnAccessOverPagesStopsAtTheFirstBadByte) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared, kProtRead | kProtWrite, kFilePages + 2);
    std::vector<std::byte> bytes(4 * kPageSize, std::byte{'z'});
    const AccessResult result = mm_.store(page(base, 6) + 100, bytes);
    EXPECT_EQ(result.bytes_done, 2 * kPageSize - 100);
    EXPECT_EQ(result.signal, Signal::kBusAdrerr);
    EXPECT_EQ(result.fault_address, page(base, 8));
    EXPECT_EQ(mm_.copy_from_user(page(base, 7), bytes), kPageSize);
    EXPECT_EQ(mm_.copy_to_user(page(base, 8) + 5, bytes), 0U);
    EXPECT_EQ(file_.media(7, 4095), 'z');
  });
}

TEST_F(AccessTest, SignalsTellMissingFromForbidden) {
  rt::run_for_test([&] {
    const VirtAddr readable = map(mm_, kMapShared, kProtRead);
    const VirtAddr nothing = map(mm_, kMapShared, kProtNone);
    EXPECT_EQ(load(mm_, readable), "a");
    EXPECT_EQ(store(mm_, readable, 'x'), "SEGV_ACCERR");
    EXPECT_EQ(load(mm_, nothing), "SEGV_ACCERR");
    EXPECT_EQ(load(mm_, VirtAddr(kPageSize)), "SEGV_MAPERR");
    EXPECT_EQ(load(mm_, kTaskSize + 5), "SEGV_MAPERR");
    EXPECT_EQ(load(mm_, VirtAddr(UINT64_MAX)), "SEGV_MAPERR");
    // A page that may only be written can be read as well, as the processor has no such bit.
    const VirtAddr write_only = map(mm_, kMapShared, kProtWrite);
    EXPECT_EQ(load(mm_, write_only), "a");
  });
}

TEST_F(AccessTest, ARetryingFaultIsTriedAgain) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared);
    file_.retries = 3;
    EXPECT_EQ(load(mm_, base), "a");
    EXPECT_EQ(file_.faults, 4);
  });
}

TEST_F(AccessTest, OutOfMemoryKills) {
  rt::run_for_test([&] {
    const VirtAddr base = map_anonymous(mm_, 300);
    std::vector<std::byte> bytes(300 * kPageSize);
    const AccessResult result = mm_.store(base, bytes);
    EXPECT_EQ(result.signal, Signal::kKilled);
    EXPECT_EQ(result.bytes_done, 256 * kPageSize);
  });
}

TEST_F(AccessTest, TheUserBufferGrowsAndStaysOtherwise) {
  rt::run_for_test([&] {
    const VirtAddr small = *mm_.user_buffer(100);
    EXPECT_EQ(*mm_.user_buffer(4096), small);
    const VirtAddr large = *mm_.user_buffer(3 * kPageSize);
    EXPECT_EQ(store(mm_, page(large, 2), 'u'), "ok");
    EXPECT_EQ(store(mm_, small, 'v'), "ok");
    EXPECT_EQ(*mm_.user_buffer(1), large);
  });
}

TEST_F(AccessTest, ManyTasksFaultTheSamePages) {
  rt::run_for_test([&] {
    const VirtAddr shared = map(mm_, kMapShared);
    const VirtAddr anonymous = map_anonymous(mm_, 4);
    for (int task = 0; task < 4; ++task) {
      rt::spawn("toucher", [&, task] {
        for (uint64_t n = 0; n < 4; ++n) {
          EXPECT_EQ(store(mm_, page(shared, n) + task, 't'), "ok");
          EXPECT_EQ(store(mm_, page(anonymous, n) + task, 't'), "ok");
        }
      });
    }
    rt::join_all_spawned();
    for (uint64_t n = 0; n < 4; ++n) {
      for (int task = 0; task < 4; ++task) {
        EXPECT_EQ(load(mm_, page(shared, n) + task), "t");
        EXPECT_EQ(load(mm_, page(anonymous, n) + task), "t");
      }
    }
    EXPECT_EQ(memory_.dram_in_use(), 4U);
  });
}

}  // namespace
}  // namespace daxfs::mm
