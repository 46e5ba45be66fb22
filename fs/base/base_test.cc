#include <random>

#include <gnu/libc-version.h>
#include <gtest/gtest.h>

#include "fs/base/compiler.h"
#include "fs/base/crc32c.h"
#include "fs/base/flags.h"
#include "fs/base/historical.h"
#include "fs/base/report.h"
#include "fs/base/result.h"
#include "fs/base/scope_guard.h"
#include "fs/base/symbols.h"
#include "fs/base/text.h"
#include "fs/base/types.h"

namespace daxfs {
namespace {

TEST(Crc32c, MatchesThePublishedCheckValue) { EXPECT_EQ(crc32c(0xffffffff, "123456789", 9), ~0xe3069283u); }

TEST(Crc32c, SplitsAnywhere) {
  std::mt19937 random(1);
  std::vector<uint8_t> bytes(5000);
  for (auto& b : bytes) { b = static_cast<uint8_t>(random()); }
  // A bit-at-a-time reference that shares no table with the subject.
  auto reference = [&](uint32_t crc, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      crc ^= bytes[i];
      for (int bit = 0; bit < 8; ++bit) { crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0); }
    }
    return crc;
  };
  for (size_t size : {0u, 1u, 7u, 255u, 767u, 768u, 769u, 4096u, 5000u}) {
    EXPECT_EQ(crc32c(0xffffffff, bytes.data(), size), reference(0xffffffff, size)) << size;
    const size_t cut = size / 3;
    EXPECT_EQ(crc32c(crc32c(7, bytes.data(), cut), bytes.data() + cut, size - cut), reference(7, size));
  }
}

struct Caught {
  std::vector<Finding> findings;
  FindingHandler previous = nullptr;
  void* previous_context = nullptr;
  Caught() {
    set_finding_handler([](void* self, Finding&& f) { static_cast<Caught*>(self)->findings.push_back(std::move(f)); },
                        this, &previous, &previous_context);
  }
  ~Caught() { set_finding_handler(previous, previous_context); }
};

TEST(Text, FormatsLikePrintfAndCutsNothing) {
  EXPECT_EQ(format("%d %s", 7, "a"), "7 a");
  EXPECT_EQ(format("%1000d", 7), std::string(999, ' ') + "7");
}

TEST(Report, WarnRecordsTagTitleAndPlace) {
  Caught caught;
  EXPECT_FALSE(FS_WARN_ON(false, "XX1", "never"));
  EXPECT_TRUE(FS_WARN_ON(true, "XX1", "count %d, expected %d", 2, 1));
  ASSERT_EQ(caught.findings.size(), 1u);
  EXPECT_EQ(caught.findings[0].verdict, Verdict::kWarn);
  EXPECT_EQ(caught.findings[0].tag, "XX1");
  EXPECT_EQ(caught.findings[0].title, "count 2, expected 1");
  EXPECT_STREQ(caught.findings[0].file, "fs/base/base_test.cc");
}

TEST(ReportDeathTest, BugAbortsEvenIfTheHandlerReturns) {
  EXPECT_DEATH(
      {
        Caught caught;
        FS_BUG_ON(1 + 1 == 2, "XX2", "arithmetic holds");
      },
      "");
}

TEST(Report, CorruptionIsAnErrorAndIsRemembered) {
  take_corruption_messages();
  EXPECT_EQ(FS_CORRUPT("inode %u: extent depth %d", 12u, 9), Errc::kCorrupted);
  const auto messages = take_corruption_messages();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0], "inode 12: extent depth 9");
}

Result<int> half(int v) { return v % 2 == 0 ? Result<int>(v / 2) : Result<int>(Errc::kInval); }
Result<int> quarter(int v) {
  FS_ASSIGN_OR_RETURN(const int h, half(v));
  return half(h);
}

TEST(Result, ErrorsTravelAndValuesArrive) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error(), Errc::kInval);
  EXPECT_EQ(quarter(3).error(), Errc::kInval);
  EXPECT_STREQ(errc_name(Errc::kNoSpc), "ENOSPC");
}

TEST(ScopeGuard, RunsUnlessDismissed) {
  int runs = 0;
  {
    ScopeGuard guard([&] { ++runs; });
  }
  {
    ScopeGuard guard([&] { ++runs; });
    guard.dismiss();
  }
  EXPECT_EQ(runs, 1);
}

#if defined(DAXFS_HISTORICAL_BUGS)
TEST(Historical, ANameSelectsItsVariantsAndAnUnknownIdNone) {
  BugSet bugs;
  EXPECT_EQ(select_historical("no-break-layouts-at-all", &bugs), 5u);
  EXPECT_EQ(bugs.count(), 5u);
  EXPECT_EQ(select_historical("break-layouts-lost-retry", &bugs), 1u);
  EXPECT_EQ(select_historical("no-such-bug", &bugs), 0u);
  set_historical(bugs);
  EXPECT_TRUE(historical(Bug::kNoBreakLayoutsPunch));
  EXPECT_FALSE(historical(Bug::kGupIgnoresWrite));
  set_historical({});
}
#endif

int known_by_name() { return 1; }

// With a sanitizer's symbolizer any function has one, else those that are exported.
TEST(Symbols, AFunctionHasItsNameAndOtherAddressesAPlaceOrNothing) {
  const bool symbolizer = DAXFS_SANITIZED != 0;
  void* const known =
      symbolizer ? reinterpret_cast<void*>(&known_by_name) : reinterpret_cast<void*>(&gnu_get_libc_version);
  const std::string name = symbolizer ? "known_by_name" : "gnu_get_libc_version";
  ASSERT_FALSE(functions_at(known).empty());
  EXPECT_NE(functions_at(known).front().find(name), std::string::npos) << functions_at(known).front();
  EXPECT_NE(describe_code(known).find(name), std::string::npos) << describe_code(known);
  EXPECT_FALSE(describe_code(nullptr).empty());
}

// O21.
TEST(Flags, OverlappingOnesDoNotCompileWhereTheyAreAsserted) {
  static_assert(distinct_bits({1, 2, 4}));
  static_assert(!distinct_bits({0x0100, 0x0200, 0x0300}));
  static_assert(!distinct_bits({1, 2, 1}));
  static_assert(!distinct_bits({0}));
}

}  // namespace
}  // namespace daxfs
