#include "fuzz/tools/finding_file.h"

#include <gtest/gtest.h>

namespace daxfuzz::tools {
namespace {

TEST(FindingFile, WhatIsWrittenIsReadBack) {
  daxfs::Finding finding;
  finding.verdict = daxfs::Verdict::kWarn;
  finding.tag = "O1";
  finding.title = "a key=value in the title";
  finding.function = "void daxfs::dax::f()";
  daxfs::BugSet bugs;
  daxfs::select_historical("no-break-layouts-at-all", &bugs);
  const std::string text = "daxfuzz program 1\n" + finding_note(finding, 0x12ab, "a b/c.txt", bugs) + "process P0\n";
  const auto note = read_finding_note(text);
  ASSERT_TRUE(note);
  EXPECT_EQ(note->key.size(), 16u);
  EXPECT_EQ(note->trace, "00000000000012ab");
  EXPECT_EQ(note->bugs.size(), bugs.count());
  EXPECT_EQ(note->headline.substr(0, 8), "WARNING ");
}

TEST(FindingFile, AProgramWithoutTheLineSaysNothing) {
  EXPECT_FALSE(read_finding_note("daxfuzz program 1\n# replay: daxfuzz run x --bug y\nprocess P0\n"));
  EXPECT_FALSE(read_finding_note(""));
}

}  // namespace
}  // namespace daxfuzz::tools
