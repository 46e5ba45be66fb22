// fs/mm/page_test.cc - reference counts and pins.
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

class PageTest : public MmTest {};

#if defined(DAXFS_RT_FIBER)
// The verdict of a run that ends in a finding, with its tag.
template <typename F>
std::string tag_of(F&& body) {
  const rt::RunOutcome outcome = rt::run_lambda(std::forward<F>(body));
  return outcome.finding.has_value() ? outcome.finding->tag : "none";
}

// MM2.
TEST_F(PageTest, PutBelowTheIdleCountIsABug) {
  EXPECT_EQ(tag_of([&] { put_page(memory_.page(Pfn(7))); }), "MM2");
  memory_.page(Pfn(7)).refcount = 1;
}

// MM2.
TEST_F(PageTest, TakingAFreeFrameIsABug) {
  Page& free_frame = memory_.page(memory_.zero_pfn() + 1);
  EXPECT_EQ(tag_of([&] { get_page(free_frame); }), "MM2");
  free_frame.refcount = 0;
}

// MM1.
TEST_F(PageTest, APinDroppedWithoutReleaseIsABug) {
  EXPECT_EQ(tag_of([&] {
              get_page(memory_.page(Pfn(7)));
              const PagePin pin = PagePin::adopt(memory_.page(Pfn(7)));
            }),
            "MM1");
  memory_.page(Pfn(7)).refcount = 1;
}
#endif

TEST_F(PageTest, AFreeFrameCannotBeTakenByAFastWalker) {
  EXPECT_FALSE(try_get_page_unscheduled(memory_.page(memory_.zero_pfn() + 1)));
}

TEST_F(PageTest, APinKnowsWhetherItsFrameChangedHands) {
  rt::run_for_test([&] {
    Page& page = memory_.page(Pfn(100));
    get_page(page);
    // Owners are compared, never looked into.
    auto* const one_file = reinterpret_cast<AddressSpace*>(&page);
    auto* const other_file = reinterpret_cast<AddressSpace*>(&memory_);
    page.mapping = one_file;
    PagePin pin = PagePin::adopt(page);
    EXPECT_TRUE(pin.still_owned());
    page.index = PgOff(3);
    EXPECT_FALSE(pin.still_owned());
    page.index = PgOff(0);
    page.mapping = other_file;
    EXPECT_FALSE(pin.still_owned());
    page.mapping = nullptr;
    EXPECT_FALSE(pin.still_owned());
    page.mapping = one_file;
    EXPECT_TRUE(pin.still_owned());
    page.mapping = nullptr;
    PagePin moved = std::move(pin);
    EXPECT_TRUE(pin.empty());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(moved.pfn(), Pfn(100));
    moved.release();
    EXPECT_EQ(page_ref_count(page), 1);
  });
}

#if defined(DAXFS_RT_FIBER)
// O15.
TEST_F(PageTest, AFrameWhoseBlockIsFreeIsNeitherPinnedNorUnpinned) {
  memory_.device().watch_freed(true);
  EXPECT_EQ(tag_of([&] {
              Page& page = memory_.page(Pfn(9));
              get_page(page);
              PagePin pin = PagePin::adopt(page);
              memory_.device().mark_freed(FsBlock(9), 1);
              pin.release();
            }),
            "O15");
  memory_.page(Pfn(9)).refcount = 1;
  EXPECT_EQ(tag_of([&] {
              Page& page = memory_.page(Pfn(9));
              get_page(page);
              PagePin pin = PagePin::adopt(page);
              pin.release();
            }),
            "O15");
  memory_.page(Pfn(9)).refcount = 1;
  memory_.device().watch_freed(false);
}
#endif

TEST_F(PageTest, TheLastCountOfADramFrameFreesIt) {
  rt::run_for_test([&] {
    const Pfn pfn = *memory_.alloc_dram();
    get_page(memory_.page(pfn));
    put_page(memory_.page(pfn));
    EXPECT_EQ(memory_.dram_in_use(), 1U);
    put_page(memory_.page(pfn));
    EXPECT_EQ(memory_.dram_in_use(), 0U);
  });
}

}  // namespace
}  // namespace daxfs::mm
