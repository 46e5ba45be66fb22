// fs/mm/rmap_test.cc - unmapping and write-protecting a file range in every process.
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

class RmapTest : public MmTest {};

// What TSan sees: a moving VMA is not copied with its links, which the other process changes.
TEST_F(RmapTest, AMoveAndAnUnmapOfAnotherProcessMeetInTheList) {
  rt::run_for_test([&] {
    const VirtAddr mine = map(mm_, kMapShared);
    const VirtAddr theirs = map(other_, kMapShared);
    VirtAddr moved = mine;
    rt::spawn("unmap", [&] { EXPECT_TRUE(other_.munmap(theirs, 4 * kPageSize).ok()); });
    rt::spawn("move", [&] { moved = *mm_.mremap(mine, 4 * kPageSize, 6 * kPageSize, kMremapMayMove); });
    rt::join_all_spawned();
    EXPECT_NE(moved, mine);
    EXPECT_EQ(load(mm_, moved), "a");
  });
}

TEST_F(RmapTest, UnmapsTheRangeInEveryProcessAndNothingElse) {
  rt::run_for_test([&] {
    const VirtAddr mine = map(mm_, kMapShared);
    const VirtAddr theirs = map(other_, kMapShared, kProtRead, 4, 1);
    EXPECT_TRUE(mm_.populate(mine, 4 * kPageSize, true).ok());
    EXPECT_TRUE(other_.populate(theirs, 3 * kPageSize, false).ok());
    unmap_mapping_range(file_.mapping(), PgOff(1), 2, false);
    EXPECT_FALSE(pte(mm_, mine).none());
    EXPECT_TRUE(pte(mm_, page(mine, 1)).none() && pte(mm_, page(mine, 2)).none());
    EXPECT_FALSE(pte(mm_, page(mine, 3)).none());
    EXPECT_TRUE(pte(other_, theirs).none() && pte(other_, page(theirs, 1)).none());
    EXPECT_FALSE(pte(other_, page(theirs, 2)).none());
    EXPECT_EQ(mm_.counters().file_pages, 2U);
    unmap_mapping_range(file_.mapping(), PgOff(3), 0, false);
    EXPECT_TRUE(pte(mm_, page(mine, 3)).none() && pte(other_, page(theirs, 2)).none());
  });
}

TEST_F(RmapTest, PunchKeepsPrivateCopiesAndTruncateDropsThem) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapPrivate);
    EXPECT_EQ(store(mm_, page(base, 1), 'P'), "ok");
    EXPECT_EQ(load(mm_, page(base, 2)), "c");
    file_.remove(1, 3, false);
    EXPECT_EQ(load(mm_, page(base, 1)), "P");
    EXPECT_EQ(load(mm_, page(base, 2)), std::string(1, '\0'));
    file_.truncate(1);
    EXPECT_EQ(load(mm_, page(base, 1)), "BUS_ADRERR");
    EXPECT_EQ(memory_.dram_in_use(), 0U);
    EXPECT_EQ(load(mm_, base), "a");
  });
}

TEST_F(RmapTest, ManyPrivateCopiesGoInBatches) {
  rt::run_for_test([&] {
    FakeFile big(memory_, 200, 200);
    const auto base = mm_.mmap({.length = 200 * kPageSize, .flags = kMapPrivate, .file = &big});
    EXPECT_TRUE(mm_.populate(*base, 200 * kPageSize, true).ok());
    EXPECT_EQ(memory_.dram_in_use(), 200U);
    unmap_mapping_range(big.mapping(), PgOff(0), 0, true);
    EXPECT_EQ(memory_.dram_in_use(), 0U);
    EXPECT_EQ(mm_.counters().anon_pages, 0U);
    EXPECT_TRUE(mm_.munmap(*base, 200 * kPageSize).ok());
  });
}

