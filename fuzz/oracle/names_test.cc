// fuzz/oracle/names_test.cc - the model of the tree of names: what it objects to, and where it must be silent.
#include "fuzz/oracle/names.h"

#include <gtest/gtest.h>

#include "fuzz/oracle/story.h"
#include "fuzz/prog/names.h"

namespace daxfuzz::oracle {
namespace {

using testing::Errc;
using testing::OpCode;

// f0 and d0/f0 are one file (inode 12); d1 is empty; l0 points to d0.
const std::vector<TreeName> kStart = {
    {"/", NameKind::kDirectory, 2, 0, 4, {}},    {"/d0", NameKind::kDirectory, 20, 0, 2, {}},
    {"/d1", NameKind::kDirectory, 21, 0, 2, {}}, {"/f0", NameKind::kFile, 12, 100, 2, {}},
    {"/d0/f0", NameKind::kFile, 12, 100, 2, {}}, {"/l0", NameKind::kSymlink, 30, 0, 1, "d0"},
};

class Names : public testing::Story {
 public:
  Names() { history().start_names = kStart; }
  Names& call(OpCode code, const char* path, Errc error = Errc::kOk, const char* path2 = "f0", uint32_t flags = 0) {
    add({.code = code, .path = row(path), .path2 = row(path2), .flags = flags}, 0, error);
    return *this;
  }
  Names& opens(const char* path, uint32_t flags, uint32_t ino, uint32_t generation, Errc error = Errc::kOk) {
    add({.code = OpCode::kOpen, .path = row(path), .flags = flags}, next_fd_++, error);
    if (error == Errc::kOk) {
      last().ino = ino;
      last().generation = generation;
    }
    return *this;
  }
  Names& stats(const char* path, uint32_t ino, uint32_t generation, uint64_t links) {
    call(OpCode::kStat, path);
    last().ino = ino;
    last().generation = generation;
    const uint64_t attributes[4] = {0100644, links, 0, 0};
    std::vector<uint8_t> bytes(sizeof(attributes));
    std::memcpy(bytes.data(), attributes, sizeof(attributes));
    last().data = keep(std::move(bytes));
    return *this;
  }
  Names& lists(const char* path, uint32_t ino, const std::string& names) {
    opens(path, prog::kORdOnly | prog::kODirectory, ino, 0);
    add({.code = OpCode::kGetdents}, 0);
    last().fd = next_fd_ - 1;
    last().ino = ino;
    last().data = keep(std::vector<uint8_t>(names.begin(), names.end()));
    return *this;
  }

