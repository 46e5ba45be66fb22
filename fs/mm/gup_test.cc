// fs/mm/gup_test.cc - pinning user pages, and the two bugs it once had.
#include "fs/base/historical.h"
#include "fs/mm/test_support.h"

namespace daxfs::mm {
namespace {

class GupTest : public MmTest {
 protected:
  void TearDown() override {
    set_historical({});
    MmTest::TearDown();
  }
  static void enable(Bug bug) {
    BugSet bugs;
    bugs.set(static_cast<size_t>(bug));
    set_historical(bugs);
  }
  // "pfn" of the pin, which is released again, or the error's name.
  std::string pin(Mm& mm, VirtAddr addr, bool write) {
    auto result = pin_user_page(mm, addr, write);
    if (!result.ok()) { return errc_name(result.error()); }
    const std::string pfn = std::to_string(result->pfn().value());
    EXPECT_EQ(page_ref_count(result->page()),
              result->page().is_pmem() || result->page().is_zero_page() || !pte(mm, addr).none() ? 2 : 1);
    result->release();
    return pfn;
  }
};

TEST_F(GupTest, FaultsInWhatIsMissingAndThenWalksFast) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared);
    EXPECT_EQ(pin(mm_, base + 17, false), "100");
    EXPECT_EQ(file_.faults, 1);
    EXPECT_EQ(pin(mm_, base, false), "100");
    EXPECT_EQ(file_.faults, 1);
    EXPECT_EQ(pin(mm_, base, true), "100");
    EXPECT_EQ(file_.mkwrites, 1);
    EXPECT_TRUE(pte(mm_, base).write());
  });
}

TEST_F(GupTest, PinsZeroPagesForReadingAndCopiesForWriting) {
  rt::run_for_test([&] {
    const VirtAddr shared = map(mm_, kMapShared);
    const std::string zero = std::to_string(memory_.zero_pfn().value());
    EXPECT_EQ(pin(mm_, page(shared, 5), false), zero);
    EXPECT_NE(pin(mm_, page(shared, 5), true), zero);
    const VirtAddr copy = map(mm_, kMapPrivate);
    EXPECT_EQ(pin(mm_, copy, false), "100");
    EXPECT_EQ(pin(mm_, copy, true), std::to_string(memory_.zero_pfn().value() + 1));
    const VirtAddr anonymous = map_anonymous(mm_, 1);
    EXPECT_EQ(pin(mm_, anonymous, true), std::to_string(memory_.zero_pfn().value() + 2));
  });
}

TEST_F(GupTest, FailsWhereTheProgramCouldNotAccess) {
  rt::run_for_test([&] {
    const VirtAddr read_only = map(mm_, kMapShared, kProtRead, kFilePages + 1);
    EXPECT_EQ(pin(mm_, read_only, true), "EFAULT");
    EXPECT_EQ(load(mm_, read_only), "a");
    EXPECT_EQ(pin(mm_, read_only, true), "EFAULT");
    EXPECT_EQ(pin(mm_, page(read_only, kFilePages), false), "EFAULT");  // beyond EOF
    EXPECT_EQ(pin(mm_, VirtAddr(0), false), "EFAULT");
    EXPECT_EQ(pin(mm_, kTaskSize, false), "EFAULT");
    EXPECT_TRUE(mm_.mprotect(read_only, kPageSize, kProtNone).ok());
    EXPECT_EQ(pin(mm_, read_only, false), "EFAULT");
  });
}

TEST_F(GupTest, APinOutlivesTheMapping) {
  rt::run_for_test([&] {
    const VirtAddr base = map_anonymous(mm_, 1);
    EXPECT_EQ(store(mm_, base, 'x'), "ok");
    auto pinned = pin_user_page(mm_, base, true);
    ASSERT_TRUE(pinned.ok());
    EXPECT_TRUE(mm_.munmap(base, kPageSize).ok());
    EXPECT_EQ(memory_.dram_in_use(), 1U);
    std::byte byte{};
    EXPECT_TRUE(memory_.read(pinned->pfn(), 0, {&byte, 1}).ok());
    EXPECT_EQ(byte, std::byte{'x'});
    pinned->release();
    EXPECT_EQ(memory_.dram_in_use(), 0U);
  });
}

// What break_layouts relies on: after unmapping, a frame seen idle stays idle, and a pin is of a
// frame that is owned.
TEST_F(GupTest, ARemoverThatWaitsNeverMeetsAPin) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared);
    for (int task = 0; task < 2; ++task) {
      rt::spawn("pin", [&, base] {
        for (uint64_t n = 0; n < 400; ++n) {
          auto result = pin_user_page(mm_, page(base, n % 4), true);
          ASSERT_TRUE(result.ok());
          EXPECT_TRUE(result->still_owned());
          rt::yield();
          EXPECT_TRUE(result->still_owned());
          result->release();
        }
      });
    }
    rt::spawn("remove", [&] {
      for (uint64_t n = 0; n < 60; ++n) { file_.remove_when_idle(n % 4, n % 4 + 1); }
    });
    rt::join_all_spawned();
    EXPECT_EQ(file_.busy_at_removal, 0);
  });
}

#if defined(DAXFS_HISTORICAL_BUGS)
TEST_F(GupTest, WithTheOldBugAReadOnlyDevicePageCanBePinnedForWriting) {
  rt::run_for_test([&] {
    const VirtAddr base = map(mm_, kMapShared, kProtRead);
    EXPECT_EQ(load(mm_, base), "a");
    enable(Bug::kGupIgnoresWrite);
    EXPECT_EQ(pin(mm_, base, true), "100");
    set_historical({});
    EXPECT_EQ(pin(mm_, base, true), "EFAULT");
  });
}
#endif

#if defined(DAXFS_RT_FIBER) && defined(DAXFS_HISTORICAL_BUGS)

// The bug is a race on this word, which ThreadSanitizer would name.
FS_NO_TSAN bool has_mapping(const Page& frame) { return frame.mapping != nullptr; }

// Interleaving of A01: GUP reads the PTE | the remover unmaps, finds the frame idle, removes it |
// GUP takes the count. Wrong: a pin of a frame that the file no longer owns. Right: the second read
// notices, and the slow path faults.
TEST_F(GupTest, OnlyRevalidationNoticesAnUnmapBeforeTheTake) {
  for (const bool bug : {true, false}) {
    if (bug) { enable(Bug::kDioPinNoRevalidate); }
    SwitchAtFirstRef policy;
    std::string pinned;
    bool owned = false;
    const rt::RunOutcome outcome = rt::run_lambda(
        [&] {
          const VirtAddr base = map(mm_, kMapShared);
          EXPECT_EQ(load(mm_, base), "a");
          rt::spawn("pin", [&, base] {
            auto result = pin_user_page(mm_, base, false);
            ASSERT_TRUE(result.ok());
            pinned = std::to_string(result->pfn().value());
            owned = has_mapping(result->page());
            result->release();
          });
          rt::spawn("remove", [&] { file_.remove(0, 1, false); });
          rt::join_all_spawned();
          mm_.exit_mmap();
        },
        policy);
    ASSERT_FALSE(outcome.finding.has_value()) << outcome.finding->title;
    EXPECT_EQ(file_.busy_at_removal, 0);
    if (bug) {
      EXPECT_EQ(pinned, "100");
      EXPECT_FALSE(owned);
    } else {
      EXPECT_EQ(pinned, std::to_string(memory_.zero_pfn().value()));  // a hole by now
    }
    set_historical({});
    file_.rewind();
  }
}
#endif

}  // namespace
}  // namespace daxfs::mm
