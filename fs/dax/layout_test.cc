// fs/dax/layout_test.cc - pinned pages are found, and a punch waits for them.
#include "fs/dax/layout.h"

#include "fs/dax/test_world.h"
#include "fs/mm/gup.h"

namespace daxfs::dax {
namespace {

TEST(LayoutBusyPage, FindsThePinnedPageOfTheRangeAndUnmapsIt) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 4);
    for (uint64_t n = 0; n < 4; ++n) { World::poke(w.p0, a0 + n * kPageSize, 5); }
    EXPECT_EQ(layout_busy_page(w.file.mapping()), nullptr);
    auto pin = mm::pin_user_page(w.p0, a0 + 2 * kPageSize, true);
    ASSERT_TRUE(pin.ok());
    EXPECT_EQ(layout_busy_page(w.file.mapping()), &pin->page());
    EXPECT_EQ(layout_busy_page_range(w.file.mapping(), 0, 2 * kPageSize - 1), nullptr);
    EXPECT_EQ(layout_busy_page_range(w.file.mapping(), 2 * kPageSize, kToEnd), &pin->page());
    EXPECT_TRUE(w.p0.page_table.load_unscheduled(a0).none());
    pin->release();
    EXPECT_EQ(layout_busy_page(w.file.mapping()), nullptr);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

// A pin outlives its mapping; Linux 6.1 would not look.
TEST(LayoutBusyPage, FindsAPinWhoseMappingIsGone) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    World::poke(w.p0, a0, 5);
    auto pin = mm::pin_user_page(w.p0, a0, true);
    ASSERT_TRUE(w.p0.munmap(a0, kPageSize).ok());
    EXPECT_EQ(layout_busy_page(w.file.mapping()), &pin->page());
    pin->release();
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

#if defined(DAXFS_RT_FIBER)

// A01: a direct read into the mapping against a punch of the same pages. No DMA meets a freed page,
// nothing hangs.
bool dio_against_punch(World& w) {
  w.plain.add_block(0, std::byte{0x77});
  w.plain.add_block(1, std::byte{0x78});
  const VirtAddr a0 = w.map(w.p0, w.file, 2);
  World::poke(w.p0, a0, 1);
  World::poke(w.p0, a0 + kPageSize, 1);
  rt::spawn("dio", [&] {
    io::IovBuffer buffer = io::IovBuffer::user(w.p0, a0, 2 * kPageSize);
    EXPECT_TRUE(io::iomap_dio_rw(w.plain, buffer, 0, false, w.plain, nullptr).ok());
  });
  rt::spawn("punch", [&] { w.file.punch(0, 2); });
  rt::join_all_spawned();
  rt::run_pending_system_tasks();
  w.finish();
  return true;
}

TEST(LayoutRace, DirectReadIntoAMappingAgainstPunchIsSafe) {
  const SearchResult result = search(dio_against_punch, {.events_max = 200, .stride = 3});
  EXPECT_TRUE(result.clean()) << result.text();
  EXPECT_GT(result.runs, 1000u);
}

TEST(LayoutRace, WithoutUnmappingFirstAPinIsMissed) {
  const WithBug bug(Bug::kDioPinNoUnmap);
  const SearchResult result = search(dio_against_punch, {.events_max = 200, .stride = 3, .until_found = true});
  EXPECT_GT(result.findings("O1"), 0u);
}

TEST(LayoutRace, WithoutRevalidationInFastGupAPinIsMissed) {
  const WithBug bug(Bug::kDioPinNoRevalidate);
  const SearchResult result = search(dio_against_punch, {.events_max = 200, .until_found = true});
  EXPECT_GT(result.findings("O1") + result.findings("O15"), 0u);
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::dax
