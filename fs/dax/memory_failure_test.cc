// fs/dax/memory_failure_test.cc - bad frames: who hears of them, who may still map them, and what may happen meanwhile.
#include "fs/dax/memory_failure.h"

#include "fs/dax/entry_lock.h"
#include "fs/dax/test_world.h"
#include "fs/mm/gup.h"

namespace daxfs::dax {
namespace {

VirtAddr map_part(mm::Mm& mm, FakeFile& file, uint64_t first, uint64_t pages, unsigned flags = mm::kMapShared) {
  const auto address =
      mm.mmap({.length = pages * kPageSize, .flags = flags, .file = &file, .offset = first * kPageSize});
  EXPECT_TRUE(address.ok());
  return *address;
}
Pfn frame_of(FakeFile& file, uint64_t index) { return Pfn(file.blocks.at(index).at.value()); }
void break_frame(World& w, Pfn pfn) { w.device->set_poison(pfn.value() * kPageSize, 512); }
mm::Signal load_signal(mm::Mm& mm, VirtAddr address) {
  std::byte byte{};
  return mm.load(address, std::span(&byte, 1)).signal;
}

template <typename World = dax::World, typename Body>
void in_clean_world(Body body) {
  const auto outcome = run_in_world<World>([&](World& w) {
    body(w);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(MemoryFailure, TellsEachProcessItsOwnAddressAndSizeAndTakesThePageFromAll) {
  in_clean_world<HugeWorld>([](HugeWorld& w) {
    const VirtAddr huge = w.map(w.p0, w.file, 8);
    EXPECT_EQ(World::poke(w.p0, huge + 4 * kPageSize, 1), mm::Signal::kNone);
    const VirtAddr single = map_part(w.p1, w.file, 6, 1);
    EXPECT_EQ(World::peek(w.p1, single), std::byte{0});
    const VirtAddr copy = map_part(w.p1, w.file, 6, 1, mm::kMapPrivate);
    EXPECT_EQ(World::poke(w.p1, copy, 9), mm::Signal::kNone);
    const VirtAddr neighbour = map_part(w.p1, w.file, 5, 1);
    World::peek(w.p1, neighbour);
    const Entry before = w.file.entry(6);

    std::vector<mm::FrameUser> users;
    EXPECT_TRUE(memory_failure(w.memory, frame_of(w.file, 6), &users).ok());
    EXPECT_EQ(users, (std::vector<mm::FrameUser>{{1, huge + 6 * kPageSize, 2, &w.p0}, {2, single, 0, &w.p1}}));
    EXPECT_TRUE(w.p0.page_table.load_unscheduled(huge + 4 * kPageSize).none());
    EXPECT_TRUE(w.p1.page_table.load_unscheduled(single).none());
    EXPECT_EQ(World::peek(w.p1, copy), std::byte{9});
    EXPECT_EQ(w.file.entry(6), before);  // the cookie: same order, unlocked
    EXPECT_TRUE(w.file.marked(4, kMarkDirty));
    // No bad sectors: as after MADV_HWPOISON everybody gets the page again.
    EXPECT_EQ(World::peek(w.p0, huge + 6 * kPageSize), std::byte{0});
    EXPECT_FALSE(w.memory.page(frame_of(w.file, 6)).is_hwpoison());
  });
}

TEST(MemoryFailure, WithBadSectorsTheNextAccessGetsSigbusUntilTheWholePageIsWritten) {
  in_clean_world<HugeWorld>([](HugeWorld& w) {
    const VirtAddr m = w.map(w.p0, w.file, 8);
    World::poke(w.p0, m, 1);
    const Pfn bad = frame_of(w.file, 2);
    break_frame(w, bad);
    EXPECT_EQ(load_signal(w.p0, m + 2 * kPageSize), mm::Signal::kNone);  // mapped from before: nobody looks
    EXPECT_TRUE(memory_failure(w.memory, bad).ok());
    EXPECT_TRUE(w.memory.page(bad).is_hwpoison());
    EXPECT_EQ(load_signal(w.p0, m + 2 * kPageSize), mm::Signal::kBusAdrerr);
    EXPECT_EQ(World::poke(w.p0, m + 2 * kPageSize, 1), mm::Signal::kBusAdrerr);
    EXPECT_EQ(World::peek(w.p0, m), std::byte{1});  // its neighbours are mapped one by one
    EXPECT_TRUE(w.file.read(2 * kPageSize, 10).empty());
    EXPECT_TRUE(w.file.write(2 * kPageSize, std::vector<std::byte>(kPageSize, std::byte{3})).ok());
    EXPECT_EQ(World::peek(w.p0, m + 2 * kPageSize), std::byte{3});
  });
}

TEST(MemoryFailure, OfAFrameThatNoTreeHoldsDoesNothing) {
  in_clean_world([](World& w) {
    w.file.add_block(0, std::byte{1});
    EXPECT_EQ(memory_failure(w.memory, frame_of(w.file, 0)).error(), Errc::kBusy);
    const VirtAddr m = w.map(w.p0, w.file, 1);
    World::peek(w.p0, m);
    const Pfn pfn = frame_of(w.file, 0);
    EXPECT_TRUE(memory_failure(w.memory, pfn).ok());
    w.file.punch(0, 1);
    EXPECT_EQ(memory_failure(w.memory, pfn).error(), Errc::kBusy);
    EXPECT_EQ(memory_failure(w.memory, w.memory.zero_pfn()).error(), Errc::kNxio);
  });
}

// A31: who forgets a frame's file with its last pin cannot find its processes.
TEST(MemoryFailure, FindsTheFileOfAFrameThatWasPinned) {
  in_clean_world([](World& w) {
    const VirtAddr m = w.map(w.p0, w.file, 1);
    World::poke(w.p0, m, 1);
    auto pin = mm::pin_user_page(w.p0, m, true);
    ASSERT_TRUE(pin.ok());
    pin->release();
    EXPECT_TRUE(memory_failure(w.memory, frame_of(w.file, 0)).ok());
  });
}

#if defined(DAXFS_RT_FIBER)

#if defined(DAXFS_HISTORICAL_BUGS)
TEST(MemoryFailure, TellingTheSizeOfThePageForAHugeMappingFiresMf3) {
  BugSet bugs;
  select_historical("memory-failure-mapping-size-from-page", &bugs);
  set_historical(bugs);
  const auto outcome = run_in_world<HugeWorld>([](HugeWorld& w) {
    const VirtAddr m = w.map(w.p0, w.file, 4);
    World::poke(w.p0, m, 1);
    EXPECT_TRUE(memory_failure(w.memory, frame_of(w.file, 1)).ok());
  });
  set_historical({});
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "MF3");
}
#endif

// MF1, MF2 and DE3 are not trusted before they fired.
TEST(MemoryFailure, ItsInvariantsFireWhenTheyAreBroken) {
  const auto wrong_address = run_in_world([](World& w) {
    const VirtAddr m = w.map(w.p0, w.file, 2);
    World::poke(w.p0, m, 1);
    World::poke(w.p0, m + kPageSize, 1);
    std::vector<mm::FrameUser> users;
    mm::collect_frame_users(w.file.mapping(), PgOff(0), frame_of(w.file, 1), &users);
  });
  ASSERT_TRUE(wrong_address.finding.has_value());
  EXPECT_EQ(wrong_address.finding->tag, "MF1");
  const auto still_mapped = run_in_world([](World& w) {
    const VirtAddr m = w.map(w.p0, w.file, 1);
    World::poke(w.p0, m, 1);
    mm::check_frame_unmapped(w.file.mapping(), PgOff(0), frame_of(w.file, 0));
  });
  ASSERT_TRUE(still_mapped.finding.has_value());
  EXPECT_EQ(still_mapped.finding->tag, "MF2");
  const auto kept = run_in_world([](World& w) {
    World::poke(w.p0, w.map(w.p0, w.file, 1), 1);
    const FrameLock lock(w.memory.page(frame_of(w.file, 0)));
    EXPECT_TRUE(lock.locked());
  });
  ASSERT_TRUE(kept.finding.has_value());
  EXPECT_EQ(kept.finding->tag, "DE3");
}

#endif  // DAXFS_RT_FIBER

TEST(FrameLock, OfAnyPageLocksTheWholeHugeEntry) {
  in_clean_world<HugeWorld>([](HugeWorld& w) {
    World::poke(w.p0, w.map(w.p0, w.file, 4), 1);
    FrameLock lock(w.memory.page(frame_of(w.file, 3)));
    ASSERT_TRUE(lock.locked());
    EXPECT_EQ(lock.index(), PgOff(3));
    EXPECT_EQ(lock.entry().order(), 2u);
    EXPECT_TRUE(w.file.entry(0).is_locked());
    lock.unlock();
    EXPECT_FALSE(w.file.entry(0).is_locked());
  });
}

#if defined(DAXFS_RT_FIBER)

// While a frame fails, its page leaves the file and comes back with another block; or is written back; or is mapped by
// somebody else, huge or single. No order of events breaks an invariant, loses a wake-up or leaves a lock.
template <typename Meanwhile>
void expect_clean_beside(Meanwhile meanwhile) {
  const SearchResult result = search<HugeWorld>(
      [&](HugeWorld& w) {
        const VirtAddr m = w.map(w.p0, w.file, 4);
        const VirtAddr s = map_part(w.p1, w.file, 1, 1);
        World::poke(w.p0, m, 1);
        World::peek(w.p1, s);
        const Pfn pfn = frame_of(w.file, 1);
        rt::spawn("fails", [&] { memory_failure(w.memory, pfn).ignore_error("the frame may have left the file"); });
        rt::spawn("meanwhile", [&] { meanwhile(w, m, s); });
        rt::join_all_spawned();
        w.finish();
        return true;
      },
      {.events_max = 120, .stride = 7});
  EXPECT_TRUE(result.clean()) << result.text();
  EXPECT_GT(result.runs, 100u);
}

TEST(MemoryFailure, BesideAPunchAndAnotherFault) {
  expect_clean_beside([](HugeWorld& w, VirtAddr m, VirtAddr s) {
    w.file.punch(0, 4);
    World::poke(w.p1, s, 2);
    World::poke(w.p0, m, 3);
  });
}

TEST(MemoryFailure, BesideWritebackAndStores) {
  expect_clean_beside([](HugeWorld& w, VirtAddr m, VirtAddr s) {
    EXPECT_TRUE(writeback_mapping_range(w.file.mapping(), PgOff(0), PgOff(3), true).ok());
    World::poke(w.p0, m + kPageSize, 2);
    World::poke(w.p1, s, 3);
  });
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::dax
