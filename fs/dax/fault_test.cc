// fs/dax/fault_test.cc - what a faulting access finds, and races between faults.
#include "fs/dax/fault.h"

#include "fs/dax/test_world.h"

namespace daxfs::dax {
namespace {

constexpr std::byte kZeroByte{0};

TEST(Fault, ReadOfAHoleMapsTheZeroPageAndAStoreReplacesItEverywhere) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 4);
    const VirtAddr a1 = w.map(w.p1, w.file, 4);
    EXPECT_EQ(World::peek(w.p0, a0), kZeroByte);
    EXPECT_EQ(World::peek(w.p1, a1), kZeroByte);
    EXPECT_TRUE(w.file.entry(0).is_zero());
    EXPECT_TRUE(w.file.blocks.empty());
    EXPECT_EQ(World::poke(w.p0, a0 + 7, 0x41), mm::Signal::kNone);
    EXPECT_TRUE(w.file.entry(0).is_frame());
    EXPECT_TRUE(w.file.marked(0, kMarkDirty));
    EXPECT_EQ(World::peek(w.p1, a1 + 7), std::byte{0x41});
    EXPECT_EQ(w.file.read(7, 1).front(), std::byte{0x41});
    const mm::Page& page = w.memory.page(w.file.entry(0).pfn());
    EXPECT_EQ(page.mapping, &w.file.mapping());
    EXPECT_EQ(page.index, PgOff(0));
    w.finish();
    EXPECT_EQ(page.mapping, nullptr);
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(Fault, ReadOfAnUnwrittenBlockMapsTheZeroPage) {
  const auto outcome = run_in_world([](World& w) {
    w.file.add_block(1, std::byte{0x77}, /*written=*/false);
    const VirtAddr a0 = w.map(w.p0, w.file, 4);
    EXPECT_EQ(World::peek(w.p0, a0 + kPageSize), kZeroByte);
    EXPECT_TRUE(w.file.entry(1).is_zero());
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(Fault, OfAWrittenBlockMapsItCleanAndAStoreMakesItDirty) {
  const auto outcome = run_in_world([](World& w) {
    w.file.add_block(2, std::byte{0x33});
    const VirtAddr a0 = w.map(w.p0, w.file, 4);
    EXPECT_EQ(World::peek(w.p0, a0 + 2 * kPageSize), std::byte{0x33});
    EXPECT_TRUE(w.file.entry(2).is_frame());
    EXPECT_FALSE(w.file.marked(2, kMarkDirty));
    EXPECT_EQ(World::poke(w.p0, a0 + 2 * kPageSize, 0x34), mm::Signal::kNone);
    EXPECT_TRUE(w.file.marked(2, kMarkDirty));
    EXPECT_EQ(w.file.faults, 2);
    EXPECT_EQ(World::poke(w.p0, a0 + 2 * kPageSize, 0x35), mm::Signal::kNone);
    EXPECT_EQ(w.file.faults, 2);  // the PTE is writable now
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(Fault, BehindTheLastPageIsSigbus) {
  const auto outcome = run_in_world([](World& w) {
    w.file.size = kPageSize + 1;
    const VirtAddr a0 = w.map(w.p0, w.file, 4);
    EXPECT_EQ(World::poke(w.p0, a0 + 2 * kPageSize - 1, 1), mm::Signal::kNone);
    EXPECT_EQ(World::poke(w.p0, a0 + 2 * kPageSize, 1), mm::Signal::kBusAdrerr);
    EXPECT_TRUE(w.file.entry(2).none());
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(Fault, WithoutSpaceOrOnABadPageIsSigbusAndLeavesNothingLocked) {
  const auto outcome = run_in_world([](World& w) {
    w.file.add_block(1, std::byte{0x33});
    w.file.blocks_free = 0;
    const VirtAddr a0 = w.map(w.p0, w.file, 4);
    EXPECT_EQ(World::poke(w.p0, a0, 1), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.file.last_error, Errc::kNoSpc);
    w.device->set_poison(w.file.blocks[1].at.value() * kPageSize + 512, 512);
    EXPECT_EQ(World::poke(w.p0, a0 + kPageSize, 1), mm::Signal::kBusAdrerr);
    EXPECT_EQ(w.file.last_error, Errc::kIo);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(Fault, OfAPrivateMappingCopiesAndLeavesTheFileAlone) {
  const auto outcome = run_in_world([](World& w) {
    w.file.add_block(0, std::byte{0x33});
    const VirtAddr a0 = w.map(w.p0, w.file, 2, mm::kMapPrivate);
    EXPECT_EQ(World::poke(w.p0, a0, 0x99), mm::Signal::kNone);
    EXPECT_EQ(World::peek(w.p0, a0), std::byte{0x99});
    EXPECT_EQ(World::peek(w.p0, a0 + 1), std::byte{0x33});
    EXPECT_EQ(w.file.read(0, 1).front(), std::byte{0x33});
    EXPECT_EQ(World::poke(w.p0, a0 + kPageSize, 0x98), mm::Signal::kNone);  // over a hole
    EXPECT_EQ(World::peek(w.p0, a0 + kPageSize + 1), kZeroByte);
    EXPECT_EQ(w.file.blocks.size(), 1u);
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

// MAP_SYNC: a page with new metadata is mapped only by finish_sync_fault, which sets the mark.
TEST(Fault, OfASyncMappingOverCleanMetadataIsMappedAtOnce) {
  const auto outcome = run_in_world([](World& w) {
    w.file.add_block(0, std::byte{0x33});
    const VirtAddr a0 = w.map(w.p0, w.file, 2, mm::kMapSharedValidate | mm::kMapSync);
    EXPECT_EQ(World::poke(w.p0, a0, 0x44), mm::Signal::kNone);
    EXPECT_TRUE(w.file.marked(0, kMarkDirty));
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

#if defined(DAXFS_RT_FIBER)

// DF1
TEST(Fault, AStoreThatGetsNoBlockIsAFinding) {
  const auto outcome = run_in_world([](World& w) {
    w.file.withholds_blocks = true;
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    World::poke(w.p0, a0, 1);
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "DF1");
}

// O15: a frame that another file still has.
TEST(Fault, OfABlockThatAnotherFileMapsIsAFinding) {
  const auto outcome = run_in_world([](World& w) {
    w.file.add_block(0, std::byte{0x33});
    w.other.blocks[3] = w.file.blocks[0];
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    const VirtAddr a1 = w.map(w.p0, w.other, 4);
    World::peek(w.p0, a0);
    World::peek(w.p0, a1 + 3 * kPageSize);
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "O15");
}

// A store and a load of one fresh page, in two processes. In the end both see the byte, whatever
// the order.
bool store_against_load(World& w) {
  const VirtAddr a0 = w.map(w.p0, w.file, 1);
  const VirtAddr a1 = w.map(w.p1, w.file, 1);
  rt::spawn("store", [&] { World::poke(w.p0, a0, 0x41); });
  rt::spawn("load", [&] { World::peek(w.p1, a1); });
  rt::join_all_spawned();
  const bool right = World::peek(w.p1, a1) == std::byte{0x41} && w.file.recount() == w.file.mapping().nrexceptional;
  if (right) { w.finish(); }
  return right;
}

TEST(FaultRace, StoreAndLoadOfOneFreshPageAgree) {
  const SearchResult result = search(store_against_load);
  EXPECT_TRUE(result.clean()) << result.text();
  EXPECT_GT(result.runs, 1000u);
}

// B01: both look up the hole; the store allocates and maps; the load then puts the zero page in the
// tree and maps it.
TEST(FaultRace, WithoutEntryLockALoadCanLoseTheStoredByte) {
  const WithBug bug(Bug::kFaultWithoutEntryLock);
  const SearchResult result = search(store_against_load, {.until_found = true});
  EXPECT_GT(result.wrong, 0u) << result.text();
}

// B05: the load looks up the hole; write(2) allocates, finds nothing to invalidate, copies; the
// load maps the zero page.
bool write_against_load(World& w) {
  const VirtAddr a1 = w.map(w.p1, w.file, 1);
  rt::spawn("write", [&] {
    const std::array<std::byte, 1> byte{std::byte{0x42}};
    EXPECT_TRUE(w.file.write(0, byte).ok());
  });
  rt::spawn("load", [&] { World::peek(w.p1, a1); });
  rt::join_all_spawned();
  const bool right = World::peek(w.p1, a1) == std::byte{0x42};
  if (right) { w.finish(); }
  return right;
}

TEST(FaultRace, WriteCallAndLoadOfOneFreshPageAgree) {
  const SearchResult result = search(write_against_load);
  EXPECT_TRUE(result.clean()) << result.text();
}

TEST(FaultRace, BlocksLookedUpBeforeTheEntryIsLockedLoseTheWrite) {
  const WithBug bug(Bug::kReadFaultVsWrite);
  EXPECT_GT(search(write_against_load, {.until_found = true}).wrong, 0u);
}

// B17: the write drops the hole page before it allocates; a load in between brings it back.
TEST(FaultRace, HolePagesDroppedBeforeAllocationComeBack) {
  const WithBug bug(Bug::kInvalidateBeforeAllocate);
  EXPECT_GT(search(write_against_load, {.until_found = true}).wrong, 0u);
}

// The neighbour of a write in an unwritten extent turns into written zeros while its zero page is
// mapped. A later write there must show.
TEST(FaultRace, ZeroPageOfABlockThatBecameWrittenGoesWithTheNextWrite) {
  const SearchResult result = search([](World& w) {
    w.file.add_block(0, kZeroByte, /*written=*/false);
    const VirtAddr a1 = w.map(w.p1, w.file, 1);
    rt::spawn("write", [&] {
      w.file.mark_written(0);  // as ext4's 32 KiB rule does for neighbours
      const std::array<std::byte, 1> byte{std::byte{0x42}};
      EXPECT_TRUE(w.file.write(0, byte).ok());
    });
    rt::spawn("load", [&] { World::peek(w.p1, a1); });
    rt::join_all_spawned();
    const bool right = World::peek(w.p1, a1) == std::byte{0x42};
    if (right) { w.finish(); }
    return right;
  });
  EXPECT_TRUE(result.clean()) << result.text();
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::dax
