#include "fuzz/exec/finding_key.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace daxfuzz::exec {
namespace {

TEST(FindingKey, ALivelockIsKeyedByItsCallsAndNotByWhereTheBudgetEnded) {
  daxfs::Finding finding;
  finding.verdict = daxfs::Verdict::kLivelock;
  finding.tag = "RT2";
  finding.function = "void daxfs::dax::acquire()";
  finding.during = "access+write";
  daxfs::Finding later = finding;
  later.function = "void daxfs::rt::unlock()";
  EXPECT_EQ(finding_key(later), finding_key(finding));
  later.during = "write";
  EXPECT_NE(finding_key(later), finding_key(finding));
}

TEST(FindingKey, HowTheObjectsCameToBeSoIsPartOfIt) {
  daxfs::Finding finding;
  finding.tag = "O1";
  const std::string plain = finding_key(finding);
  finding.about.how = "nobody had looked for pins";
  EXPECT_NE(finding_key(finding), plain);
}

TEST(FindingKey, FunctionsHaveOneNameWithEveryCompiler) {
  // One function as clang and as gcc spell it, each: plain, in an anonymous namespace, in a lambda, in a lambda
  // inside a lambda, in a template.
  const char* const spellings[][3] = {
      {"void daxfs::dax::f(mm::AddressSpace &, Entry)", "void daxfs::dax::f(daxfs::mm::AddressSpace&, Entry)",
       "dax::f"},
      {"Status daxfs::ext4::(anonymous namespace)::f(Inode &)",
       "daxfs::Status daxfs::ext4::{anonymous}::f(daxfs::ext4::Inode&)", "ext4::f"},
      {"auto daxfs::dax::f(int)::(anonymous class)::operator()() const", "daxfs::dax::f(int)::<lambda()>", "dax::f"},
      {"auto daxfs::dax::f(int)::(anonymous class)::operator()(mm::Page &, uint64_t) const::(anonymous class)"
       "::operator()() const",
       "daxfs::dax::f(int)::<lambda(daxfs::mm::Page&, uint64_t)>::<lambda()>", "dax::f"},
      {"Result<std::pair<int, long>> daxfs::lib::XArray<64>::g(long) [Fan = 64]",
       "daxfs::Result<std::pair<int, long int> > daxfs::lib::XArray<Fan>::g(long int) [with int Fan = 64]",
       "lib::XArray::g"},
  };
  for (const auto& [clang, gcc, plain] : spellings) {
    EXPECT_EQ(short_function(clang), plain);
    EXPECT_EQ(short_function(gcc), plain);
  }
}

TEST(FindingKey, TitlesKeepTheirShape) {
  EXPECT_EQ(title_shape("T1 op 2 (pread) got 0x41 at file offset 4096; only 0x00, 0x42 possible"),
            "got # at file offset #; only # possible");
  EXPECT_EQ(title_shape("P0 set-up op 12 (pwrite) returned -5 for 8192 bytes"), "returned -# for # bytes");
  EXPECT_EQ(title_shape("inode 12: extra_isize 255"), "inode #: extra_isize #");
  EXPECT_EQ(title_shape("\"d0/f1\" is missing"), "\"\" is missing");
  EXPECT_EQ(title_shape("open \"quote"), "open \"\"");
  EXPECT_EQ(title_shape(""), "");
}

TEST(FindingKey, WhatTheImageCheckerSaysIsPartOfIt) {
  const auto media = [](const char* title) {
    daxfs::Finding finding;
    finding.verdict = daxfs::Verdict::kCorruptMedia;
    finding.tag = "O15";
    finding.function = "check_image";
    finding.title = title;
    return finding_key(finding);
  };
  EXPECT_EQ(media("inode 12: i_blocks is 32, expected 8"), media("inode 7: i_blocks is 0, expected 16"));
  EXPECT_NE(media("inode 12: i_blocks is 32, expected 8"), media("inode 12: link count is 2, expected 1"));
}

}  // namespace
}  // namespace daxfuzz::exec
