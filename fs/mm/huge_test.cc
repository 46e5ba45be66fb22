// fs/mm/huge_test.cc - huge mappings in page tables: what they translate, what takes them out, and their deposits.
#include "fs/mm/huge.h"

#include "fs/base/historical.h"
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

constexpr unsigned kOrder = 2;
constexpr uint64_t kHuge = kPageSize << kOrder;

// Maps what it is asked for huge, from frame kFirst on.
class HugeFile final : public VmFile, public MappingHost {
 public:
  static constexpr uint64_t kFirst = 200;

  explicit HugeFile(Memory& memory) : mapping_(memory, *this) {}
  AddressSpace& mapping() override { return mapping_; }
  uint64_t i_size() const override { return 64 * kPageSize; }
  Ino ino() const override { return Ino(13); }
  bool is_dax() const override { return true; }
  FaultResult fault(VmFault& vmf) override {
    if (vmf.cow) { return FaultResult::kSigbus; }
    return insert_pfn(vmf, Pfn(kFirst) + vmf.pgoff.value(), vmf.write);
  }
  FaultResult pfn_mkwrite(VmFault& vmf) override { return fault(vmf); }
  FaultResult huge_fault(VmFault& vmf) override {
    ++huge_faults;
    if (holes) { return insert_huge_zero_page(vmf); }
    return insert_pfn_pmd(vmf, Pfn(kFirst) + vmf.huge_pgoff().value(), vmf.write);
  }
  void get() override {}
  void put() override {}
  Status mmap_check(unsigned, bool, bool) override { return ok_status(); }

  int huge_faults = 0;
  bool holes = false;

 private:
  AddressSpace mapping_;
};

class HugeTest : public MmTest {
 protected:
  HugeTest() { EXPECT_TRUE(memory_.set_huge(true, kOrder).ok()); }

  VirtAddr map_huge(uint64_t pages = 16, uint64_t first = 0, unsigned flags = kMapShared, Mm* mm = nullptr) {
    return (mm == nullptr ? mm_ : *mm)
        .mmap({.length = pages * kPageSize, .flags = flags, .file = &huge_, .offset = first * kPageSize})
        .value_or(VirtAddr(0));
  }
  bool is_huge(VirtAddr at) { return pte(mm_, at).huge(); }
  std::string audit() {
    std::vector<std::string> report;
    mm_.audit(&report);
    return report.empty() ? "" : report.front();
  }

  HugeFile huge_{memory_};
};

TEST_F(HugeTest, OneFaultTranslatesEveryPageOfTheRange) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge();
    EXPECT_EQ(store(mm_, page(m, 6), 'x'), "ok");
    EXPECT_EQ(huge_.huge_faults, 1);
    for (uint64_t n = 4; n < 8; ++n) {
      EXPECT_EQ(pte(mm_, page(m, n)).pfn(), Pfn(HugeFile::kFirst + n));
      EXPECT_EQ(store(mm_, page(m, n), 'y'), "ok");
    }
    EXPECT_EQ(huge_.huge_faults, 1);
    EXPECT_TRUE(pte(mm_, page(m, 3)).none());
    EXPECT_TRUE(pte(mm_, page(m, 8)).none());
    EXPECT_EQ(mm_.counters().file_pages, 4u);
    EXPECT_EQ(audit(), "");
  });
}

TEST_F(HugeTest, FileMappingsArePlacedWithTheColourOfTheirOffset) {
  rt::run_for_test([&] {
    EXPECT_EQ(map_huge(8, 3).value() % kHuge, 3 * kPageSize);
    EXPECT_EQ(map_huge(9, 0).value() % kHuge, 0u);
  });
}

TEST_F(HugeTest, AReadOnlyRangeBecomesWritableAsAWhole) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge();
    EXPECT_EQ(load(mm_, page(m, 1)).size(), 1u);
    EXPECT_FALSE(pte(mm_, m).write());
    EXPECT_EQ(store(mm_, page(m, 2) + 5, 'x'), "ok");
    EXPECT_TRUE(is_huge(m) && pte(mm_, page(m, 3)).write() && pte(mm_, m).dirty());
    EXPECT_EQ(wrprotect_mapping_range(huge_.mapping(), PgOff(0), 4), 1u);
    EXPECT_TRUE(is_huge(m) && !pte(mm_, m).write() && !pte(mm_, m).dirty());
    EXPECT_EQ(store(mm_, m, 'z'), "ok");
    EXPECT_EQ(huge_.huge_faults, 3);
  });
}

