// fuzz/report/collect_test.cc - what a report knows: gate, known bugs, state, marks in the program.
#include "fuzz/report/collect.h"

#include <gtest/gtest.h>

#include "fuzz/exec/honesty.h"
#include "fuzz/report/details.h"
#include "fuzz/report/environment.h"
#include "fuzz/report/testing.h"

namespace daxfuzz::report {
namespace {

constexpr const char* kLostRetry = "break-layouts-lost-retry";

class Collect : public testing::Test {
 protected:
  void SetUp() override {
    if (daxfs::historical_bugs().empty()) { GTEST_SKIP() << "no historical bugs compiled in"; }
  }
};

TEST_F(Collect, AReportNamesVerdictKeyTraceAndSite) {
  const Report report = report_of(kLostRetry);
  EXPECT_EQ(report.verdict, "WARNING");
  EXPECT_EQ(report.function, "dax::disassociate_entry");
  EXPECT_TRUE(report.site.starts_with("fs/dax/entry_owner.cc:")) << report.site;
  EXPECT_EQ(report.title, "WARNING in dax::disassociate_entry: " + report.message);
  EXPECT_EQ(report.key, report.explanation.key);
  EXPECT_EQ(report.trace, report.explanation.trace);
  EXPECT_EQ(report.replays, exec::kHonestReplays);
  EXPECT_EQ(report.invariant.tag, "O1");
  EXPECT_NE(report.invariant.text, "");
  ASSERT_EQ(report.bugs.size(), 1u);
  EXPECT_EQ(report.bugs[0].id, kLostRetry);
  EXPECT_EQ(bug_options(report), " --bug break-layouts-lost-retry");
}

TEST_F(Collect, TheStateOfWhatTheFindingIsAboutIsToldBeforeAndAfter) {
  const Report report = report_of(kLostRetry);
  bool refs = false;
  bool pte = false;
  for (const StateLine& line : report.states) {
    if (line.object != "page 1 of f0") { continue; }
    if (line.property == "refs") {
      refs = line.before == "1" && line.after == "2" && line.changed_by == "T0, get_user_pages_fast()";
    }
    if (line.property == "pte") {
      pte = line.before == "rw" && line.after == "none" && line.changed_by.starts_with("T1, ");
    }
    EXPECT_EQ(line.changed_by.empty(), line.before == line.after) << line.property;
  }
  EXPECT_TRUE(refs);
  EXPECT_TRUE(pte);
}

TEST_F(Collect, OfAMisusedLockTheStateIsWhoHoldsIt) {
  const Report report = report_of("recursive-i_data_sem-read/lookup");
  const auto line = std::find_if(report.states.begin(), report.states.end(),
                                 [](const StateLine& state) { return state.property == "holder"; });
  ASSERT_NE(line, report.states.end());
  EXPECT_EQ(line->object, "i_data_sem of g1");
  EXPECT_EQ(line->before, "nobody");
  EXPECT_EQ(line->after, "T0 shared");
  EXPECT_EQ(line->changed_by, "T0, iomap_dio_rw()");
}

TEST_F(Collect, OfARequestTheStateIsWhatItIsMarkedWith) {
  const Report report = report_of("end-io-in-interrupt-context/first-piece");
  const auto line = std::find_if(report.states.begin(), report.states.end(),
                                 [](const StateLine& state) { return state.property == "marks"; });
  ASSERT_NE(line, report.states.end());
  EXPECT_EQ(line->object, "request 2 of g1");
  EXPECT_EQ(line->before, "none");
  EXPECT_EQ(line->after, "convert");
}

TEST_F(Collect, ABugIsNamedByItsKeyUnlessItsSwitchIsOn) {
  const Report report = report_of(kLostRetry);
  EXPECT_TRUE(report.same_key.empty());
  EXPECT_TRUE(daxfs::get_historical().none()) << "switches are put back";
  const auto known = bugs_with_key(test_executor(), report.key);
  ASSERT_EQ(known.size(), 1u);
  EXPECT_EQ(known[0].id, kLostRetry);
}

TEST_F(Collect, AFindingWithoutSwitchesIsRecognisedByItsKey) {
  const std::string key = report_of("fault-vs-punch-unsynchronised").key;
  const auto known = bugs_with_key(test_executor(), key);
  ASSERT_EQ(known.size(), 1u);
  EXPECT_EQ(known[0].id, "fault-vs-punch-unsynchronised");
  EXPECT_TRUE(bugs_with_key(test_executor(), "0000000000000000").empty());
}

TEST_F(Collect, ACleanRunIsNoReportAndTheMissingSwitchIsFound) {
  Report report;
  std::string error;
  const prog::Program program = known_program(kLostRetry);
  EXPECT_EQ(collect(test_executor(), program, {}, &report, &error), Collected::kNoFinding);
  EXPECT_NE(error.find("it ran clean"), std::string::npos) << error;
  const auto bugs = bugs_that_fire(test_executor(), program);
  EXPECT_NE(std::find(bugs.begin(), bugs.end(), kLostRetry), bugs.end());
  EXPECT_TRUE(daxfs::get_historical().none());
}

TEST_F(Collect, WhatDoesNotReplayEveryTimeIsNoReport) {
  const WithBug on(kLostRetry);
  const daxfs::BugSet bugs = daxfs::get_historical();
  for (const unsigned changed : {0u, 7u, exec::kHonestReplays - 1}) {
    Report report;
    std::string error;
    CollectOptions options;
    options.before_replay = [&](unsigned i) { daxfs::set_historical(i == changed ? daxfs::BugSet() : bugs); };
    EXPECT_EQ(collect(test_executor(), known_program(kLostRetry), options, &report, &error), Collected::kDishonest);
    EXPECT_NE(error.find(std::to_string(changed) + " of 20"), std::string::npos) << error;
    daxfs::set_historical(bugs);
  }
}

TEST_F(Collect, StopsWhenAsked) {
  const WithBug on(kLostRetry);
  Report report;
  std::string error;
  CollectOptions options;
  options.stop = [] { return true; };
  EXPECT_EQ(collect(test_executor(), known_program(kLostRetry), options, &report, &error), Collected::kStopped);
}

TEST_F(Collect, PreemptedOperationsAreMarkedWithTheMoment) {
  const Report report = report_of(kLostRetry);
  std::vector<std::string> notes;
  for (const ListingLine& line : report.listing) {
    if (!line.note.empty()) { notes.push_back(line.text + " # " + line.note); }
  }
  ASSERT_EQ(notes.size(), 3u);
  EXPECT_EQ(notes[0], "  fallocate f0 punch|keep_size 0 8K # preempted (1)");
  EXPECT_NE(notes[1].find("-> S1 # (1) after: page 0 is busy (refs 2)"), std::string::npos) << notes[1];
  EXPECT_NE(notes[2].find("-> T1 # (2) after: put page 0"), std::string::npos) << notes[2];
}

class EveryReport : public testing::TestWithParam<std::string> {};

TEST_P(EveryReport, ItsListingParsesAsTheProgramInAnyWidth) {
  const Report report = report_of(GetParam());
  for (const size_t width : {20u, 50u, 78u, 120u}) {
    prog::Program parsed;
    std::string error;
    EXPECT_TRUE(prog::parse(listing_text(report, width), "listing", &parsed, &error)) << error;
    EXPECT_EQ(parsed, report.program) << listing_text(report, width);
  }
}

TEST_P(EveryReport, HasAStateAndSaysWhatChanged) {
  const Report report = report_of(GetParam());
  EXPECT_FALSE(report.states.empty());
  EXPECT_LE(report.states.size(), 60u);
  EXPECT_TRUE(std::any_of(report.states.begin(), report.states.end(),
                          [](const StateLine& line) { return line.before != line.after; }));
}

TEST_P(EveryReport, SaysNothingThatDependsOnTheBuild) {
  const Report report = report_of(GetParam());
  EXPECT_EQ(report.detail.find("../"), std::string::npos);
  EXPECT_EQ(report.detail.find("daxfuzz+0x"), std::string::npos);
  EXPECT_EQ(report.detail.find(" op 0 "), std::string::npos) << report.detail;
  EXPECT_EQ(report.detail.find("daxfs::"), std::string::npos) << report.detail;
  EXPECT_TRUE(report.site.starts_with("fs/") || report.site.starts_with("fuzz/")) << report.site;
}

INSTANTIATE_TEST_SUITE_P(Corpus, EveryReport, testing::ValuesIn(known_bugs()), test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EveryReport);

TEST(Report, DumpsOfTasksCountAsProgramsDoAndUseShortNames) {
  EXPECT_EQ(readable_detail("reported by T1 (T1) op 0 event 9, process context, runnable\n"
                            "    holds l [inode], taken at Status daxfs::ext4::f(Inode &) (../../fs/ext4/f.cc:7)\n",
                            false),
            "reported by T1 op 1 event 9\n    holds l [inode], taken at ext4::f() (fs/ext4/f.cc:7)\n");
  EXPECT_EQ(readable_detail("reported by root event 9, process context, runnable\n    holds x\n", false), "");
  EXPECT_EQ(
      readable_detail("T0 op 3 event 1\nroot event 4, waits\n    -> T0 (T0)\nreported by T0 op 3 event 1\n", true),
      "T0 op 4 event 1\n");
  EXPECT_EQ(readable_detail("inode 3: bad (at all)\n", false), "inode 3: bad (at all)\n");
}

TEST(Report, TextsBecomePrintable) {
  EXPECT_EQ(printable("a\x01\xff\tb\nc"), "a\\x01\\xff\\x09b\nc");
  EXPECT_EQ(site_path("../../fs/dax/x.cc"), "fs/dax/x.cc");
  EXPECT_EQ(site_path("fs/dax/x.cc"), "fs/dax/x.cc");
}

TEST(Report, EveryDeclaredInvariantHasATextAndUnknownTagsHaveNone) {
  EXPECT_GT(invariants().size(), 50u);
  for (const Invariant& invariant : invariants()) {
    EXPECT_FALSE(invariant.text.empty()) << invariant.tag;
    EXPECT_TRUE(invariant.declared.ends_with(".h")) << invariant.tag << ": " << invariant.declared;
  }
  EXPECT_EQ(invariant_of("O3").tag, "O3");
  EXPECT_NE(invariant_of("O3").text, "");
  EXPECT_EQ(invariant_of("NOSUCH").text, "");
}

TEST(Report, EnvironmentSaysWhatThisIs) {
  const Environment here = environment();
  EXPECT_TRUE(here.flavour.starts_with("fiber engine")) << here.flavour;
  EXPECT_EQ(here.revision.find("dirty"), std::string::npos);
  EXPECT_NE(here.compiler.find_first_of("0123456789"), std::string::npos);
  EXPECT_EQ(here.format, prog::kFormatVersion);
  EXPECT_EQ(here.bugs_compiled_in, daxfs::historical_bugs().size());
}

}  // namespace
}  // namespace daxfuzz::report
