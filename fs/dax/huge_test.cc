// fs/dax/huge_test.cc - huge entries of order 2: faults, what they replace, writeback, and what happens to their parts.
#include "fs/dax/test_world.h"
#include "fs/mm/gup.h"

namespace daxfs::dax {
namespace {

template <typename Body>
void in_huge_world(Body body) {
  const auto outcome = run_in_world<HugeWorld>([&](HugeWorld& w) {
    body(w);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

class FlushRecorder final : public pmem::Recorder {
 public:
  void on_store(uint64_t, std::span<const std::byte>, pmem::StoreKind, Site) override {}
  void on_flush(uint64_t offset, uint64_t size, Site) override {
    first = offset;
    bytes += size;
  }
  void on_fence(Site) override { ++fences; }

  rt::TestValue<uint64_t> first = 0;
  rt::TestValue<uint64_t> bytes = 0;
  rt::TestValue<int> fences = 0;
};

static_assert(Entry::frame(Pfn(8), 2).order() == 2 && Entry::frame(Pfn(8), 2).pfn() == Pfn(8));
static_assert(Entry::zero(Pfn(8), 1).pages() == 2 && Entry::zero(Pfn(8), 1).locked().is_zero());
static_assert(Entry::frame(Pfn(8), kPmdOrder).trace_value() == ((8 << 4 | 2) << 1 | 1));  // as the kernel's

TEST(HugeEntry, OwnsEveryFrameOfItsRangeUntilItGoes) {
  in_huge_world([](HugeWorld& w) {
    const VirtAddr m = w.huge();
    World::poke(w.p0, m + 5 * kPageSize, 1);
    EXPECT_EQ(w.file.huge_faults, 1);
    EXPECT_EQ(w.file.faults, 0);
    EXPECT_EQ(w.file.entry(7), w.file.entry(4));
    EXPECT_EQ(w.file.entry(7).order(), 2u);
    EXPECT_TRUE(w.file.marked(6, kMarkDirty));
    EXPECT_EQ(w.file.mapping().nrexceptional, 4u);
    for (uint64_t n = 4; n < 8; ++n) {
      EXPECT_EQ(w.frame(n).mapping, &w.file.mapping());
      EXPECT_EQ(w.frame(n).index, PgOff(n));
    }
    mm::Page& last = w.frame(7);
    w.file.punch(4, 8);
    EXPECT_EQ(last.mapping, nullptr);
    EXPECT_EQ(w.file.mapping().nrexceptional, 0u);
    EXPECT_EQ(World::peek(w.p0, m + 5 * kPageSize), std::byte{0});
  });
}

TEST(HugeEntry, ASinglePageInTheTreeMakesTheHugeFaultGiveUp) {
  in_huge_world([](HugeWorld& w) {
    World::poke(w.p1, w.single(3), 1);
    const VirtAddr m = w.huge();
    World::poke(w.p0, m, 2);
    EXPECT_EQ(w.file.entry(0).order(), 0u);
    EXPECT_FALSE(w.p0.page_table.load_unscheduled(m).huge());
    EXPECT_EQ(World::peek(w.p0, m + 3 * kPageSize), std::byte{1});
  });
}

TEST(HugeEntry, ServesFaultsOfSinglePagesUnderItAndStays) {
  in_huge_world([](HugeWorld& w) {
    World::poke(w.p0, w.huge() + kPageSize, 7);
    const Entry before = w.file.entry(1);
    const VirtAddr s = w.single(1, 2);
    EXPECT_EQ(World::peek(w.p1, s), std::byte{7});
    World::poke(w.p1, s + kPageSize, 9);
    EXPECT_EQ(w.file.entry(2), before);
    EXPECT_EQ(w.p1.page_table.load_unscheduled(s + kPageSize).pfn(), before.pfn() + 2);
  });
}

TEST(HugeEntry, OfTheZeroPageGivesWayToASinglePageAndToData) {
  in_huge_world([](HugeWorld& w) {
    const VirtAddr m = w.huge();
    World::peek(w.p0, m);
    EXPECT_TRUE(w.file.entry(3).is_zero() && w.file.entry(3).is_pmd());
    World::poke(w.p1, w.single(2), 4);
    EXPECT_TRUE(w.p0.page_table.load_unscheduled(m).none());
    EXPECT_TRUE(w.file.entry(0).none());
    EXPECT_TRUE(w.file.entry(2).is_frame() && w.file.entry(2).is_pte());
    EXPECT_EQ(w.file.mapping().nrexceptional, 1u);
    World::peek(w.p0, m + 4 * kPageSize);
    EXPECT_TRUE(w.file.entry(4).is_zero());
    EXPECT_TRUE(w.file.write(6 * kPageSize, std::vector<std::byte>(10, std::byte{5})).ok());
    EXPECT_TRUE(w.file.entry(4).none());
    EXPECT_EQ(World::peek(w.p0, m + 6 * kPageSize), std::byte{5});
  });
}

TEST(HugeEntry, WritebackFlushesAllOfItAndProtectsMappingsOfBothSizes) {
  in_huge_world([](HugeWorld& w) {
    const VirtAddr m = w.huge();
    const VirtAddr s = w.single(2);
    World::poke(w.p0, m, 1);
    World::poke(w.p1, s, 1);
    FlushRecorder recorder;
    w.device->set_recorder(&recorder);
    EXPECT_TRUE(writeback_mapping_range(w.file.mapping(), PgOff(3), PgOff(3), true).ok());
    w.device->set_recorder(nullptr);
    EXPECT_EQ(recorder.bytes, 4 * kPageSize);
    EXPECT_EQ(recorder.first, w.file.entry(0).pfn().value() * kPageSize);
    EXPECT_FALSE(w.file.marked(0, kMarkDirty));
    EXPECT_TRUE(w.p0.page_table.load_unscheduled(m).huge());
    EXPECT_FALSE(w.p0.page_table.load_unscheduled(m).write());  // O7
    EXPECT_FALSE(w.p1.page_table.load_unscheduled(s).write());
    World::poke(w.p0, m + 3 * kPageSize, 2);
    EXPECT_TRUE(w.file.marked(0, kMarkDirty));
    EXPECT_TRUE(w.p0.page_table.load_unscheduled(m).write());
  });
}

// The entry goes with the page that is punched; what was stored to the others must reach the medium all the same.
TEST(HugeEntry, APunchInsideUnmapsItAndFlushesWhatStays) {
  in_huge_world([](HugeWorld& w) {
    const VirtAddr m = w.huge();
    World::poke(w.p0, m, 1);
    const Pfn first = w.file.entry(0).pfn();
    FlushRecorder recorder;
    w.device->set_recorder(&recorder);
    w.file.punch(1, 2);
    w.device->set_recorder(nullptr);
    EXPECT_EQ(recorder.bytes, 4 * kPageSize);
    EXPECT_EQ(recorder.first, first.value() * kPageSize);
    EXPECT_EQ(recorder.fences, 1);
    EXPECT_TRUE(w.file.entry(0).none() && w.file.entry(3).none());
    EXPECT_TRUE(w.p0.page_table.load_unscheduled(m + 3 * kPageSize).none());
    EXPECT_EQ(World::peek(w.p0, m), std::byte{1});
    EXPECT_EQ(w.file.entry(0).order(), 0u);
  });
}

TEST(HugeEntry, APinOfAnyOfItsPagesKeepsItBusy) {
  in_huge_world([](HugeWorld& w) {
    const VirtAddr m = w.huge();
    World::poke(w.p0, m, 1);
    auto pin = mm::pin_user_page(w.p0, m + 3 * kPageSize, true);
    ASSERT_TRUE(pin.ok());
    EXPECT_EQ(layout_busy_page(w.file.mapping()), &w.frame(3));
    pin->release();
    EXPECT_EQ(layout_busy_page(w.file.mapping()), nullptr);
    EXPECT_TRUE(w.p0.page_table.load_unscheduled(m).none());
  });
}

TEST(HugeEntry, BlocksThatAreNotAlignedOrNotAdjacentAreMappedPageByPage) {
  in_huge_world([](HugeWorld& w) {
    for (const uint64_t index : {0, 1, 2, 3}) { w.file.add_block(index, std::byte{3}); }  // from frame 1 on
    const VirtAddr m = w.huge();
    EXPECT_EQ(World::peek(w.p0, m), std::byte{3});
    EXPECT_FALSE(w.p0.page_table.load_unscheduled(m).huge());
    EXPECT_EQ(w.file.entry(0), Entry::frame(Pfn(1), 0));
    // The huge attempt left nothing behind.
    EXPECT_TRUE(w.file.entry(1).none());
  });
}

#if defined(DAXFS_RT_FIBER)

// A huge store and a load of a single page of the same hole: whoever comes second sees the first.
TEST(HugeEntry, FaultsOfBothSizesAgreeInEveryInterleaving) {
  const SearchResult result = search<HugeWorld>(
      [](HugeWorld& w) {
        const VirtAddr m = w.huge();
        const VirtAddr s = w.single(1);
        bool seen_late = true;
        rt::spawn("huge", [&] { World::poke(w.p0, m + kPageSize, 5); });
        rt::spawn("single", [&] { World::peek(w.p1, s); });
        rt::join_all_spawned();
        seen_late = World::peek(w.p1, s) == std::byte{5} && World::peek(w.p0, m + kPageSize) == std::byte{5};
        w.finish();
        return seen_late;
      },
      {.events_max = 80});
  EXPECT_TRUE(result.clean()) << result.text();
  EXPECT_GT(result.runs, 1000u);
}

TEST(HugeEntry, AHugeReadFaultAgainstAWriteShowsTheData) {
  const SearchResult result = search<HugeWorld>(
      [](HugeWorld& w) {
        const VirtAddr m = w.huge();
        rt::spawn("load", [&] { World::peek(w.p0, m); });
        rt::spawn("write",
                  [&] { EXPECT_TRUE(w.file.write(2 * kPageSize, std::vector<std::byte>(8, std::byte{6})).ok()); });
        rt::join_all_spawned();
        const bool right = World::peek(w.p0, m + 2 * kPageSize) == std::byte{6};
        w.finish();
        return right;
      },
      {.events_max = 80});
  EXPECT_TRUE(result.clean()) << result.text();
}

TEST(HugeEntry, AHugeStoreAgainstAPunchLeavesNoOldFrame) {
  const SearchResult result = search<HugeWorld>(
      [](HugeWorld& w) {
        const VirtAddr m = w.huge();
        World::poke(w.p0, m, 1);
        rt::spawn("store", [&] { World::poke(w.p0, m + kPageSize, 2); });
        rt::spawn("punch", [&] { w.file.punch(0, 1); });
        rt::join_all_spawned();
        const bool right = World::peek(w.p0, m) == std::byte{0} && World::peek(w.p0, m + kPageSize) == std::byte{2};
        w.finish();
        return right;
      },
      {.events_max = 80});
  EXPECT_TRUE(result.clean()) << result.text();
}

#endif

}  // namespace
}  // namespace daxfs::dax