TEST_F(HugeTest, UnmappingOnePageTakesAllOfItInEveryProcess) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge();
    const VirtAddr o = map_huge(3, 1, kMapShared, &other_);  // no huge page fits
    store(mm_, m, 'x');
    store(other_, o, 'x');
    EXPECT_FALSE(pte(other_, o).huge());
    unmap_mapping_range(huge_.mapping(), PgOff(1), 1, false);
    EXPECT_TRUE(pte(mm_, m).none());
    EXPECT_TRUE(pte(other_, o).none());
    EXPECT_EQ(mm_.counters().file_pages, 0u);
    EXPECT_EQ(audit(), "");
  });
}

TEST_F(HugeTest, ThePinOfAPageIsOnItsOwnFrame) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge();
    auto slow = pin_user_page(mm_, page(m, 2), true);
    auto fast = pin_user_page(mm_, page(m, 3), true);
    ASSERT_TRUE(slow.ok() && fast.ok());
    EXPECT_EQ(slow->pfn(), Pfn(HugeFile::kFirst + 2));
    EXPECT_EQ(fast->pfn(), Pfn(HugeFile::kFirst + 3));
    slow->release();
    fast->release();
  });
}

TEST_F(HugeTest, TheZeroPageIsMappedOnlyWhereNothingIs) {
  rt::run_for_test([&] {
    huge_.holes = true;
    const VirtAddr m = map_huge();
    EXPECT_EQ(load(mm_, page(m, 3)), std::string(1, '\0'));
    EXPECT_TRUE(pte(mm_, page(m, 1)).special());
    EXPECT_EQ(pte(mm_, page(m, 1)).pfn(), memory_.zero_pfn());
    EXPECT_EQ(mm_.counters().file_pages, 0u);
    EXPECT_EQ(audit(), "");
    // A second fault of the range finds it and gives up, as 6.1 does.
    rt::ReadLock lock(mm_.mmap_lock);
    VmFault vmf{.mm = mm_, .vma = *mm_.find_vma(m), .address = m, .pgoff = PgOff(0)};
    EXPECT_EQ(insert_huge_zero_page(vmf), FaultResult::kFallback);
  });
}

TEST_F(HugeTest, PagesThatAreMappedKeepTheRangeFromBeingHuge) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge(4);
    mm_.page_table.ensure(m);
    EXPECT_EQ(store(mm_, page(m, 1), 'x'), "ok");
    EXPECT_FALSE(is_huge(m));
    EXPECT_EQ(huge_.huge_faults, 0);
    // When the whole range goes its table does, too.
    EXPECT_TRUE(mm_.munmap(m, kHuge).ok());
    const VirtAddr n = map_huge(4);
    EXPECT_EQ(n, m);
    EXPECT_EQ(store(mm_, n, 'x'), "ok");
    EXPECT_TRUE(is_huge(n));
  });
}

TEST_F(HugeTest, PrivateStoresAreNeverHuge) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge(4, 0, kMapPrivate);
    EXPECT_EQ(load(mm_, m).size(), 1u);
    EXPECT_TRUE(is_huge(m));
    EXPECT_EQ(store(mm_, page(m, 1), 'x'), "BUS_ADRERR");  // this file makes no copies: the fault reached it
    EXPECT_TRUE(pte(mm_, m).none());
  });
}

// MM10: each huge mapping has a table waiting beside it.
TEST_F(HugeTest, ADepositThatIsForgottenIsFound) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge();
    const uint32_t before = memory_.tables_in_use();
    store(mm_, m, 'x');
    store(mm_, page(m, 4), 'x');
    EXPECT_EQ(memory_.tables_in_use(), before + 2 + 2);  // the two levels above, and two deposits
    EXPECT_EQ(audit(), "");
    {
      // The mapping goes by another way than clear_huge().
      rt::SpinGuard guard(mm_.page_table.ptl);
      const Pte first = mm_.page_table.load_pmd_unscheduled(m).pte();
      mm_.page_table.set_huge(m, first, memory_.alloc_table());
    }
    EXPECT_EQ(audit().substr(0, 4), "MM10");
  });
  abandon();
}

