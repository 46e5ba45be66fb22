// fs/mm/fault_test.cc - what installing a PTE does when somebody was faster, and what it objects
// to.
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

class FaultTest : public MmTest {
 protected:
  // Runs body(vmf) as a fault handler for page `n` of the mapping at `base` would run.
  template <typename Body>
  void with_fault(VirtAddr base, uint64_t n, bool write, Body body) {
    rt::ReadLock lock(mm_.mmap_lock);
    Vma* vma = mm_.find_vma(page(base, n));
    ASSERT_NE(vma, nullptr);
    VmFault vmf{
        .mm = mm_, .vma = *vma, .address = page(base, n), .pgoff = vma->pgoff_of(page(base, n)), .write = write};
    body(vmf);
  }
};

TEST_F(FaultTest, InsertingTheSameFrameForWriteUpgradesIt) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared);
    with_fault(base, 0, true, [&](VmFault& vmf) {
      insert_pfn(vmf, Pfn(100), false);
      EXPECT_FALSE(pte(mm_, base).write());
      insert_pfn(vmf, Pfn(100), true);
      EXPECT_TRUE(pte(mm_, base).write() && pte(mm_, base).dirty());
      insert_pfn(vmf, Pfn(100), false);
      EXPECT_TRUE(pte(mm_, base).write());
      EXPECT_EQ(mm_.counters().file_pages, 1U);
    });
  });
}

TEST_F(FaultTest, AReadInsertionLeavesAnotherFrameAlone) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared);
    with_fault(base, 0, false, [&](VmFault& vmf) {
      insert_pfn(vmf, Pfn(100), false);
      insert_pfn(vmf, Pfn(101), false);
      EXPECT_EQ(pte(mm_, base).pfn(), Pfn(100));
    });
  });
}

TEST_F(FaultTest, ACopyThatComesLateIsDropped) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapPrivate);
    EXPECT_EQ(load(mm_, base), "a");
    with_fault(base, 0, true, [&](VmFault& vmf) {
      vmf.cow = true;
      vmf.cow_page = *memory_.alloc_dram();
      finish_cow_fault(vmf);
      EXPECT_TRUE(vmf.cow_done);
      EXPECT_EQ(pte(mm_, base).pfn(), Pfn(100));
      EXPECT_EQ(memory_.dram_in_use(), 0U);
    });
  });
}

TEST_F(FaultTest, PoisonUnderACopySignals) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapPrivate);
    EXPECT_EQ(load(mm_, base), "a");
    (*device_)->set_poison(100 * kBlockSize, 512);
    EXPECT_EQ(store(mm_, base, 'x'), "BUS_MCEERR");
    EXPECT_EQ(memory_.dram_in_use(), 0U);
  });
}

TEST_F(FaultTest, WithoutALockNothingIsMissed) {
  rt::run_for_test([&] {
    Signal signal = Signal::kNone;
    EXPECT_EQ(mm_.handle_fault(VirtAddr(0), false, &signal), FaultResult::kSigsegv);
    EXPECT_EQ(signal, Signal::kSegvMaperr);
    const VirtAddr base = map(mm_, kMapShared);
    EXPECT_EQ(mm_.handle_fault(base, false), FaultResult::kDone);
    EXPECT_EQ(mm_.handle_fault(base, false), FaultResult::kDone);  // spurious
    EXPECT_EQ(file_.faults, 1);
    EXPECT_FALSE(mm_.mmap_lock.is_locked());
  });
}

#if defined(DAXFS_RT_FIBER)
// MM9.
TEST_F(FaultTest, MakingAnotherFrameWritableIsAWarning) {
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    const VirtAddr base = map(mm_, kMapShared);
    with_fault(base, 0, true, [&](VmFault& vmf) {
      insert_pfn(vmf, Pfn(100), false);
      insert_pfn(vmf, Pfn(101), true);
    });
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "MM9");
  abandon();
}

// MM7.
TEST_F(FaultTest, AWritableFileFrameInAPrivateMappingIsAWarning) {
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    const VirtAddr base = map(mm_, kMapPrivate);
    with_fault(base, 0, true, [&](VmFault& vmf) { insert_pfn(vmf, Pfn(100), true); });
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "MM7");
  abandon();
}
#endif

}  // namespace
}  // namespace daxfs::mm