 private:
  static uint8_t row(const char* path) {
    const int at = prog::find_path(path);
    EXPECT_GE(at, 0) << path;
    return static_cast<uint8_t>(at);
  }
  int next_fd_ = 0;
};

constexpr uint32_t kMake = prog::kORdWr | prog::kOCreat;

TEST(JudgeNames, WhatIsOpenedIsOfTheRightKind) {
  EXPECT_EQ(Names().opens("d1", prog::kORdOnly, 21, 0).said(), "");
  EXPECT_EQ(Names().opens("d1", prog::kORdOnly | prog::kODirectory, 21, 0).said(), "");
  EXPECT_NE(Names().opens("f0", prog::kORdOnly | prog::kODirectory, 12, 100).said(), "");
  for (const uint32_t flags : {prog::kOWrOnly, prog::kORdWr, kMake, prog::kOTrunc, prog::kODirect}) {
    EXPECT_NE(Names().opens("d1", flags, 21, 0).said(), "") << flags;
    EXPECT_EQ(Names().opens("d1", flags | prog::kOPath, 21, 0).said(), "") << flags;
  }
  EXPECT_NE(Names().opens("l0", prog::kORdOnly | prog::kONoFollow, 30, 0).said(), "");
  EXPECT_EQ(Names().opens("l0", prog::kORdOnly | prog::kONoFollow | prog::kOPath, 30, 0).said(), "");
  EXPECT_EQ(Names().call(OpCode::kTruncate, "f0").said(), "");
  EXPECT_NE(Names().call(OpCode::kTruncate, "d1").said(), "");
}

TEST(JudgeNames, BehindASlashAreDirectories) {
  EXPECT_EQ(Names().opens("d0/", prog::kORdOnly, 20, 0).said(), "");
  EXPECT_NE(Names().opens("f0/", prog::kORdOnly, 12, 100).said(), "");
  EXPECT_NE(Names().opens("d0/", kMake, 20, 0).said(), "");
  EXPECT_NE(Names().call(OpCode::kTruncate, "f0/").said(), "");
  EXPECT_NE(Names().call(OpCode::kUnlink, "f0/").said(), "");
  EXPECT_NE(Names().call(OpCode::kLink, "f0/", Errc::kOk, "f1").said(), "");
  EXPECT_NE(Names().call(OpCode::kLink, "f0", Errc::kOk, "d0/").said(), "");
  EXPECT_NE(Names().call(OpCode::kSymlink, "f0", Errc::kOk, "d0/").said(), "");
  EXPECT_EQ(Names().call(OpCode::kRename, "d0/", Errc::kOk, "d1").said(), "");
  EXPECT_NE(Names().call(OpCode::kRename, "f0/", Errc::kOk, "f1").said(), "");
  EXPECT_NE(Names().call(OpCode::kRename, "f0", Errc::kOk, "d0/").said(), "");
  EXPECT_NE(Names().call(OpCode::kRename, "d1", Errc::kOk, "f0/", prog::kRenameExchange).said(), "");
}

TEST(JudgeNames, ExistenceMustFitEachCall) {
  EXPECT_EQ(Names().opens("f0", prog::kORdWr, 12, 100).said(), "");
  EXPECT_EQ(Names().opens("l0/f0", prog::kORdWr, 12, 100).said(), "");
  EXPECT_NE(Names().opens("f0", prog::kORdWr, 13, 100).said(), "") << "another inode";
  EXPECT_NE(Names().opens("f1", prog::kORdWr, 13, 100).said(), "");
  EXPECT_EQ(Names().opens("f1", prog::kORdWr, 0, 0, Errc::kNoEnt).said(), "");
  EXPECT_NE(Names().opens("f0", prog::kORdWr, 0, 0, Errc::kNoEnt).said(), "");
  EXPECT_NE(Names().opens("f0", kMake | prog::kOExcl, 12, 100).said(), "");
  EXPECT_EQ(Names().opens("f0", kMake | prog::kOExcl, 0, 0, Errc::kExist).said(), "");
  EXPECT_NE(Names().opens("f1", kMake | prog::kOExcl, 0, 0, Errc::kExist).said(), "");
  EXPECT_NE(Names().call(OpCode::kUnlink, "f1").said(), "");
  EXPECT_NE(Names().call(OpCode::kUnlink, "d1").said(), "");
  EXPECT_NE(Names().call(OpCode::kMkdir, "d1").said(), "");
  EXPECT_NE(Names().call(OpCode::kRmdir, "d0").said(), "") << "not empty";
  EXPECT_NE(Names().call(OpCode::kRmdir, "d1", Errc::kNotEmpty).said(), "");
  EXPECT_EQ(Names().call(OpCode::kRmdir, "d1").said(), "");
  EXPECT_NE(Names().call(OpCode::kLink, "f0", Errc::kOk, "d0/f0").said(), "");
  EXPECT_NE(Names().call(OpCode::kRename, "f0", Errc::kOk, "d1", prog::kRenameNoReplace).said(), "");
  EXPECT_NE(Names().call(OpCode::kRename, "f0", Errc::kOk, "f1", prog::kRenameExchange).said(), "");
}

TEST(JudgeNames, KindsMustFitEachError) {
  constexpr const char* kDirectory = "d0";
  const auto wrong = [](OpCode code, const char* path, Errc error, const char* path2 = "f1", uint32_t flags = 0) {
    Names names;
    names.call(code, path, error, path2, flags);
    return names.said();
  };
  const auto wrong_open = [](const char* path, uint32_t flags, Errc error) {
    Names names;
    names.opens(path, flags, 0, 0, error);
    return names.said();
  };
  for (const OpCode code :
       {OpCode::kStat, OpCode::kLstat, OpCode::kTruncate, OpCode::kUnlink, OpCode::kLink, OpCode::kRename}) {
    EXPECT_NE(wrong(code, "f0", Errc::kNotDir), "");
    EXPECT_EQ(wrong(code, "f0/f0", Errc::kNotDir), "");
  }
  EXPECT_NE(wrong(OpCode::kMkdir, "d0/d1", Errc::kNotDir), "");
  EXPECT_EQ(wrong(OpCode::kMkdir, "f0/f0", Errc::kNotDir), "");
  EXPECT_NE(wrong(OpCode::kRmdir, "d1", Errc::kNotDir), "");
  EXPECT_EQ(wrong(OpCode::kRmdir, "f0", Errc::kNotDir), "");
  EXPECT_NE(wrong(OpCode::kUnlink, "f0", Errc::kIsDir), "");
  EXPECT_EQ(wrong(OpCode::kUnlink, kDirectory, Errc::kIsDir), "");
  EXPECT_NE(wrong(OpCode::kTruncate, "f0", Errc::kIsDir), "");
  EXPECT_EQ(wrong(OpCode::kTruncate, kDirectory, Errc::kIsDir), "");
  EXPECT_NE(wrong(OpCode::kStat, kDirectory, Errc::kIsDir), "");

  EXPECT_NE(wrong_open("f0", prog::kORdWr, Errc::kIsDir), "");
  EXPECT_NE(wrong_open("f1", prog::kORdWr | prog::kOCreat, Errc::kIsDir), "");
  EXPECT_EQ(wrong_open(kDirectory, prog::kORdWr, Errc::kIsDir), "");
  EXPECT_NE(wrong_open("f0", prog::kORdWr, Errc::kNotDir), "");
  EXPECT_NE(wrong_open(kDirectory, prog::kODirectory, Errc::kNotDir), "");
  EXPECT_EQ(wrong_open("f0", prog::kODirectory, Errc::kNotDir), "");

  // Between a file and a directory.
  EXPECT_NE(wrong(OpCode::kRename, kDirectory, Errc::kNotDir), "");
  EXPECT_EQ(wrong(OpCode::kRename, kDirectory, Errc::kNotDir, "f0"), "");
  EXPECT_NE(wrong(OpCode::kRename, kDirectory, Errc::kNotDir, "f0", prog::kRenameExchange), "");
  EXPECT_NE(wrong(OpCode::kRename, kDirectory, Errc::kIsDir, "d1"), "");
  EXPECT_EQ(wrong(OpCode::kRename, "f0", Errc::kIsDir, "d1"), "");
  EXPECT_NE(wrong(OpCode::kRename, kDirectory, Errc::kNotEmpty, "d1"), "");
  EXPECT_EQ(wrong(OpCode::kRename, "d1", Errc::kNotEmpty, "d0"), "");
  EXPECT_NE(wrong(OpCode::kRename, "f0", Errc::kBusy), "");
  EXPECT_NE(wrong(OpCode::kRename, "f0", Errc::kInval), "");
  EXPECT_EQ(wrong(OpCode::kRename, kDirectory, Errc::kInval, "d0/d1"), "");
}

TEST(JudgeNames, ChangesAreFollowed) {
  EXPECT_EQ(Names().call(OpCode::kRename, "f0", Errc::kOk, "f1").opens("f1", 0, 12, 100).said(), "");
  EXPECT_NE(Names().call(OpCode::kRename, "f0", Errc::kOk, "f1").opens("f0", 0, 12, 100).said(), "");
  EXPECT_EQ(Names().call(OpCode::kUnlink, "f0").stats("d0/f0", 12, 100, 1).said(), "");
  EXPECT_NE(Names().call(OpCode::kUnlink, "f0").stats("d0/f0", 12, 100, 2).said(), "");
  EXPECT_EQ(Names().call(OpCode::kRename, "d0", Errc::kOk, "d1/d0").call(OpCode::kStat, "d0", Errc::kNoEnt).said(), "");
  EXPECT_EQ(Names().call(OpCode::kRename, "d0", Errc::kOk, "d1").stats("/", 2, 0, 3).said(), "") << "d1 was replaced";
  EXPECT_NE(Names().call(OpCode::kRename, "d0", Errc::kOk, "d1").stats("/", 2, 0, 4).said(), "");
  EXPECT_EQ(Names().call(OpCode::kRename, "f0", Errc::kOk, "d0/f0").opens("f0", 0, 12, 100).said(), "") << "one file";
  EXPECT_EQ(Names().lists("d0", 20, ".\n..\nf0\n").said(), "");
  EXPECT_NE(Names().lists("d0", 20, ".\n..\n").said(), "");
  EXPECT_NE(Names().lists("d0", 20, ".\n..\nf0\nf1\n").said(), "");
}

TEST(JudgeNames, SomeOrderMustExplainConcurrentChanges) {
  const auto story = [](auto first, auto second, bool together = true) {
    Names s;
    s.during(10, 20).task(0);
    first(s);
    s.during(together ? 15 : 21, 30).task(1);
    second(s);
    return s;
  };
  const auto moves = [](Names& s) { s.call(OpCode::kRename, "f0", Errc::kOk, "f1"); };
  const auto unlinks = [](Names& s) { s.call(OpCode::kUnlink, "f0"); };
  const auto misses = [](Names& s) { s.call(OpCode::kUnlink, "f0", Errc::kNoEnt); };
  EXPECT_NE(story(moves, unlinks).said(), "") << "one of them came too late";
  EXPECT_NE(story(moves, unlinks, false).said(), "");
  EXPECT_EQ(story(moves, misses).said(), "");
  const auto makes = [](Names& s) { s.opens("f1", kMake, 44, 1); };
  const auto keeps = [](Names& s) { s.call(OpCode::kRename, "f0", Errc::kOk, "f1", prog::kRenameNoReplace); };
  EXPECT_EQ(story(moves, makes).said(), "");
  EXPECT_NE(story(keeps, makes).said(), "") << "made another file, so the name was free, and then it was taken";
  const auto finds = [](Names& s) { s.opens("f1", kMake, 12, 100); };
  EXPECT_EQ(story(keeps, finds).said(), "");
}

TEST(JudgeNames, AListingBesideAChangeShowsTheNamesBeforeOrAfterIt) {
  const auto listed = [](const char* names, const char* from, const char* to) {
    Names s;
    s.opens(".", prog::kORdOnly | prog::kODirectory, 2, 0);
    s.during(10, 20).task(0);
    s.call(OpCode::kRename, from, Errc::kOk, to);
    s.during(15, 30).task(1);
    s.add({.code = OpCode::kGetdents}, 0);
    s.last().fd = 0;
    s.last().ino = 2;
    const std::string_view text(names);
    s.last().data = s.keep(std::vector<uint8_t>(text.begin(), text.end()));
    return s.said();
  };
  EXPECT_EQ(listed("d0\nd1\nf0\nl0\n", "f0", "f1"), "");
  EXPECT_EQ(listed("d0\nd1\nf1\nl0\n", "f0", "f1"), "");
  EXPECT_NE(listed("d0\nd1\nl0\n", "f0", "f1"), "") << "neither of the names";
  EXPECT_NE(listed("d0\nd1\nf0\nf1\nl0\n", "f0", "f1"), "") << "both";
}

TEST(JudgeNames, WhoComesBetweenCallsOfOneGroupIsNotJudged) {
  Names s;
  s.opens(".", prog::kORdOnly | prog::kODirectory, 2, 0);
  s.during(10, 100).task(0);
  s.add({.code = OpCode::kGetdents}, 0);  // beside the rename, which is followed with it
  s.last().fd = 0;
  s.last().ino = 2;
  const std::string_view text("d0\nd1\nf0\nl0\n");
  s.last().data = s.keep(std::vector<uint8_t>(text.begin(), text.end()));
  s.during(20, 30).task(1);
  s.opens("f1", prog::kORdWr, 0, 0, Errc::kNoEnt);
  s.during(40, 50).task(2);
  s.call(OpCode::kRename, "f0", Errc::kOk, "f1");
  EXPECT_EQ(s.said(), "");
}

TEST(JudgeNames, WhatComesLaterIsJudgedByAllOrders) {
  // After a rename and an exclusive creation of its target either file may have the name, not both.
  Names s;
  s.during(10, 20).task(0);
  s.call(OpCode::kRename, "f0", Errc::kOk, "f1");
  s.during(15, 30).task(1);
  s.opens("f1", kMake, 44, 1);
  s.during(31, 32);
  s.call(OpCode::kUnlink, "f1");
  EXPECT_EQ(s.said(), "");
  s.during(33, 34);
  s.call(OpCode::kUnlink, "f1");
  EXPECT_NE(s.said(), "");
}

TEST(JudgeNames, ChangesOnTheWayOfOthersAreNotJudged) {
  Names s;
  s.during(10, 20).task(0);
  s.call(OpCode::kRename, "d0", Errc::kOk, "d1");
  s.during(15, 30).task(1);
  s.call(OpCode::kUnlink, "d0/f0");
  s.during(31, 32);
  s.call(OpCode::kUnlink, "f1");
  EXPECT_EQ(s.said(), "") << "silent from there on";
  Names link;
  link.during(10, 20).task(0);
  link.call(OpCode::kLink, "f0", Errc::kOk, "f1");
  link.during(15, 30).task(1);
  link.call(OpCode::kUnlink, "f0");
  link.during(31, 32);
  link.call(OpCode::kUnlink, "g0");
  EXPECT_EQ(link.said(), "");
}

TEST(JudgeNames, AnOpenThatFailedMayHaveMadeAFile) {
  const auto story = [](uint32_t flags, Errc error) {
    Names s;
    s.mount("fail_alloc=1");
    s.opens("f1", kMake | flags, 0, 0, error);
    return s.opens("f1", prog::kORdWr, 33, 1).said();
  };
  EXPECT_EQ(story(0, Errc::kNoMem), "");
  EXPECT_NE(story(prog::kODirectory, Errc::kNotDir), "");
  EXPECT_NE(story(0, Errc::kNoSpc), "");
}

TEST(JudgeNames, TheMediumHoldsTheTree) {
  const auto story = [](std::vector<TreeName> names) {
    Names s;
    s.call(OpCode::kUnlink, "f0");
    s.history().final_names = std::move(names);
    return s.said();
  };
  auto names = kStart;
  EXPECT_EQ(story(names), "NS: on the medium there is a name that should not be");
  names.erase(names.begin() + 3);
  EXPECT_EQ(story(names), "");
  auto other = names;
  other.back().target = "d1";
  EXPECT_NE(story(other), "");
  names.pop_back();
  EXPECT_EQ(story(names), "NS: on the medium a name is missing");
}

TEST(JudgeNames, AnOpenReturnsTheLowestFreeNumber) {
  const auto story = [](int fd) {
    testing::Story s;
    s.history().no_descriptors = true;
    for (int i = 0; i < 3; ++i) { s.add({.code = OpCode::kOpen, .path = 0}, i); }
    s.add({.code = OpCode::kClose}, 0).fd = 1;
    s.add({.code = OpCode::kOpen, .path = 0}, fd);
    s.pread(0, 1, 0, {});  // makes the model worth its while
    return s.said();
  };
  EXPECT_EQ(story(1), "");
  EXPECT_NE(story(3), "");
}

}  // namespace
}  // namespace daxfuzz::oracle
