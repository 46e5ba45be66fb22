// fs/dax/writeback_test.cc - DIRTY, TOWRITE and write protection.
#include "fs/dax/writeback.h"

#include "fs/dax/test_world.h"

namespace daxfs::dax {
namespace {

// Counts what reaches the medium.
class CountingRecorder final : public pmem::Recorder {
 public:
  void on_store(uint64_t, std::span<const std::byte>, pmem::StoreKind, Site) override {}
  void on_flush(uint64_t offset, uint64_t size, Site) override {
    last_block = offset / kPageSize;
    ++flushes;
    bytes += size;
  }
  void on_fence(Site) override { ++fences; }

  rt::TestValue<uint64_t> last_block = 0;
  rt::TestValue<int> flushes = 0;
  rt::TestValue<uint64_t> bytes = 0;
  rt::TestValue<int> fences = 0;
};

TEST(Writeback, FlushesDirtyPagesOnceAndMakesThemReadOnlyEverywhere) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 4);
    const VirtAddr a1 = w.map(w.p1, w.file, 4);
    World::poke(w.p0, a0, 1);
    World::poke(w.p1, a1, 2);
    World::poke(w.p0, a0 + 2 * kPageSize, 1);
    World::peek(w.p0, a0 + 3 * kPageSize);
    CountingRecorder recorder;
    w.device->set_recorder(&recorder);
    EXPECT_TRUE(writeback_mapping_range(w.file.mapping(), PgOff(0), PgOff(1), true).ok());
    EXPECT_EQ(recorder.flushes, 1);
    EXPECT_EQ(recorder.last_block, w.file.blocks[0].at.value());
    EXPECT_EQ(recorder.bytes, kPageSize);
    EXPECT_EQ(recorder.fences, 1);
    EXPECT_FALSE(w.file.marked(0, kMarkDirty));
    EXPECT_FALSE(w.file.marked(0, kMarkToWrite));
    EXPECT_TRUE(w.file.marked(2, kMarkDirty));                   // outside the range
    EXPECT_FALSE(w.p0.page_table.load_unscheduled(a0).write());  // O7
    EXPECT_FALSE(w.p1.page_table.load_unscheduled(a1).write());
    EXPECT_TRUE(writeback_mapping_range(w.file.mapping(), PgOff(0), PgOff(~uint64_t{0}), true).ok());
    EXPECT_EQ(recorder.flushes, 2);
    EXPECT_TRUE(writeback_mapping_range(w.file.mapping(), PgOff(0), PgOff(~uint64_t{0}), true).ok());
    EXPECT_EQ(recorder.flushes, 2);
    EXPECT_EQ(recorder.fences, 2);
    w.device->set_recorder(nullptr);
    const int faults = w.file.faults;
    World::poke(w.p1, a1, 3);
    EXPECT_EQ(w.file.faults, faults + 1);
    EXPECT_TRUE(w.file.marked(0, kMarkDirty));
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

TEST(Writeback, WithoutSyncDoesNothing) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    World::poke(w.p0, a0, 1);
    EXPECT_TRUE(writeback_mapping_range(w.file.mapping(), PgOff(0), PgOff(0), false).ok());
    EXPECT_TRUE(w.file.marked(0, kMarkDirty));
    w.finish();
  });
  EXPECT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
}

#if defined(DAXFS_RT_FIBER)

// O7: only pages with a block can be dirty.
TEST(Writeback, OfADirtyHoleIsAFinding) {
  const auto outcome = run_in_world([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    World::peek(w.p0, a0);
    w.file.mapping().i_pages.set_mark(0, kMarkDirty);
    writeback_mapping_range(w.file.mapping(), PgOff(0), PgOff(0), true).ignore_error("ends the run");
  });
  ASSERT_TRUE(outcome.finding.has_value());
  EXPECT_EQ(outcome.finding->tag, "O7");
}

// O7 under every interleaving of a storing task and an fsync: a page whose mark is gone has no
// writable PTE, and an fsync that began after the store leaves it clean.
TEST(WritebackRace, NoWritablePteWithoutTheDirtyMark) {
  const SearchResult result = search([](World& w) {
    const VirtAddr a0 = w.map(w.p0, w.file, 1);
    World::poke(w.p0, a0, 1);
    rt::spawn("store", [&] {
      World::poke(w.p0, a0, 2);
      World::poke(w.p0, a0 + 1, 3);
    });
    rt::spawn("fsync", [&] { EXPECT_TRUE(writeback_mapping_range(w.file.mapping(), PgOff(0), PgOff(0), true).ok()); });
    rt::join_all_spawned();
    const bool writable = w.p0.page_table.load_unscheduled(a0).write();
    const bool right = !writable || w.file.marked(0, kMarkDirty);
    if (right) { w.finish(); }
    return right;
  });
  EXPECT_TRUE(result.clean()) << result.text();
}

// Two fsyncs of one page: neither returns before the flush.
TEST(WritebackRace, SecondSyncWaitsForTheFirst) {
  const SearchResult result = search(
      [](World& w) {
        const VirtAddr a0 = w.map(w.p0, w.file, 1);
        World::poke(w.p0, a0, 1);
        CountingRecorder recorder;
        w.device->set_recorder(&recorder);
        rt::TestValue<bool> early = false;
        const auto sync = [&] {
          EXPECT_TRUE(writeback_mapping_range(w.file.mapping(), PgOff(0), PgOff(0), true).ok());
          early |= recorder.flushes == 0;
        };
        rt::spawn("a", sync);
        rt::spawn("b", sync);
        rt::join_all_spawned();
        w.device->set_recorder(nullptr);
        w.finish();
        return !early;
      },
      {.events_max = 80});
  EXPECT_TRUE(result.clean()) << result.text();
}

#endif  // DAXFS_RT_FIBER

}  // namespace
}  // namespace daxfs::dax