TEST_F(RmapTest, WriteProtectionMakesTheNextStoreFault) {
  rt::run_for_test([&] {
    const VirtAddr mine = map(mm_, kMapShared);
    const VirtAddr theirs = map(other_, kMapShared);
    const VirtAddr copy = map(other_, kMapPrivate);
    for (uint64_t n = 0; n < 3; ++n) {
      EXPECT_EQ(store(mm_, page(mine, n), 'w') + store(other_, page(theirs, n), 'w'), "okok");
    }
    EXPECT_EQ(store(other_, copy, 'c'), "ok");
    EXPECT_EQ(wrprotect_mapping_range(file_.mapping(), PgOff(0), 2), 4U);
    EXPECT_FALSE(pte(mm_, mine).write() || pte(mm_, mine).dirty());
    EXPECT_FALSE(pte(other_, page(theirs, 1)).write());
    EXPECT_TRUE(pte(mm_, page(mine, 2)).write());
    EXPECT_TRUE(pte(other_, copy).write());
    EXPECT_EQ(wrprotect_mapping_range(file_.mapping(), PgOff(0), 2), 0U);
    const int mkwrites_before = file_.mkwrites;
    EXPECT_EQ(store(mm_, mine, 'v'), "ok");
    EXPECT_EQ(file_.mkwrites, mkwrites_before + 1);
  });
}

TEST_F(RmapTest, NothingStaysMappedWhileAnotherProcessMovesItsMapping) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared, kProtRead | kProtWrite, 4);
    EXPECT_TRUE(mm_.populate(base, 4 * kPageSize, true).ok());
    const rt::TaskId mover = rt::spawn("mover", [&] {
      VirtAddr at = base;
      for (int n = 0; n < 4; ++n) {
        const VirtAddr to = VirtAddr(kPmdSize * static_cast<uint64_t>(n + 1));
        at = *mm_.mremap(at, 4 * kPageSize, 4 * kPageSize, kMremapMayMove | kMremapFixed, to);
      }
    });
    const rt::TaskId remover = rt::spawn("remover", [&] { file_.remove(0, 4, false); });
    rt::join(mover);
    rt::join(remover);
    EXPECT_EQ(mm_.counters().file_pages, 0U);
  });
}

#if defined(DAXFS_RT_FIBER)
// Switches to the other runnable task with some probability at every event: many interleavings of a
// few operations.
class RandomPolicy final : public rt::Policy {
 public:
  explicit RandomPolicy(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint64_t budget(const rt::SchedView&) override { return 1 + next() % 8; }
  rt::TaskId preempt(const rt::SchedView& view) override { return pick(view); }
  rt::TaskId choose(const rt::SchedView& view) override { return pick(view); }

 private:
  rt::TaskId pick(const rt::SchedView& view) { return view.runnable[next() % view.runnable.size()]; }
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ >> 11;
  }
  uint64_t state_;
};

TEST_F(RmapTest, NoInterleavingLeavesAPteOrAPinOfARemovedPage) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    RandomPolicy policy(seed);
    const rt::RunOutcome outcome = rt::run_lambda(
        [&] {
          const VirtAddr mine = map(mm_, kMapShared);
          const VirtAddr theirs = map(other_, kMapPrivate);
          rt::spawn("store", [&, mine] {
            for (uint64_t n = 0; n < 4; ++n) { store(mm_, page(mine, n), 's'); }
          });
          rt::spawn("copy", [&, theirs] {
            for (uint64_t n = 0; n < 4; ++n) { store(other_, page(theirs, n), 'p'); }
            other_.mprotect(theirs, kPageSize, kProtRead).ignore_error("checked by the audit");
            other_.mremap(theirs, 4 * kPageSize, 4 * kPageSize, kMremapMayMove | kMremapFixed, VirtAddr(kPmdSize))
                .ignore_error("checked by the audit");
          });
          rt::spawn("pin", [&, mine] {
            for (uint64_t n = 0; n < 4; ++n) {
              auto pin = pin_user_page(mm_, page(mine, n), true);
              if (pin.ok()) { pin->release(); }
            }
          });
          rt::spawn("remove", [&] {
            file_.remove(0, 4, false);
            wrprotect_mapping_range(file_.mapping(), PgOff(0), 0);
          });
          rt::join_all_spawned();
          mm_.check();
          other_.check();
          mm_.exit_mmap();
          other_.exit_mmap();
          file_.remove(0, 8, true);
        },
        policy);
    ASSERT_FALSE(outcome.finding.has_value()) << "seed " << seed << ": " << outcome.finding->title;
    ASSERT_EQ(memory_.dram_in_use(), 0U) << "seed " << seed;
    ASSERT_EQ(file_.refs, 0) << "seed " << seed;
    file_.rewind();
  }
}
#endif

}  // namespace
}  // namespace daxfs::mm
