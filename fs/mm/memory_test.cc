// fs/mm/memory_test.cc - frames, their bytes, idle waits, reset and leak check.
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

class MemoryTest : public MmTest {};

TEST_F(MemoryTest, DramFramesAreZeroedAndRunOut) {
  std::vector<Pfn> taken;
  for (;;) {
    const auto pfn = memory_.alloc_dram();
    if (!pfn.ok()) {
      EXPECT_EQ(pfn.error(), Errc::kNoMem);
      break;
    }
    EXPECT_EQ(memory_.dram_bytes(*pfn)[4095], std::byte{0});
    memory_.dram_bytes(*pfn)[4095] = std::byte{1};
    taken.push_back(*pfn);
  }
  EXPECT_EQ(taken.size(), 256U);
  memory_.free_dram(taken.back());
  EXPECT_EQ(memory_.dram_bytes(*memory_.alloc_dram())[4095], std::byte{0});
  for (const Pfn pfn : taken) { memory_.free_dram(pfn); }
}

#if defined(DAXFS_RT_FIBER)
TEST_F(MemoryTest, AFrameForItsOwnerToFillShowsNothingOfTheOneBefore) {
  const Pfn first = *memory_.alloc_dram();
  memory_.dram_bytes(first)[7] = std::byte{1};
  memory_.free_dram(first);
  const Pfn second = *memory_.alloc_dram(/*zeroed=*/false);
  ASSERT_EQ(first, second);
  for (const std::byte byte : memory_.dram_bytes(second)) { ASSERT_EQ(byte, std::byte{0xdb}); }
  memory_.free_dram(second);
}
#endif

TEST_F(MemoryTest, PoisonFailsKernelReadsOfItsFrame) {
  (*device_)->set_poison(100 * kBlockSize + 512, 512);
  std::byte bytes[1024];
  EXPECT_EQ(memory_.read(Pfn(100), 0, bytes).error(), Errc::kIo);
  EXPECT_TRUE(memory_.read(Pfn(100), 1024, bytes).ok());
  EXPECT_EQ(memory_.read(Pfn(100), 4000, bytes).error(), Errc::kInval);
}

TEST_F(MemoryTest, IdleWaitOfAnIdleFrameCallsNothingBack) {
  rt::run_for_test([&] {
    int calls = 0;
    memory_.wait_page_idle(memory_.page(Pfn(100)), [&] { ++calls; }, [&] { ++calls; });
    EXPECT_EQ(calls, 0);
  });
}

TEST_F(MemoryTest, IdleWaitSleepsUntilTheLastPinGoes) {
  rt::run_for_test([&] {
    Page& page = memory_.page(Pfn(100));
    rt::RwSem& lock = file_.mapping().invalidate_lock;
    get_page(page);
    int sleeps = 0;
    const rt::TaskId waiter = rt::spawn("waiter", [&] {
      lock.down_write();
      memory_.wait_page_idle(
          page, [&]() FS_NO_THREAD_SAFETY_ANALYSIS { lock.up_write(); },
          [&]() FS_NO_THREAD_SAFETY_ANALYSIS {
            lock.down_write();
            ++sleeps;
          });
      EXPECT_EQ(page_ref_count(page), 1);
      lock.up_write();
    });
    rt::yield();
    put_page(page);
    rt::join(waiter);
    EXPECT_LE(sleeps, 1);
  });
}

#if defined(DAXFS_RT_FIBER)
TEST_F(MemoryTest, APinThatIsNeverReleasedIsADeadlock) {
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    get_page(memory_.page(Pfn(100)));
    memory_.wait_page_idle(memory_.page(Pfn(100)), [] {}, [] {});
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->verdict, Verdict::kDeadlock);
  abandon();
}

// MM3.
TEST_F(MemoryTest, WhatARunLeavesBehindIsNamed) {
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    file_.forget_frames();
    get_page(memory_.page(Pfn(5)));
    memory_.check_idle();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "MM3");
  EXPECT_NE(outcome.finding->title.find("pmem frame 5: pinned (reference count 2)"), std::string::npos);
  abandon();
}
#endif

TEST_F(MemoryTest, ResetTakesEverythingBack) {
  rt::run_for_test([&] {
    const VirtAddr base = map_anonymous(mm_, 4);
    EXPECT_EQ(store(mm_, base, 'x'), "ok");
    get_page(memory_.page(pte(mm_, base).pfn()));  // a pin of a task that was never resumed
    get_page(memory_.page(Pfn(3)));
    mm_.reset();
    memory_.reset();
    std::vector<std::string> report;
    EXPECT_TRUE(memory_.audit_idle(&report));
    // The same frames and addresses again.
    EXPECT_EQ(map_anonymous(mm_, 4), base);
    EXPECT_EQ(load(mm_, base), std::string(1, '\0'));
    EXPECT_EQ(store(mm_, base, 'y'), "ok");
    EXPECT_EQ(pte(mm_, base).pfn(), memory_.zero_pfn() + 1);
  });
}

}  // namespace
}  // namespace daxfs::mm