#if defined(DAXFS_RT_FIBER)

// MM11.
TEST_F(HugeTest, AChangeBehindTheFirstAddressIsFound) {
  const auto outcome = rt::run_lambda([&] {
    const VirtAddr m = map_huge();
    store(mm_, m, 'x');
    rt::SpinGuard guard(mm_.page_table.ptl);
    mm_.page_table.change_huge(page(m, 1), mm_.page_table.load_pmd_unscheduled(m).pte());
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "MM11");
  abandon();
}

#endif  // DAXFS_RT_FIBER

TEST_F(HugeTest, MovingKeepsWhatFitsAndGivesUpWhatDoesNot) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge(8);
    store(mm_, m, 'x');
    store(mm_, page(m, 4), 'x');
    const VirtAddr to(64 * kHuge);
    ASSERT_TRUE(mm_.mremap(m, kHuge, kHuge, kMremapMayMove | kMremapFixed, to).ok());
    EXPECT_TRUE(is_huge(to));
    EXPECT_EQ(pte(mm_, page(to, 3)).pfn(), Pfn(HugeFile::kFirst + 3));
    EXPECT_TRUE(pte(mm_, m).none());
    ASSERT_TRUE(mm_.mremap(page(m, 4), kHuge, kHuge, kMremapMayMove | kMremapFixed, to + kHuge + kPageSize).ok());
    EXPECT_TRUE(pte(mm_, to + kHuge + kPageSize).none());
    EXPECT_EQ(load(mm_, to + kHuge + kPageSize), "x");
    EXPECT_EQ(audit(), "");
  });
}

TEST_F(HugeTest, ProtectionOfTheWholeRangeKeepsItAndOfAPartDoesNot) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge(8);
    store(mm_, m, 'x');
    store(mm_, page(m, 4), 'x');
    EXPECT_TRUE(mm_.mprotect(m, kHuge, kProtRead).ok());
    EXPECT_TRUE(is_huge(m) && !pte(mm_, m).write());
    EXPECT_EQ(store(mm_, m, 'y'), "SEGV_ACCERR");
    EXPECT_TRUE(mm_.mprotect(page(m, 5), kPageSize, kProtNone).ok());
    EXPECT_TRUE(pte(mm_, page(m, 4)).none());
    EXPECT_EQ(load(mm_, page(m, 4)), "x");
    EXPECT_EQ(load(mm_, page(m, 5)), "SEGV_ACCERR");
    EXPECT_EQ(audit(), "");
  });
}

TEST_F(HugeTest, TheOrderStaysWhileAProcessHasTables) {
  rt::run_for_test([&] {
    const VirtAddr m = map_huge();
    store(mm_, m, 'x');
    EXPECT_EQ(memory_.set_huge(true, 9).error(), Errc::kBusy);
    EXPECT_TRUE(memory_.set_huge(true, kOrder).ok());
  });
}

#if defined(DAXFS_RT_FIBER) && defined(DAXFS_HISTORICAL_BUGS)

// GUP reads the huge translation | the range is unmapped | GUP takes the count. Right: it notices and faults again.
TEST_F(HugeTest, AFastPinNoticesThatTheMappingWent) {
  for (const bool bug : {true, false}) {
    BugSet bugs;
    bugs.set(static_cast<size_t>(Bug::kDioPinNoRevalidate), bug);
    set_historical(bugs);
    huge_.huge_faults = 0;
    SwitchAtFirstRef policy;
    const rt::RunOutcome outcome = rt::run_lambda(
        [&] {
          const VirtAddr m = map_huge(4);
          EXPECT_EQ(store(mm_, m, 'x'), "ok");
          rt::spawn("pin", [&, m] {
            auto pin = pin_user_page(mm_, page(m, 2), true);
            ASSERT_TRUE(pin.ok());
            EXPECT_EQ(pin->pfn(), Pfn(HugeFile::kFirst + 2));
            pin->release();
          });
          rt::spawn("unmap", [&] { unmap_mapping_range(huge_.mapping(), PgOff(1), 1, false); });
          rt::join_all_spawned();
          mm_.exit_mmap();
        },
        policy);
    set_historical({});
    ASSERT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
    EXPECT_EQ(huge_.huge_faults, bug ? 1 : 2);
  }
}

#endif

}  // namespace
}  // namespace daxfs::mm
