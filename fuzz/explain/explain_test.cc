// fuzz/explain/explain_test.cc - diagrams of the bug programs: columns, order of the steps that matter, size, what
// happens without each preemption. Also writes BUILD/bug_diagrams.txt, which must be equal in every flavour
// (ci/compare_traces.py).
#include "fuzz/explain/explain.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::explain {
namespace {

using Kind = Row::Kind;

exec::Executor& executor() {
  static exec::Executor& instance = *new exec::Executor;
  return instance;
}

prog::Program load(const std::string& bug) {
  std::ifstream in("corpus/bugs/" + bug + "/program.txt");
  std::stringstream text;
  text << in.rdbuf();
  prog::Program program;
  std::string error;
  EXPECT_TRUE(prog::parse(text.str(), bug, &program, &error)) << error;
  return program;
}

Explanation explain_bug(const std::string& bug, Options options = {}) {
  daxfs::BugSet bugs;
  daxfs::select_historical(bug, &bugs);
  daxfs::set_historical(bugs);
  Explanation explanation;
  std::string error;
  EXPECT_TRUE(explain(executor(), load(bug), options, &explanation, &error)) << error;
  daxfs::set_historical({});
  return explanation;
}

std::vector<std::string> columns(const Explanation& explanation) {
  std::vector<std::string> names;
  for (const Column& column : explanation.columns) { names.push_back(column.name); }
  return names;
}

// Each of `wanted` ("T1: page 0 is busy") is a row, in this order; others may lie between.
void expect_in_order(const Explanation& explanation, const std::vector<std::string>& wanted) {
  size_t next = 0;
  for (const Row& row : explanation.rows) {
    if (next == wanted.size()) { break; }
    const std::string who = row.column < 0 ? "all" : explanation.columns[static_cast<size_t>(row.column)].name;
    const std::string text = who + ": " + row.text + (row.state.empty() ? "" : " | " + row.state);
    if (text.find(wanted[next]) != std::string::npos) { ++next; }
  }
  EXPECT_EQ(next, wanted.size()) << "not found in this order: " << wanted[std::min(next, wanted.size() - 1)] << "\n"
                                 << to_text(explanation);
}

class Bugs : public testing::Test {
 protected:
  void SetUp() override {
    if (daxfs::historical_bugs().empty()) { GTEST_SKIP() << "no historical bugs compiled in"; }
  }
};

TEST_F(Bugs, A02IsDrawnAsInItsThread) {
  const Explanation e = explain_bug("break-layouts-lost-retry");
  EXPECT_EQ(columns(e), (std::vector<std::string>{"T0", "T1", "S1 irq"}));
  expect_in_order(e, {"T0: pread", "T0: get_user_pages_fast(pages 0-1)", "T0: get pages 0-1 | refs 1 -> 2",
                      "T1: ext4_punch_hole()", "T1: ext4_break_layouts()", "T1: dax_layout_busy_page()",
                      "T1: page 0 is busy | refs 2", "S1 irq: put page 0 | refs 2 -> 1", "T1: wait_var_event(page 0)",
                      "T1: page 0 is idle | refs 1", "T1: truncate_pagecache_range()",
                      "T1: ... dax_disassociate_entry(page 1)", "T1: page 1 is busy | refs 2", "T1: WARNING O1"});
  EXPECT_LE(e.rows.size(), 30u);
  // Both preemptions are needed, and it is this bug.
  ASSERT_EQ(e.counterfactuals.size(), 3u);
  for (const Counterfactual& c : e.counterfactuals) { EXPECT_TRUE(c.passes) << c.change << ": " << c.verdict; }
}

TEST_F(Bugs, A01IsDrawnAsInItsThread) {
  const Explanation e = explain_bug("dio-pin-after-break-layouts/no-unmap");
  EXPECT_EQ(columns(e), (std::vector<std::string>{"T0", "T1"}));
  expect_in_order(
      e, {"T0: ext4_punch_hole()", "T0: ext4_break_layouts()", "T0: page 0 is idle | refs 1",
          "T1: ... get_user_pages_fast(page 0)", "T1: get page 0 | refs 1 -> 2", "T0: truncate_pagecache_range()",
          "T0: ... dax_disassociate_entry(page 0)", "T0: page 0 is busy | refs 2", "T0: WARNING O1"});
  EXPECT_LE(e.rows.size(), 25u);
}

TEST_F(Bugs, ADeadlockShowsWhoHoldsWhatTheOtherWaitsFor) {
  const Explanation e = explain_bug("break-layouts-wait-keeps-mmap-sem/keep");
  expect_in_order(e, {"T0: get page 0 | refs 1 -> 2", "T0: waits for invalidate_lock", "T1: page 0 is busy",
                      "T1: sleeps: page idle", "all: deadlock RT1"});
}

TEST_F(Bugs, AWriteOverWhatWasNeverSeenIsToldSo) {
  const Explanation e = explain_bug("fault-without-entry-lock");
  expect_in_order(e, {"T1: no entry for page 0", "T0: inserts entry of page 0",
                      "T1: inserts entry of page 0 again | entry block, saw none", "all: at rest: WARNING O3"});
}

TEST_F(Bugs, OneTaskAndAnInterruptNeedNoPreemption) {
  const Explanation e = explain_bug("gup-fast-ignores-write-permission");
  expect_in_order(e, {"T0: maps page 0 | pte none -> ro", "T0: get_user_pages_fast(page 0)",
                      "T0: page 0 is mapped | pte ro", "T0: get page 0", "all: at rest: wrong-result O9"});
}

TEST_F(Bugs, ALostByteIsFollowedBackToWhoZeroedIt) {
  const Explanation e = explain_bug("double-zero-on-simultaneous-write-faults");
  expect_in_order(e, {"T0: page 0 is a hole", "T1: allocates block of page 0", "T1: maps page 0",
                      "T1: stores to page 0 | byte 8 0xdb -> 0x42", "T0: page 0 has a block",
                      "T0: zeroes page 0 | byte 8 0x42 -> 0x00", "all: at rest: wrong-result O9"});
}

TEST_F(Bugs, InterruptsOfTheSetUpHaveNoColumn) {
  const Explanation e = explain_bug("reclaim-strips-buffers-under-gup");
  EXPECT_EQ(columns(e), (std::vector<std::string>{"T0", "T1", "S1 irq", "S2 irq"}));
  expect_in_order(e, {"T0: dirties page 0", "T0: get page 0", "T1: cleans page 0", "S2 irq: put page 0",
                      "T1: drops the buffer of page 0 | buffer mapped -> none", "S1 irq: page 0 has no buffer",
                      "S1 irq: WARNING O20"});
}

TEST_F(Bugs, WhatIsCachedOfAnExtentIsDrawnOfOneTaskAlone) {
  const Explanation e = explain_bug("es-not-dropped-on-failed-split");
  expect_in_order(e, {"T0: caches block of pages 6-13 | cached none -> unwritten",
                      "T0: converts block of pages 6-13 | block unwritten -> written", "all: at rest: WARNING O18"});
}

TEST_F(Bugs, ARequestThatNobodyMarksIsFollowedToWhoTookItsPointer) {
  const Explanation e = explain_bug("inode-io-end-pointer-clobber");
  expect_in_order(e, {"T1: page 2 has a block | block unwritten", "T1: inode points to its request | request 2 -> 3",
                      "T0: inode forgets its request | request 3 -> none, saw 2", "T1: inode points to no request",
                      "S1 irq: stores to page 2", "all: at rest: wrong-result O9"});
}

TEST_F(Bugs, WhoDoesNotWaitLongEnoughIsShownWhatItWaitedFor) {
  const Explanation e = explain_bug("dio-read-before-unwritten-conversion");
  expect_in_order(e, {"T0: starts writeback of page 0", "T0: folio_wait_writeback(page 0)",
                      "S1 irq: ends writeback of page 0 | writeback yes -> no", "T0: page 0 is not being written",
                      "S32 worker: converts block of page 0", "all: at rest: wrong-result O9"});
}

TEST_F(Bugs, BytesInTheCacheAndOnTheMediumAreTwoThings) {
  const Explanation e = explain_bug("writeback-writeprotects-under-gup");
  expect_in_order(e, {"T0: get page 0", "T1: write-protects page 0 | pte rw -> ro", "T1: cleans page 0",
                      "S2 irq: loads from page 0 in the cache | cached byte 0 0x41",
                      "S1 irq: stores to page 0 in the cache | cached byte 0 0x41 -> 0x42"});
}

TEST_F(Bugs, TheSizeOnTheMediumIsFollowedBesideTheSizeInMemory) {
  const Explanation e = explain_bug("lost-truncate-vs-writeback");
  EXPECT_EQ(columns(e), (std::vector<std::string>{"T0", "T1"}));
  expect_in_order(e, {"T0: reads the size on disk | disk size 0", "T1: sets the size on disk | disk size 0 -> 8K",
                      "T0: sets the size on disk | disk size 8K -> 4K, saw 0"});
}

TEST_F(Bugs, MisuseOfALockShowsHowTheTaskHoldsIt) {
  const Explanation e = explain_bug("recursive-i_data_sem-read/lookup");
  expect_in_order(e, {"T0: locks i_data_sem shared", "T0: lock-misuse LD2"});
}

// What every diagram owes its reader, whatever the bug.
class EveryBug : public testing::TestWithParam<std::string> {};

TEST_P(EveryBug, HasADiagramThatOneTakesInAtAGlance) {
  const Explanation e = explain_bug(GetParam());
  ASSERT_TRUE(e.finding);
  EXPECT_LE(e.rows.size(), 36u) << to_text(e);
  EXPECT_GE(e.rows.size(), 3u) << to_text(e);  // an operation, what it does, what was noticed
  EXPECT_EQ(e.rows_left_out, 0u);
  EXPECT_EQ(e.rows.back().kind, Kind::kFinding);
  EXPECT_LE(e.columns.size(), 4u);
  for (size_t i = 0; i < e.columns.size(); ++i) {
    const bool acts =
        std::any_of(e.rows.begin(), e.rows.end(), [&](const Row& row) { return row.column == static_cast<int>(i); });
    EXPECT_TRUE(acts) << "column " << e.columns[i].name << " is empty";
  }
}

TEST_P(EveryBug, HasAnArrowForEachPreemptionAndEachIsNeeded) {
  const Explanation e = explain_bug(GetParam());
  const prog::Program program = load(GetParam());
  const auto arrows =
      std::count_if(e.rows.begin(), e.rows.end(), [](const Row& row) { return row.kind == Kind::kSwitch; });
  EXPECT_EQ(static_cast<size_t>(arrows), program.schedule.size()) << to_text(e);
  ASSERT_EQ(e.counterfactuals.size(), program.schedule.size() + 1);
  for (const Counterfactual& c : e.counterfactuals) { EXPECT_FALSE(c.same) << c.change; }
  EXPECT_TRUE(e.counterfactuals.back().passes) << "without the bug it fails: " << e.counterfactuals.back().verdict;
}

TEST_P(EveryBug, NestsCallsWithoutJumps) {
  const Explanation e = explain_bug(GetParam());
  std::vector<int> depth(e.columns.size(), -1);
  for (const Row& row : e.rows) {
    if (row.column < 0 || row.kind == Kind::kSwitch || row.kind == Kind::kFinding) { continue; }
    int& at = depth[static_cast<size_t>(row.column)];
    EXPECT_LE(row.depth, at + 1) << row.text << "\n" << to_text(e);
    const bool opens = row.kind == Kind::kCall || row.kind == Kind::kOp;
    at = opens ? row.depth : row.depth - 1;
  }
}

TEST_P(EveryBug, IsTheSameTextEveryTime) {
  EXPECT_EQ(to_text(explain_bug(GetParam())), to_text(explain_bug(GetParam())));
}

TEST_P(EveryBug, FitsItsWidth) {
  const Explanation e = explain_bug(GetParam());
  for (const size_t width : {72u, 80u, 100u, 140u}) {
    std::istringstream lines(to_text(e, width));
    for (std::string line; std::getline(lines, line);) {
      if (line.compare(0, e.title.size(), e.title) != 0) { EXPECT_LE(line.size(), width) << line; }
      EXPECT_TRUE(line.empty() || line.back() != ' ') << line;
    }
  }
}

TEST_P(EveryBug, SaysNothingThatDependsOnTheBuild) {
  const std::string text = to_text(explain_bug(GetParam()));
  EXPECT_EQ(text.find("0x7"), std::string::npos);
  EXPECT_EQ(text.find(".cc"), std::string::npos);
}

TEST_P(EveryBug, KeepsTheTraceHashOfAPlainRun) {
  daxfs::BugSet bugs;
  daxfs::select_historical(GetParam(), &bugs);
  daxfs::set_historical(bugs);
  exec::Outcome outcome;
  const prog::Program program = load(GetParam());
  executor().run(program, {}, &outcome);
  daxfs::set_historical({});
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(outcome.trace_hash));
  EXPECT_EQ(explain_bug(GetParam()).trace, digits);
}

