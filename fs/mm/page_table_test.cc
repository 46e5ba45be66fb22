// fs/mm/page_table_test.cc - entries, tables and walks.
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

class PageTableTest : public MmTest {
 protected:
  void set(VirtAddr address, Pte value) {
    table_.ensure(address);
    rt::SpinGuard guard(table_.ptl);
    table_.set(address, value);
  }
  Pte clear(VirtAddr address) {
    rt::SpinGuard guard(table_.ptl);
    return table_.get_and_clear(address);
  }

  PageTable table_{memory_, 9};
};

static_assert(Pte().none() && !Pte().present());
static_assert(Pte::make(Pfn(5)).pfn() == Pfn(5) && !Pte::make(Pfn(5)).write());
static_assert(Pte::make(Pfn(5)).allows(false) && !Pte::make(Pfn(5)).allows(true));
static_assert(!Pte::make(Pfn(5)).mk_write().mk_protnone().allows(false));
static_assert(Pte::make(Pfn(5)).mk_write().mk_dirty().clear_write().clear_dirty() == Pte::make(Pfn(5)));
static_assert(Pmd::table(0x1000).is_table() && Pmd::table(0x1000).table_address() == 0x1000);

#if defined(DAXFS_RT_FIBER)

// MM12.
TEST_F(PageTableTest, FlagsWithoutAFrameAreFound) {
  const auto outcome = rt::run_lambda([&] {
    table_.ensure(VirtAddr(0));
    rt::SpinGuard guard(table_.ptl);
    table_.set(VirtAddr(0), Pte().mk_young().mk_dirty().mk_write());
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "MM12");
  abandon();
}

#endif  // DAXFS_RT_FIBER

TEST_F(PageTableTest, FarApartEntriesShareNothing) {
  rt::run_for_test([&] {
    const VirtAddr far = kTaskSize - kPageSize;
    set(VirtAddr(0), Pte::make(Pfn(1)));
    set(VirtAddr(kPmdSize), Pte::make(Pfn(2)));
    set(far, Pte::make(Pfn(3)));
    EXPECT_EQ(table_.table_pages(),
              5U);  // two under one root entry, one under another, and their two parents
    EXPECT_EQ(table_.load(VirtAddr(0)).pfn(), Pfn(1));
    EXPECT_EQ(table_.load(far).pfn(), Pfn(3));
    EXPECT_TRUE(table_.load(VirtAddr(kPageSize)).none());
    EXPECT_TRUE(table_.load(kTaskSize).none());
    std::vector<uint64_t> seen;
    table_.for_each(VirtAddr(0), kTaskSize, [&](VirtAddr, Pte pte) {
      seen.push_back(pte.pfn().value());
      return true;
    });
    EXPECT_EQ(seen, (std::vector<uint64_t>{1, 2, 3}));
    EXPECT_EQ(table_.next_table(VirtAddr(2 * kPmdSize), kTaskSize), far + kPageSize - kPmdSize);
    EXPECT_EQ(clear(far).pfn(), Pfn(3));
    clear(VirtAddr(0));
    clear(VirtAddr(kPmdSize));
    table_.free_tables();
  });
}

TEST_F(PageTableTest, TheProcessorMarksOnlyWhatItChecked) {
  rt::run_for_test([&] {
    const VirtAddr at(kPageSize);
    const Pte first = Pte::make(Pfn(1)).mk_write();
    set(at, first);
    EXPECT_TRUE(table_.mark_accessed(at, first, true));
    EXPECT_TRUE(table_.load(at).dirty());
    {
      rt::SpinGuard guard(table_.ptl);
      EXPECT_TRUE(table_.write_protect(at, true).dirty());
    }
    EXPECT_FALSE(table_.mark_accessed(at, first, true));
    EXPECT_FALSE(table_.load(at).dirty());
    clear(at);
    EXPECT_FALSE(table_.mark_accessed(at, first, false));
    table_.free_tables();
  });
}

#if defined(DAXFS_RT_FIBER)
// MM5.
TEST_F(PageTableTest, FreeingATableWithEntriesIsAWarning) {
  const rt::RunOutcome outcome = rt::run_lambda([&] {
    set(VirtAddr(0), Pte::make(Pfn(1)));
    table_.free_tables();
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "MM5");
  table_.reset();
  memory_.reset();
}
#endif

}  // namespace
}  // namespace daxfs::mm
