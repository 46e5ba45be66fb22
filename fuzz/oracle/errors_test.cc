// fuzz/oracle/errors_test.cc - which errors have no cause? ER1.
#include "fuzz/oracle/errors.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "fuzz/oracle/story.h"

namespace daxfuzz::oracle::testing {
namespace {

// A call that failed, in a run that opened one file for reading and writing and did `before` first.
std::string said(const Op& op, Errc error, const std::vector<Op>& before = {}, const char* mount = "") {
  Story story;
  story.mount(mount);
  static const std::vector<TreeName> kRoot = {{"/", NameKind::kDirectory, 2, 0, 2, {}}};
  story.history().start_names = kRoot;
  story.open(0);
  for (const Op& other : before) { story.add(other, 0); }
  OpRecord& record = story.add(op, -1, error);
  if (op.info().has(prog::OperandKind::kFd)) {
    story.on(0);
    record.open_flags = prog::kORdWr | prog::kOCreat;
  }
  return story.said().substr(0, 3);
}

const Op kTruncate{.code = OpCode::kFtruncate, .length = 4096};
const Op kImmutable{.code = OpCode::kSetXflags, .flags = prog::kXflagImmutable};
const Op kFarTruncate{.code = OpCode::kFtruncate, .length = int64_t{1} << 41};
const Op kSymlink{.code = OpCode::kSymlink, .path2 = 3};

TEST(Errors, SomeAreNobodys) {
  for (const Op& op : {kWrite, kRead, kTruncate, kPunch, kMap}) {
    for (const Errc error : {Errc::kIntr, Errc::kNotBlk, Errc::kAgain, Errc::kMFile, Errc::kTxtBsy, Errc::kNoEnt,
                             Errc::kExist, Errc::kNotDir, Errc::kNotEmpty, Errc::kLoop, Errc::kNxio, Errc::kRoFs,
                             Errc::kPerm, Errc::kAccess, Errc::kOpNotSupp, Errc::kFBig, Errc::kInval}) {
      EXPECT_EQ(said(op, error), "ER1") << op.info().name << ' ' << daxfs::errc_name(error);
    }
  }
}

TEST(Errors, FlagsThatForbidChangesMustHaveBeenSet) {
  EXPECT_EQ(said(kWrite, Errc::kPerm, {kImmutable}), "");
  EXPECT_EQ(said(kMap, Errc::kAccess, {kImmutable}), "");
  EXPECT_EQ(said({.code = OpCode::kUnlink}, Errc::kPerm), "ER1");
  EXPECT_EQ(said({.code = OpCode::kLink}, Errc::kPerm), "");  // of a directory
  EXPECT_EQ(said(kWrite, Errc::kPerm, {with_flags(kImmutable, prog::kXflagDax)}), "ER1");
}

TEST(Errors, OperandsMayBeInvalid) {
  EXPECT_EQ(said(with(kWrite, -1, 8), Errc::kInval), "");
  EXPECT_EQ(said(with(kRead, 0, -1), Errc::kInval), "");
  EXPECT_EQ(said(kRead, Errc::kInval, {{.code = OpCode::kOpen, .flags = prog::kODirect}}), "");
  EXPECT_EQ(said(kRead, Errc::kInval, {{.code = OpCode::kSetFl, .flags = prog::kODirect}}), "");
  const Op read_on{.code = OpCode::kRead, .length = 8192, .buffer = anonymous()};
  EXPECT_EQ(said(read_on, Errc::kInval), "ER1");
  EXPECT_EQ(said(read_on, Errc::kInval, {{.code = OpCode::kGetdents}}), "");
  EXPECT_EQ(said(with(kTruncate, 0, -1), Errc::kInval), "");
  EXPECT_EQ(said(with(kPunch, 0, 0), Errc::kInval), "");
  EXPECT_EQ(said(with_flags(kPunch, prog::kFallocCollapse), Errc::kInval), "");
  EXPECT_EQ(said(with(kMap, 1, 4096), Errc::kInval), "");
  EXPECT_EQ(said(with_flags(kMap, 0), Errc::kInval), "");
  EXPECT_EQ(said({.code = OpCode::kFsync}, Errc::kInval), "ER1");
  EXPECT_EQ(said({.code = OpCode::kLseek, .flags = prog::kSeekSet}, Errc::kInval), "ER1");
  EXPECT_EQ(said({.code = OpCode::kLseek, .flags = prog::kSeekSet, .offset = -1}, Errc::kInval), "");
  EXPECT_EQ(said({.code = OpCode::kMunmap, .length = 4096, .addr = in_mapping()}, Errc::kInval), "ER1");
  EXPECT_EQ(said({.code = OpCode::kMunmap}, Errc::kInval), "");
  EXPECT_EQ(said({.code = OpCode::kMprotect, .length = 4096, .addr = in_mapping()}, Errc::kInval), "ER1");
  EXPECT_EQ(said({.code = OpCode::kMsync, .flags = prog::kMsSync, .length = 4096}, Errc::kInval), "ER1");
  EXPECT_EQ(said({.code = OpCode::kMsync, .flags = prog::kMsSync | prog::kMsAsync, .length = 1}, Errc::kInval), "");
}

TEST(Errors, ANumberMayHaveBeenReused) {
  const Op close{.code = OpCode::kClose, .fd = 1};
  EXPECT_EQ(said(kTruncate, Errc::kInval), "ER1");
  EXPECT_EQ(said(kTruncate, Errc::kInval, {close}), "");
  EXPECT_EQ(said(kMap, Errc::kAccess), "ER1");
  EXPECT_EQ(said(kMap, Errc::kAccess, {close}), "");
}

TEST(Errors, SomeModesAreNotSupported) {
  EXPECT_EQ(said(with_flags(kPunch, prog::kFallocPunch), Errc::kOpNotSupp), "");
  EXPECT_EQ(said(kPunch, Errc::kOpNotSupp, {{.code = OpCode::kSetFlags}}), "");  // blocks may be mapped without extents
  EXPECT_EQ(said(with_flags(kMap, prog::kMapSharedValidate | prog::kMapSync), Errc::kOpNotSupp), "");
}

TEST(Errors, FilesAreLargeOnlyIfSomebodyMadeThem) {
  EXPECT_EQ(said(kWrite, Errc::kFBig, {kFarTruncate}), "");
  EXPECT_EQ(said({.code = OpCode::kWrite, .length = 1, .buffer = fill(1)}, Errc::kFBig), "ER1");
  EXPECT_EQ(said(kRead, Errc::kFBig, {kFarTruncate}), "ER1");
  const Op remove{.code = OpCode::kMadvise, .flags = prog::kAdvRemove, .length = 4096, .addr = in_mapping()};
  EXPECT_EQ(said(remove, Errc::kFBig, {with(kMap, int64_t{1} << 43, 4096)}), "");
  EXPECT_EQ(said(remove, Errc::kFBig), "ER1");
}

TEST(Errors, PathsHaveTheirOwn) {
  const Op open{.code = OpCode::kOpen};
  EXPECT_EQ(said(open, Errc::kLoop), "ER1");
  EXPECT_EQ(said(open, Errc::kLoop, {kSymlink}), "");
  EXPECT_EQ(said(open, Errc::kNameTooLong), "ER1");
  EXPECT_EQ(said(open, Errc::kNxio), "ER1");
  EXPECT_EQ(said(open, Errc::kNxio, {{.code = OpCode::kRename, .flags = prog::kRenameWhiteout}}), "");
  EXPECT_EQ(said(open, Errc::kBusy), "");  // which names it is said of is the tree's to judge
}

TEST(Errors, PrivateMemoryIsThere) {
  Op into_mapping = kRead;
  into_mapping.buffer = in_mapping();
  EXPECT_EQ(said(kRead, Errc::kFault), "ER1");
  EXPECT_EQ(said(into_mapping, Errc::kFault), "");
  EXPECT_EQ(said(kRead, Errc::kNoMem), "ER1");
  EXPECT_EQ(said(kRead, Errc::kNoMem, {}, "fail_alloc=3"), "");
  EXPECT_EQ(said(kMap, Errc::kNoMem), "");
  const Op unmap{.code = OpCode::kMunmap, .length = 4096, .addr = in_mapping()};  // perhaps what the read goes through
  EXPECT_EQ(said(kRead, Errc::kFault, {unmap}), "");
  EXPECT_EQ(said(kRead, Errc::kNoMem, {unmap}), "");
  EXPECT_EQ(said(kWrite, Errc::kFault, {{.code = OpCode::kMemoryFailure}}), "");
}

TEST(Errors, AForeignImageExplainsAll) {
  Story story;
  story.foreign_image();
  story.open(0);
  story.add(kWrite, -1, Errc::kPerm);
  story.on(0);
  EXPECT_EQ(story.said(), "");
}

}  // namespace
}  // namespace daxfuzz::oracle::testing