std::vector<std::string> all_bugs() {
  std::vector<std::string> ids;
  for (const auto& info : daxfs::historical_bugs()) {
    if (std::filesystem::exists("corpus/bugs/" + std::string(info.id) + "/program.txt")) { ids.emplace_back(info.id); }
  }
  return ids;
}

INSTANTIATE_TEST_SUITE_P(Corpus, EveryBug, testing::ValuesIn(all_bugs()), [](const auto& bug) {
  std::string name = bug.param;
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EveryBug);

TEST(Explain, OfACleanProgramHasNoFindingAndNoCounterfactuals) {
  Explanation e;
  std::string error;
  ASSERT_TRUE(explain(executor(), load("no-break-layouts-at-all/punch"), {}, &e, &error)) << error;
  EXPECT_FALSE(e.finding);
  EXPECT_TRUE(e.counterfactuals.empty());
}

TEST(Explain, SaysWhyAProgramCannotRun) {
  prog::Program program = load("no-break-layouts-at-all/punch");
  program.mount = "dax=perhaps";
  Explanation e;
  std::string error;
  EXPECT_FALSE(explain(executor(), program, {}, &e, &error));
  EXPECT_NE(error.find("mount"), std::string::npos) << error;
}

TEST_F(Bugs, ShorterDiagramsLoseWhatIsFurthestFromTheFinding) {
  Options options;
  options.rows_max = 20;
  const Explanation e = explain_bug("break-layouts-lost-retry", options);
  EXPECT_GT(e.rows_left_out, 0u);
  expect_in_order(e, {"T0: get page", "T1: page 1 is busy | refs 2", "T1: WARNING O1"});
}

TEST_F(Bugs, APolicysRunIsExplainedAsItsSchedule) {
  sched::RandomWalk walk(1, 10);
  Options options;
  options.run.policy = &walk;
  const Explanation e = explain_bug("no-break-layouts-at-all/punch", options);
  EXPECT_TRUE(e.finding);
}

TEST_F(Bugs, DiagramsAreWrittenForOtherFlavours) {
  std::ofstream out(DAXFUZZ_BUILD_DIR "/bug_diagrams.txt");
  for (const std::string& id : all_bugs()) { out << "=== " << id << "\n" << to_text(explain_bug(id)); }
  ASSERT_TRUE(out.good());
}

}  // namespace
}  // namespace daxfuzz::explain
