// fuzz/oracle/judge_test.cc - histories by hand: each rule once with a possible and once with an impossible result.
#include "fuzz/oracle/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fuzz/oracle/story.h"

namespace daxfuzz::oracle {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr uint64_t kAddr = 0x700000000000;
constexpr uint64_t kAddr2 = 0x700000400000;

// --- bytes of one file

TEST(JudgeBytes, NewFileReadsZeros) {
  EXPECT_EQ(Story().open(0).ftruncate(0, 8192).pread(0, 4096, 0, bytes(4096, 0)).said(), "");
  EXPECT_EQ(Story().open(0).ftruncate(0, 8192).pread(0, 4096, 0, bytes(4095, 0) + bytes(1, 7)).said(),
            "O9: T0 op 3 (pread) got 0x07 at file offset 4095; only 0x00 possible");
}

TEST(JudgeBytes, ReadSeesTheLastWrite) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).pwrite(0, fill(1), 100, 0).pwrite(0, fill(2), 50, 25);
    s.pread(0, 100, 0, bytes(25, 1) + bytes(50, value) + bytes(25, 1));
    return s.said();
  };
  EXPECT_EQ(story(2), "");
  EXPECT_THAT(story(1), HasSubstr("offset 25; only 0x02 possible"));
}

TEST(JudgeBytes, SequencesTellShiftedBytes) {
  Story good;
  good.open(0).pwrite(0, sequence(0x41), 9000, 100).pread(0, 5000, 1100, sequence_bytes(5000, 0x41, 1000));
  EXPECT_EQ(good.said(), "");
  Story bad;
  bad.open(0).pwrite(0, sequence(0x41), 9000, 100).pread(0, 5000, 1100, sequence_bytes(5000, 0x41, 1001));
  EXPECT_THAT(bad.said(), StartsWith("O9: "));
}

TEST(JudgeBytes, StaleByteIsO16) {
  EXPECT_THAT(Story().open(0).ftruncate(0, 8192).pread(0, 10, 0, bytes(10, 0xdb)).said(), StartsWith("O16: "));
  EXPECT_EQ(Story().open(0).pwrite(0, fill(0xdb), 10, 0).pread(0, 10, 0, bytes(10, 0xdb)).said(), "");
}

TEST(JudgeBytes, AnAsynchronousWriteLastsUntilItsEventIsTaken) {
  const auto story = [](uint8_t meanwhile, uint8_t afterwards) {
    Story s;
    s.open(0).pwrite(0, fill(1), 10, 0);
    s.during(100, 200).io_submit_pwrite(0, fill(2), 10, 0, 110);
    s.during(150, 160).task(1).pread(0, 10, 0, bytes(10, meanwhile));
    s.during(250, 260).task(1).pread(0, 10, 0, bytes(10, afterwards));
    return s.said();
  };
  EXPECT_EQ(story(1, 2), "");
  EXPECT_EQ(story(2, 2), "");
  EXPECT_THAT(story(3, 2), HasSubstr("0x01"));
  EXPECT_THAT(story(1, 1), HasSubstr("only 0x02 possible"));
}

TEST(JudgeBytes, ACloseAfterTheSubmissionLeavesNoDoubtAboutTheFile) {
  Story s;
  s.open(0).pwrite(0, fill(1), 10, 0).open(1);
  s.during(100, 200).io_submit_pwrite(0, fill(2), 10, 0, 110);
  s.during(120, 130).close(0);
  s.during(300, 310).open(0, prog::kORdWr).pread(0, 10, 0, bytes(10, 1));
  EXPECT_THAT(s.said(), HasSubstr("only 0x02 possible"));
}

TEST(JudgeBytes, ConcurrentWriteGivesOldOrNewBytes) {
  const auto story = [](std::vector<uint8_t> data) {
    Story s;
    s.open(0).pwrite(0, fill(1), 10, 0);
    s.during(100, 200).pwrite(0, fill(2), 10, 0);
    s.during(150, 160).task(1).pread(0, 10, 0, std::move(data));
    return s.said();
  };
  EXPECT_EQ(story(bytes(10, 1)), "");
  EXPECT_EQ(story(bytes(10, 2)), "");
  EXPECT_EQ(story(bytes(5, 2) + bytes(5, 1)), "");
  EXPECT_THAT(story(bytes(9, 2) + bytes(1, 0)), HasSubstr("offset 9; only 0x01, 0x02 possible"));
}

// A byte that only this write brings into the file is never seen without the write's value; one that somebody else may
// bring in is.
TEST(JudgeBytes, WhatAWriteAddsToTheFileIsSeenWithItsBytes) {
  const auto story = [](uint8_t seen, bool grown_by_another) {
    Story s;
    s.open(0).ftruncate(0, 10);
    s.during(100, 200).pwrite(0, fill(2), 20, 0);
    if (grown_by_another) { s.during(110, 120).task(1).ftruncate(0, 20); }
    s.during(150, 160).task(2).pread(0, 10, 10, bytes(10, seen));
    return s.said();
  };
  EXPECT_EQ(story(2, false), "");
  EXPECT_THAT(story(0, false), HasSubstr("got 0x00 at file offset 10; only 0x02 possible"));
  EXPECT_EQ(story(0, true), "");
}

TEST(JudgeBytes, TwoConcurrentWritesLeaveEither) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).pwrite(0, fill(1), 10, 0);
    s.during(100, 200).pwrite(0, fill(2), 10, 0);
    s.during(150, 300).task(1).pwrite(0, fill(3), 10, 0);
    s.pread(0, 10, 0, bytes(10, value));
    return s.said();
  };
  EXPECT_EQ(story(2), "");
  EXPECT_EQ(story(3), "");
  EXPECT_NE(story(1), "");
}

TEST(JudgeBytes, FailedWriteMayHaveWrittenAPart) {
  const auto story = [](std::vector<uint8_t> data) {
    Story s;
    s.open(0).pwrite(0, fill(1), 10, 0).pwrite(0, fill(2), 10, 0, -1, Errc::kNoSpc);
    s.pread(0, 10, 0, std::move(data));
    return s.said();
  };
  EXPECT_EQ(story(bytes(10, 1)), "");
  EXPECT_EQ(story(bytes(3, 2) + bytes(7, 1)), "");
  EXPECT_NE(story(bytes(10, 3)), "");
}

// What a failed extending write allocated is cut off again, and with it what was stored behind EOF.
TEST(JudgeBytes, FailedExtendingWriteMayClearWhatLiesBehindEof) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).ftruncate(0, 3).mmap(0, 0, 4096, kAddr).store(kAddr, 4096, fill(7));
    s.mount("fail_alloc=1").pwrite(0, fill(9), 31, 2048 * kK, -1, Errc::kNoMem).ftruncate(0, 4096);
    s.pread(0, 4096, 0, bytes(3, 7) + bytes(4093, value));
    return s.said();
  };
  EXPECT_EQ(story(0), "");
  EXPECT_EQ(story(7), "");
  EXPECT_NE(story(9), "");
}

TEST(JudgeBytes, RefusedWriteWroteNothing) {
  Story s;
  s.open(0).pwrite(0, fill(1), 10, 0).pwrite(0, fill(2), 10, 0, -1, Errc::kBadf).pread(0, 10, 0, bytes(10, 2));
  EXPECT_NE(s.said(), "");
}

TEST(JudgeBytes, PunchAndZeroRangeLeaveZeros) {
  for (const uint32_t mode : {prog::kFallocPunch | prog::kFallocKeepSize, prog::kFallocZero}) {
    const auto story = [&](uint8_t value) {
      Story s;
      s.open(0).pwrite(0, fill(1), 100, 0).fallocate(0, mode, 10, 20);
      s.pread(0, 100, 0, bytes(10, 1) + bytes(20, value) + bytes(70, 1));
      return s.said();
    };
    EXPECT_EQ(story(0), "");
    EXPECT_NE(story(1), "");
  }
}

TEST(JudgeBytes, TruncateAndGrowAgainLeavesZeros) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).pwrite(0, fill(1), 100, 0).ftruncate(0, 10).ftruncate(0, 100);
    s.pread(0, 100, 0, bytes(10, 1) + bytes(90, value));
    return s.said();
  };
  EXPECT_EQ(story(0), "");
  EXPECT_NE(story(1), "");
}

TEST(JudgeBytes, OpenWithTruncationEmptiesTheFile) {
  Story s;
  s.open(0).pwrite(0, fill(1), 100, 0).open(0, prog::kORdWr | prog::kOTrunc).ftruncate(0, 100);
  s.pread(0, 100, 0, bytes(100, 1));
  EXPECT_NE(s.said(), "");
}

TEST(JudgeBytes, CollapseMovesBytesDown) {
  const auto story = [](uint8_t at_page_1) {
    Story s;
    s.open(0).pwrite(0, fill(1), 4096, 0).pwrite(0, fill(2), 4096, 4096).pwrite(0, sequence(3), 4096, 8192);
    s.fallocate(0, prog::kFallocCollapse, 4096, 4096);
    s.pread(0, 12288, 0, bytes(4096, 1) + sequence_bytes(4096, at_page_1));
    return s.said();
  };
  EXPECT_EQ(story(3), "");
  EXPECT_NE(story(2), "");
}

TEST(JudgeBytes, InsertMovesBytesUpAndLeavesAHole) {
  const auto story = [](uint8_t hole, uint8_t moved) {
    Story s;
    s.open(0).pwrite(0, fill(1), 4096, 0).pwrite(0, fill(2), 4096, 4096);
    s.fallocate(0, prog::kFallocInsert, 4096, 8192).pwrite(0, fill(4), 10, 8192);
    s.pread(0, 20000, 0, bytes(4096, 1) + bytes(4096, hole) + bytes(10, 4) + bytes(4086, 0) + bytes(4096, moved));
    return s.said();
  };
  EXPECT_EQ(story(0, 2), "");
  EXPECT_NE(story(2, 2), "");
  EXPECT_NE(story(0, 1), "");
}

TEST(JudgeBytes, ShiftBesideAnotherWriterMakesTheRestUnknown) {
  Story s;
  s.open(0).pwrite(0, fill(1), 12288, 0);
  s.during(100, 200).fallocate(0, prog::kFallocCollapse, 4096, 4096);
  s.during(150, 300).task(1).pwrite(0, fill(2), 4096, 8192);
  s.pread(0, 8192, 0, bytes(4096, 1) + bytes(4096, 9));
  EXPECT_EQ(s.said(), "");
  s.pread(0, 10, 0, bytes(10, 9));  // in front of it nothing moved
  EXPECT_NE(s.said(), "");
}

TEST(JudgeBytes, ForeignImageMayHoldAnything) {
  EXPECT_EQ(Story().foreign_image().open(0).pread(0, 10, 0, bytes(10, 9)).said(), "");
  EXPECT_NE(Story().foreign_image().open(0).pwrite(0, fill(1), 10, 0).pread(0, 10, 0, bytes(10, 9)).said(), "");
}

TEST(JudgeBytes, TruncateByNameMayHitAnyFileOnceNamesChange) {
  const auto story = [](bool rename, uint8_t value) {
    Story s;
    s.open(0).pwrite(0, fill(1), 100, 0);
    if (rename) { s.add({.code = OpCode::kRename, .path = 1, .path2 = 2}, 0); }
    s.add({.code = OpCode::kTruncate, .path = 1, .length = 10}, 0);
    s.pwrite(0, fill(5), 1, 99).pread(0, 100, 0, bytes(10, 1) + bytes(89, value) + bytes(1, 5));
    return s.said();
  };
  EXPECT_EQ(story(true, 1), "");
  EXPECT_EQ(story(true, 0), "");
  EXPECT_NE(story(true, 3), "");
}

TEST(JudgeBytes, TruncateByNameIsCertainWhileNamesStay) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).pwrite(0, fill(1), 100, 0);
    s.add({.code = OpCode::kTruncate, .path = 0, .length = 10}, 0);
    s.ftruncate(0, 100).pread(0, 100, 0, bytes(10, 1) + bytes(90, value));
    return s.said();
  };
  EXPECT_EQ(story(0), "");
  EXPECT_NE(story(1), "");
}

// --- mappings

TEST(JudgeMappings, LoadSeesStoresAndWrites) {
  const auto story = [](uint8_t stored, uint8_t written) {
    Story s;
    s.open(0).ftruncate(0, 8192).mmap(0, 0, 8192, kAddr).store(kAddr + 10, 20, fill(7)).pwrite(0, fill(8), 10, 4096);
    s.load(kAddr, 4106, bytes(10, 0) + bytes(20, stored) + bytes(4066, 0) + bytes(10, written));
    return s.said();
  };
  EXPECT_EQ(story(7, 8), "");
  EXPECT_NE(story(0, 8), "");
  EXPECT_NE(story(7, 0), "");
}

TEST(JudgeMappings, ReadSeesTouchedBytesOnly) {
  const auto story = [](size_t at) {
    Story s;
    s.open(0).ftruncate(0, 12288).mmap(0, 0, 12288, kAddr).touch(kAddr + 5, 8192, 0x54);
    std::vector<uint8_t> data(12288);
    data[5] = 0x54;
    data[at] = 0x54;
    s.pread(0, 12288, 0, std::move(data));
    return s.said();
  };
  EXPECT_EQ(story(4101), "");
  EXPECT_NE(story(4102), "");
  EXPECT_NE(story(8197), "");
}

TEST(JudgeMappings, OffsetOfTheMappingCounts) {
  Story s;
  s.open(0).ftruncate(0, 12288).mmap(0, 4096, 8192, kAddr).store(kAddr, 10, sequence(9));
  s.pread(0, 10, 4096, sequence_bytes(10, 9));
  EXPECT_EQ(s.said(), "");
  s.pread(0, 10, 0, sequence_bytes(10, 9));
  EXPECT_NE(s.said(), "");
}

TEST(JudgeMappings, StoreBehindEofShowsWhenTheFileGrows) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).ftruncate(0, 100).mmap(0, 0, 4096, kAddr).store(kAddr + 200, 10, fill(7)).ftruncate(0, 4096);
    s.pread(0, 10, 200, bytes(10, value));
    return s.said();
  };
  EXPECT_EQ(story(7), "");
  EXPECT_NE(story(9), "");
}

TEST(JudgeMappings, UnmappedAddressesGiveNothing) {
  const auto story = [](bool failed) {
    Story s;
    s.open(0).open(1).ftruncate(0, 4096).mmap(0, 0, 4096, kAddr);
    s.during(100, 110).munmap(kAddr, 4096);
    if (failed) { s.last().error = Errc::kNoMem; }
    s.load(kAddr, 10, bytes(10, 9));
    return s.said();
  };
  EXPECT_NE(story(false), "");
  EXPECT_EQ(story(true), "") << "perhaps it is there still";
}

TEST(JudgeMappings, StoreBesideAnUnmappingIsAPerhaps) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).pwrite(0, fill(1), 4096, 0).mmap(0, 0, 4096, kAddr);
    s.during(100, 200).munmap(kAddr, 4096);
    s.during(150, 160).task(1).store(kAddr, 10, fill(2));
    s.pread(0, 10, 0, bytes(10, value));
    return s.said();
  };
  EXPECT_EQ(story(1), "");
  EXPECT_EQ(story(2), "");
  EXPECT_NE(story(3), "");
}

TEST(JudgeMappings, MoveKeepsTheOffset) {
  Story s;
  s.open(0).ftruncate(0, 12288).mmap(0, 0, 12288, kAddr).mremap(kAddr + 4096, 4096, 8192, kAddr2);
  s.store(kAddr2 + 4096, 1, fill(5)).pread(0, 1, 8192, bytes(1, 5));
  EXPECT_EQ(s.said(), "");
  s.pread(0, 1, 4096, bytes(1, 5));
  EXPECT_NE(s.said(), "");
}

TEST(JudgeMappings, FixedMappingReplacesWhatWasThere) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).open(1).pwrite(0, fill(1), 8192, 0).pwrite(1, fill(2), 8192, 0).mmap(0, 0, 8192, kAddr);
    s.mmap(1, 0, 4096, kAddr, prog::kMapShared | prog::kMapFixed);
    s.load(kAddr, 8192, bytes(4096, value) + bytes(4096, 1));
    return s.said();
  };
  EXPECT_EQ(story(2), "");
  EXPECT_NE(story(1), "");
}

TEST(JudgeMappings, PrivateMappingFollowsTheFileUntilItIsWritten) {
  const auto story = [](bool store, uint8_t value) {
    Story s;
    s.open(0).pwrite(0, fill(1), 4096, 0).mmap(0, 0, 4096, kAddr, prog::kMapPrivate);
    if (store) { s.store(kAddr, 1, fill(9)); }
    s.pwrite(0, fill(2), 4096, 0).load(kAddr, 10, bytes(1, store ? 9 : value) + bytes(9, value));
    return s.said();
  };
  EXPECT_EQ(story(false, 2), "");
  EXPECT_NE(story(false, 1), "");
  EXPECT_EQ(story(true, 1), "");
  Story s;  // the file does not see the store
  s.open(0).pwrite(0, fill(1), 4096, 0).mmap(0, 0, 4096, kAddr, prog::kMapPrivate).store(kAddr, 1, fill(9));
  s.pread(0, 1, 0, bytes(1, 9));
  EXPECT_NE(s.said(), "");
}

TEST(JudgeMappings, APrivateMappingThatIsPopulatedHasCopiesFromTheBegin) {
  for (const uint32_t flag : {prog::kMapPopulate, prog::kMapLocked}) {
    const auto story = [&](uint8_t value) {
      Story s;
      s.open(0).pwrite(0, fill(1), 4096, 0).mmap(0, 0, 4096, kAddr, prog::kMapPrivate | flag);
      return s.pwrite(0, fill(2), 4096, 0).load(kAddr, 10, bytes(10, value)).said();
    };
    EXPECT_EQ(story(1), "") << flag;
    EXPECT_EQ(story(2), "") << flag;
    EXPECT_NE(story(3), "") << flag;
  }
}

TEST(JudgeMappings, EachProcessHasItsOwnAddresses) {
  Story s;
  s.open(0).open(1).pwrite(0, fill(1), 4096, 0).pwrite(1, fill(2), 4096, 0).mmap(0, 0, 4096, kAddr);
  s.process(1).mmap(1, 0, 4096, kAddr).load(kAddr, 1, bytes(1, 2));
  EXPECT_EQ(s.said(), "");
  s.process(0).load(kAddr, 1, bytes(1, 2));
  EXPECT_NE(s.said(), "");
}

// Of a file without DAX. A fault for writing stores nothing, and makes the page dirty all the same.
TEST(JudgeMappings, ADirectWriteMayLoseToAPageThatIsMadeDirtyMeanwhile) {
  const auto story = [](uint32_t advice) {
    Story s;
    s.open(0, prog::kORdWr | prog::kODirect).pwrite(0, fill(1), kPage, 0).mmap(0, 0, kPage, kAddr);
    s.open(1).pwrite(1, fill(2), kPage, 0).mmap(1, 0, kPage, kAddr2);
    s.during(130, 150).pwrite_from(0, kPage, 0, kAddr2);
    s.during(140, 160).task(1);
    s.add({.code = OpCode::kMadvise, .flags = advice, .length = kPage, .addr = in_mapping()}, 0).address = kAddr;
    s.finally(0, bytes(kPage, 1));
    for (OpRecord& record : s.history().records) { record.dax = false; }
    return s.said();
  };
  EXPECT_EQ(story(prog::kAdvPopulateWrite), "");
  EXPECT_NE(story(prog::kAdvPopulateRead).find("only 0x02 possible"), std::string::npos);
}

// Of a block that was new when it looked, it zeroes what it does not write.
TEST(JudgeMappings, ADirectWriteMayZeroAroundItWhatIsStoredMeanwhile) {
  const auto story = [](uint64_t store_at, uint8_t left, uint32_t open_flags = prog::kORdWr | prog::kODirect) {
    Story s;
    s.open(0, prog::kORdWr | prog::kODirect).ftruncate(0, 2 * kPage).mmap(0, 0, 2 * kPage, kAddr);
    s.during(100, 120).pwrite(0, fill(1), 512, 512);
    s.last().open_flags = open_flags;
    s.during(store_at, store_at + 5).task(1).store(kAddr, 2 * kPage, fill(2));
    s.finally(0, bytes(512, left) + bytes(512, 1) + bytes(kPage - 1024, store_at < 100 ? 2 : 0) + bytes(kPage, 2));
    for (OpRecord& record : s.history().records) { record.dax = false; }
    return s.said();
  };
  EXPECT_EQ(story(110, 0), "");
  EXPECT_EQ(story(110, 2), "");
  EXPECT_NE(story(110, 3), "");
  EXPECT_NE(story(110, 0, prog::kORdWr), "") << "through the cache";
  EXPECT_NE(story(80, 0), "") << "it was there before the write began";
}

// Scratch memory of a direct transfer that somebody unmaps: its place may go to another transfer,
// whose memory the first one then unmaps.
TEST(JudgeMappings, UnmappingMakesOverlappingDirectTransfersUnclear) {
  const auto story = [](bool unmap) {
    Story s;
    s.open(0).open(1).ftruncate(0, 8192);
    if (unmap) { s.during(100, 200).munmap(kAddr, 4096); }
    s.during(150, 300).task(1).pwrite(1, fill(5), 4096, 0);
    s.last().dax = false;
    s.during(250, 400).task(2).pread(0, 4096, 0, bytes(4096, 9));
    s.last().dax = false;
    return s.said();
  };
  EXPECT_EQ(story(true), "");
  EXPECT_NE(story(false), "");
}

TEST(JudgeMappings, PagesOfAMappingMayMoveAwayUnderATransfer) {
  const auto story = [](uint32_t flags, bool mapped) {
    Story s;
    s.open(0).open(1).ftruncate(0, 4096);
    if (mapped) { s.mmap(1, 0, 4096, kAddr); }
    s.during(100, 200).task(1).mremap(kAddr, 4096, 4096, kAddr + 0x100000, flags);
    s.during(150, 300).task(2).pread(0, 4096, 0, bytes(4096, 9));
    s.last().dax = false;
    return s.said();
  };
  constexpr uint32_t kEmpty = prog::kRemapMayMove | prog::kRemapDontUnmap;
  EXPECT_EQ(story(kEmpty, false), "");  // where the read's memory is, perhaps
  EXPECT_NE(story(kEmpty, true), "");
}

// --- copies

TEST(JudgeCopies, ReadIntoAMappingWritesTheOtherFile) {
  const auto story = [](uint8_t first) {
    Story s;
    s.open(0).open(1).ftruncate(0, 8192).pwrite(1, sequence(0x61), 4096, 0).mmap(0, 0, 8192, kAddr);
    s.pread_to(1, 1024, 512, kAddr + 4096).pread(0, 1024, 4096, sequence_bytes(1024, first, 512));
    return s.said();
  };
  EXPECT_EQ(story(0x61), "");
  EXPECT_NE(story(0x62), "");
}

TEST(JudgeCopies, WriteFromAMappingCopiesItsFile) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).open(1).pwrite(0, fill(3), 4096, 0).mmap(0, 0, 4096, kAddr).pwrite_from(1, 100, 50, kAddr);
    s.pwrite(0, fill(4), 4096, 0).pread(1, 100, 50, bytes(100, value));
    return s.said();
  };
  EXPECT_EQ(story(3), "");
  EXPECT_NE(story(4), "");
}

TEST(JudgeCopies, SourceMayChangeDuringTheCopy) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).open(1).pwrite(0, fill(3), 4096, 0).mmap(0, 0, 4096, kAddr);
    s.during(100, 200).pwrite_from(1, 100, 0, kAddr);
    s.during(150, 160).task(1).store(kAddr, 4096, fill(4));
    s.pread(1, 1, 0, bytes(1, value));
    return s.said();
  };
  EXPECT_EQ(story(3), "");
  EXPECT_EQ(story(4), "");
  EXPECT_NE(story(0), "");
}

TEST(JudgeCopies, CopyOntoItselfIsUnknown) {
  Story s;
  s.open(0).pwrite(0, fill(3), 8192, 0).mmap(0, 0, 8192, kAddr).pwrite_from(0, 4096, 100, kAddr);
  s.pread(0, 8192, 0, bytes(200, 3) + bytes(4096, 9) + bytes(3896, 3));
  EXPECT_EQ(s.said().substr(0, 3), "O9:");  // 9 was nowhere: behind the copy, offset 4196 and on
}

// --- sizes and counts

TEST(JudgeSizes, ReadEndsAtEof) {
  const auto story = [](size_t count) {
    Story s;
    s.open(0).ftruncate(0, 100).pread(0, 4096, 20, bytes(count, 0));
    return s.said();
  };
  EXPECT_EQ(story(80), "");
  EXPECT_EQ(story(79), "O9: T0 op 3 (pread) at file offset 20 returned 79 bytes; only 80 to 80 possible");
  EXPECT_NE(story(81), "");
}

TEST(JudgeSizes, SizeDuringATruncateIsOldOrNew) {
  const auto story = [](uint64_t size) {
    Story s;
    s.open(0).ftruncate(0, 8192);
    s.during(100, 200).ftruncate(0, 4096);
    s.during(150, 160).task(1).fstat(0, size);
    return s.said();
  };
  EXPECT_EQ(story(8192), "");
  EXPECT_EQ(story(4096), "");
  EXPECT_NE(story(4095), "");
  EXPECT_NE(story(8193), "");
}

TEST(JudgeSizes, GrowthCannotBeLost) {
  const auto story = [](uint64_t size) {
    Story s;
    s.open(0);
    s.during(100, 200).pwrite(0, fill(1), 4096, 0);
    s.during(150, 300).task(1).fallocate(0, 0, 0, 8192);
    s.fstat(0, size);
    return s.said();
  };
  EXPECT_EQ(story(8192), "");
  EXPECT_NE(story(4096), "");
}

TEST(JudgeSizes, KeepSizeKeepsIt) {
  Story s;
  s.open(0).fallocate(0, prog::kFallocKeepSize, 0, 8192).fstat(0, 0);
  EXPECT_EQ(s.said(), "");
  s.fallocate(0, 0, 0, 8192).fstat(0, 0);
  EXPECT_NE(s.said(), "");
}

TEST(JudgeSizes, ShiftsChangeIt) {
  Story s;
  s.open(0).ftruncate(0, 16384).fallocate(0, prog::kFallocCollapse, 0, 4096).fstat(0, 12288);
  s.fallocate(0, prog::kFallocInsert, 4096, 8192).fstat(0, 20480);
  EXPECT_EQ(s.said(), "");
  s.fstat(0, 12288);
  EXPECT_NE(s.said(), "");
}

TEST(JudgeSizes, PositionsAdvance) {
  Story s;
  s.open(0).write(0, fill(1), 100).write(0, fill(2), 100).lseek(0, 50, prog::kSeekSet, 50);
  s.read(0, 100, bytes(50, 1) + bytes(50, 2)).read(0, 100, bytes(50, 2));
  EXPECT_EQ(s.said(), "");
  s.read(0, 100, bytes(50, 2));
  EXPECT_NE(s.said(), "");
}

TEST(JudgeSizes, AppendGoesToTheEnd) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0, prog::kORdWr | prog::kOCreat | prog::kOAppend).write(0, fill(1), 10).pwrite(0, fill(2), 10, 0);
    s.pread(0, 100, 0, bytes(10, 1) + bytes(10, value));
    return s.said();
  };
  EXPECT_EQ(story(2), "");
  EXPECT_NE(story(1), "");
}

TEST(JudgeSizes, ConcurrentWritesThroughOneDescriptorHaveNoClearPlace) {
  Story s;
  s.open(0);
  s.during(100, 200).write(0, fill(1), 10);
  s.during(150, 300).task(1).write(0, fill(2), 10);
  s.pread(0, 20, 0, bytes(10, 2) + bytes(10, 1));
  EXPECT_EQ(s.said(), "");
}

TEST(JudgeSizes, SeekEndAndHolesFollowTheSize) {
  EXPECT_EQ(Story().open(0).ftruncate(0, 100).lseek(0, -10, prog::kSeekEnd, 90).fstat(0, 100).said(), "");
  EXPECT_NE(Story().open(0).ftruncate(0, 100).lseek(0, -10, prog::kSeekEnd, 91).fstat(0, 100).said(), "");
  EXPECT_EQ(Story().open(0).ftruncate(0, 100).lseek(0, 0, prog::kSeekHole, 100).said(), "");
  EXPECT_NE(Story().open(0).ftruncate(0, 100).lseek(0, 0, prog::kSeekHole, 101).said(), "");
  EXPECT_NE(Story().open(0).ftruncate(0, 100).lseek(0, 0, prog::kSeekHole, -1, Errc::kNxio).said(), "");
}

TEST(JudgeData, AReadEndsEarlyForWantOfMemoryOnly) {
  for (const bool short_of_memory : {false, true}) {
    Story s;
    s.history().memory_ran_out = short_of_memory;
    s.open(0).ftruncate(0, 8192);
    s.pread(0, 8192, 0, bytes(4096, 0));
    s.on(0).dax = false;
    EXPECT_EQ(s.said().empty(), short_of_memory) << s.said();
  }
}

// --- signals and errors

TEST(JudgeSignals, ProcessVmReadvStopsOnlyWhereAPageCannotBeHad) {
  const auto story = [](std::vector<uint8_t> data, uint32_t prot = prog::kProtRead) {
    Story s;
    s.open(0).ftruncate(0, 8192).mmap(0, 0, 12288, kAddr, prog::kMapShared, prot).pwrite(0, fill(7), 4096, 0);
    return s.process_vm_readv(kAddr, 12288, std::move(data)).said();
  };
  EXPECT_EQ(story(bytes(4096, 7) + bytes(4096, 0)), "");
  EXPECT_NE(story(bytes(4096, 0) + bytes(4096, 0)), "");
  EXPECT_THAT(story(bytes(4096, 7)), HasSubstr("stopped at byte 4096"));
  EXPECT_THAT(story({}), HasSubstr("stopped at byte 0"));
  EXPECT_EQ(story({}, prog::kProtWrite), "");
}

TEST(JudgeSignals, LoadInsideTheFileGetsNoBusError) {
  Story s;
  s.open(0).ftruncate(0, 4097).mmap(0, 0, 12288, kAddr).load(kAddr, 8193, bytes(8192, 0), Signal::kBusAdrerr);
  EXPECT_EQ(s.said(), "");
  s.load(kAddr, 8192, bytes(4096, 0), Signal::kBusAdrerr);
  EXPECT_THAT(s.said(), HasSubstr("SIGBUS"));
}

TEST(JudgeSignals, LoadBehindThePageOfEofGetsNoBytes) {
  EXPECT_EQ(Story().open(0).ftruncate(0, 10).mmap(0, 0, 8192, kAddr).load(kAddr, 4096, bytes(4096, 0)).said(), "");
  EXPECT_THAT(Story().open(0).ftruncate(0, 10).mmap(0, 0, 8192, kAddr).load(kAddr, 4097, bytes(4097, 0)).said(),
              HasSubstr("at most 10 bytes"));
}

TEST(JudgeSignals, AccessToALivingMappingDoesNotSegfault) {
  EXPECT_NE(Story().open(0).ftruncate(0, 4096).mmap(0, 0, 4096, kAddr).load(kAddr, 10, {}, Signal::kSegvMaperr).said(),
            "");
  EXPECT_EQ(Story()
                .open(0)
                .ftruncate(0, 4096)
                .mmap(0, 0, 4096, kAddr)
                .munmap(kAddr, 4096)
                .load(kAddr, 10, {}, Signal::kSegvMaperr)
                .said(),
            "");
}

TEST(JudgeSignals, StoreNeedsPermission) {
  Story s;
  s.open(0).ftruncate(0, 4096).mmap(0, 0, 4096, kAddr, prog::kMapShared, prog::kProtRead).store(kAddr, 1, fill(1));
  EXPECT_THAT(s.said(), HasSubstr("without write permission"));
}

TEST(JudgeSignals, ReadIntoMemoryNeedsPermission) {
  const auto story = [](uint8_t prot, int64_t got) {
    Story s;
    s.open(0).open(1).ftruncate(0, 4096).pwrite(1, fill(1), 4096, 0).mmap(0, 0, 4096, kAddr, prog::kMapShared, prot);
    s.pread_to(1, 4096, 0, kAddr, got);
    return s.said();
  };
  EXPECT_EQ(story(prog::kProtRead | prog::kProtWrite, 4096), "");
  EXPECT_THAT(story(prog::kProtRead, 0), HasSubstr("returned 0 bytes"));  // EFAULT was due
  EXPECT_THAT(story(prog::kProtRead, 4096), HasSubstr("without write permission"));
}

TEST(JudgeSignals, AReadThatMovesNothingSaysWhy) {
  const auto read = [](uint64_t written, bool dax) {
    Story s;
    s.open(0).ftruncate(0, 8192);
    if (written != 0) { s.pwrite(0, fill(1), written, 0); }
    s.pread_to(0, 4096, 0, kAddr, 0);  // nothing is mapped there
    s.on(0).dax = dax;
    return s.said();
  };
  EXPECT_THAT(read(4096, true), HasSubstr("returned 0 bytes"));
  EXPECT_EQ(read(0, true), "");  // a hole: Linux 6.1 says 0
  EXPECT_THAT(read(0, false), HasSubstr("returned 0 bytes"));
}

TEST(JudgeSignals, AWriteThatMovesNothingSaysWhy) {
  EXPECT_THAT(Story().open(0).pwrite(0, fill(1), 10, 0, 0).said(), HasSubstr("returned 0 for 10 bytes"));
  EXPECT_EQ(Story().open(0).pwrite(0, fill(1), 0, 0, 0).said(), "");
}

TEST(JudgeErrors, CleanRunHasNoMediaErrors) {
  EXPECT_NE(Story().open(0).pwrite(0, fill(1), 10, 0, -1, Errc::kIo).said(), "");
  EXPECT_NE(Story().open(0).pwrite(0, fill(1), 10, 0, -1, Errc::kRoFs).said(), "");
  EXPECT_EQ(Story().mount("ro,dax=always").open(0).pwrite(0, fill(1), 10, 0, -1, Errc::kRoFs).said(), "");
}

// The allocator does not own pages of pmem, so they cannot be taken offline; other advice has no such error.
// --- memory that goes bad

Story two_pages() {
  Story s;
  s.open(0).pwrite(0, fill(1), 8192, 0).mmap(0, 0, 8192, kAddr);
  return s;
}

TEST(JudgeMemoryFailure, ExplainsErrorsAndSignalsOfItsPageOnly) {
  EXPECT_EQ(two_pages().memory_failure(0, 5000).pread_error(0, 100, 4096, Errc::kIo).said(), "");
  EXPECT_EQ(two_pages().memory_failure(0, 5000).pread_error(0, 8192, 0, Errc::kIo).said(), "");
  EXPECT_EQ(two_pages().memory_failure(0, 5000).pread(0, 8192, 0, bytes(4096, 1)).said(), "");
  EXPECT_EQ(two_pages().memory_failure(0, 5000).pread_error(0, 4096, 0, Errc::kIo).said(),
            "O9: T0 op 5 (pread) failed with EIO where no page is bad");
  EXPECT_NE(two_pages().memory_failure(0, 5000).pread(0, 8192, 0, bytes(100, 1)).pread(0, 4096, 0, bytes(9, 1)).said(),
            "");
  EXPECT_EQ(two_pages().memory_failure(0, 5000).load(kAddr, 8192, bytes(4096, 1), Signal::kBusAdrerr).said(), "");
  EXPECT_NE(two_pages().memory_failure(0, 5000).load(kAddr, 8192, {}, Signal::kBusAdrerr).said(), "");
}

TEST(JudgeMemoryFailure, ExplainsNothingBeforeItOrWhenItWasRefused) {
  EXPECT_NE(two_pages().pread_error(0, 100, 4096, Errc::kIo).memory_failure(0, 4096).said(), "");
  EXPECT_NE(two_pages().memory_failure(0, 4096, Errc::kNxio).pread_error(0, 100, 4096, Errc::kIo).said(), "");
  EXPECT_EQ(two_pages().memory_failure(0, 4096, Errc::kBusy).pread_error(0, 100, 4096, Errc::kIo).said(), "");
}

TEST(JudgeMemoryFailure, EndsWithAWriteOfTheWholePage) {
  const auto after_write = [](uint64_t length) {
    Story s = two_pages();
    s.memory_failure(0, 4096).pwrite(0, fill(2), length, 4096);
    return s;
  };
  EXPECT_NE(after_write(4096).pread_error(0, 9, 4096, Errc::kIo).said(), "");
  EXPECT_EQ(after_write(4000).pread_error(0, 9, 4096, Errc::kIo).said(), "");
  EXPECT_EQ(after_write(4096).memory_failure(0, 4096).pread_error(0, 9, 4096, Errc::kIo).said(), "");
  // At the same time: who came last is not known.
  Story s = two_pages();
  s.during(20, 30).memory_failure(0, 4096).during(25, 35).pwrite(0, fill(2), 4096, 4096);
  EXPECT_EQ(s.pread_error(0, 9, 4096, Errc::kIo).said(), "");
}

TEST(JudgeErrors, PmemCannotBeTakenOffline) {
  const auto advise = [](uint32_t advice) {
    Story s;
    s.open(0).mmap(0, 0, 4096, kAddr);
    s.add({.code = OpCode::kMadvise, .flags = advice, .length = 4096, .addr = in_mapping()}, -1, Errc::kIo).address =
        kAddr;
    return s.said();
  };
  EXPECT_EQ(advise(prog::kAdvSoftOffline), "");
  EXPECT_NE(advise(prog::kAdvDontNeed), "");
}

TEST(JudgeErrors, OpenDescriptorIsNotBad) {
  EXPECT_NE(Story().open(0).pwrite(0, fill(1), 10, 0, -1, Errc::kBadf).fstat(0, 0).said(), "");
  EXPECT_EQ(Story().open(0, prog::kORdOnly).pwrite(0, fill(1), 10, 0, -1, Errc::kBadf).fstat(0, 0).said(), "");
  EXPECT_EQ(Story().open(0).close(0).pwrite(0, fill(1), 10, 0, -1, Errc::kBadf).fstat(0, 0).said(), "");
}

TEST(JudgeErrors, AccessModeThreeGivesNeitherReadNorWrite) {
  Story s;
  s.open(0, prog::kOAccMode).pwrite(0, fill(1), 10, 0, -1, Errc::kBadf).read(0, 10, {}).last().error = Errc::kBadf;
  EXPECT_EQ(s.said(), "");
}

TEST(JudgeErrors, DescriptorClosedAtTheSameTimeIsUnclear) {
  Story s;
  s.open(0).open(1).pwrite(0, fill(1), 10, 0);
  s.during(100, 200).close(0);
  s.during(150, 300).task(1).pread(0, 10, 0, bytes(10, 9));
  EXPECT_EQ(s.said(), "");
}

// --- the medium afterwards

// mremap(MREMAP_DONTUNMAP) of a shared mapping: both ranges show the file.
TEST(JudgeFinals, WhatDontUnmapLeavesStillShowsTheFile) {
  Story s;
  s.open(0).ftruncate(0, kPage).mmap(0, 0, kPage, kAddr);
  s.mremap(kAddr, kPage, kPage, kAddr2, prog::kRemapMayMove | prog::kRemapDontUnmap);
  s.touch(kAddr, kPage, 7).finally(0, bytes(1, 7) + bytes(kPage - 1, 0));
  EXPECT_EQ(s.said(), "");
}

// A descriptor's number was closed and opened anew while its open ran: whether a write through it appends is unknown.
TEST(JudgeFinals, AnAppendingDescriptorOfUnknownFileMayBeAnyFiles) {
  Story s;
  s.open(0).ftruncate(0, 100);
  s.during(20, 40).open(1, prog::kORdWr | prog::kOAppend);
  s.during(25, 30).close(1);
  s.during(50, 60).pwrite(1, fill(9), 10, 50).finally(1, bytes(10, 9));
  EXPECT_EQ(s.said(), "");
}

// The harness' memory for direct I/O was unmapped, and a mapping of the file came to its place.
TEST(JudgeFinals, ScratchMemoryThatWasUnmappedMayHaveBeenAMapping) {
  const auto story = [](uint64_t unmapped) {
    Story s;
    s.open(0).ftruncate(0, kPage).open(1).mmap(0, 0, kPage, kAddr).mmap(0, 0, kPage, kAddr2);
    s.during(50, 60).pwrite(1, fill(9), kPage, 0);
    s.last().dax = false;
    s.during(52, 58).munmap(unmapped, kPage);
    s.finally(0, bytes(kPage, 9));
    return s.said();
  };
  EXPECT_EQ(story(0x70000000), "");
  EXPECT_NE(story(kAddr2), "") << "only the mapping was unmapped: the scratch memory was never elsewhere";
}

// O8.
TEST(Judge, ObjectsToASyncThatLostAStore) {
  const auto story = [](OpCode code, bool reopened) {
    Story s;
    s.open(0).ftruncate(0, kPage).mmap(0, 0, kPage, kAddr);
    if (reopened) { s.during(20, 40).close(0); }
    s.during(30, 50).add({.code = code, .flags = prog::kMsSync, .addr = in_mapping()}, 0);
    if (code != OpCode::kSync) { s.on(0); }
    s.last().lost = {kInoBase, 3, kAddr};
    return s.said();
  };
  EXPECT_EQ(story(OpCode::kSync, false).substr(0, 4), "O8: ");
  Story unlinked;
  unlinked.open(0).add({.code = OpCode::kUnlink}, 0);
  unlinked.add({.code = OpCode::kSync}, 0).lost = {kInoBase, 3, 0};
  EXPECT_EQ(unlinked.said(), "") << "the file may be about to be deleted";
  EXPECT_EQ(story(OpCode::kMsync, true).substr(0, 4), "O8: ");
  EXPECT_EQ(story(OpCode::kFsync, false).substr(0, 4), "O8: ");
  EXPECT_EQ(story(OpCode::kFsync, true), "") << "the descriptor may have been another file's";
}

TEST(Judge, ObjectsToAWriteWithODsyncWhosePagesAreDirtyUnlessSomebodyRanBeside) {
  const auto story = [](bool beside) {
    Story s;
    s.open(0).ftruncate(0, 4 * kPage);
    s.during(30, 50).pwrite(0, fill(1), 10, 3 * kPage);
    s.last().lost = {kInoBase, 3, 0, /*cached=*/true};
    if (beside) { s.during(40, 60).task(1).pwrite(0, fill(1), 10, 3 * kPage); }
    return s.said();
  };
  EXPECT_NE(story(false).find("with O_DSYNC returned, but page 3"), std::string::npos) << story(false);
  EXPECT_EQ(story(true), "") << "who made it dirty again?";
}

// O8, of files with DAX.
TEST(Judge, ObjectsToASyncWithoutAFenceBehindAWriteThatCameBefore) {
  const auto story = [](OpCode code, uint32_t synced_file, uint64_t fenced, uint64_t written_at) {
    Story s;
    s.open(0).open(1);
    s.during(written_at, written_at + 10).pwrite(0, fill(1), 10, 0);
    s.last().unfenced = 7;
    s.during(50, 60).add({.code = code, .fd = static_cast<uint8_t>(synced_file)}, 0);
    if (code != OpCode::kSync) { s.on(synced_file); }
    s.last().fenced = fenced;
    return s.said();
  };
  EXPECT_NE(story(OpCode::kFsync, 0, 5, 20).find("is not fenced"), std::string::npos);
  EXPECT_NE(story(OpCode::kSync, 0, 5, 20).find("is not fenced"), std::string::npos);
  EXPECT_EQ(story(OpCode::kFsync, 0, 8, 20), "");
  EXPECT_EQ(story(OpCode::kFsync, 0, 5, 45), "") << "the write had not returned";
  EXPECT_EQ(story(OpCode::kFsync, 1, 5, 20), "") << "another file's";
}

TEST(Judge, ObjectsToAWriteWithODsyncThatIsNotFenced) {
  const auto story = [](uint32_t flags) {
    Story s;
    s.open(0, prog::kORdWr | prog::kOCreat | flags).pwrite(0, fill(1), 10, 0);
    s.last().open_flags = prog::kORdWr | flags;
    s.last().unfenced = 7;
    return s.said();
  };
  EXPECT_NE(story(prog::kODsync).find("is not fenced"), std::string::npos);
  EXPECT_EQ(story(0), "");
}

TEST(Judge, ObjectsToSuccessOnADescriptorThatWasNotOpenedForIt) {
  EXPECT_EQ(Story().open(0, prog::kORdOnly).pread(0, 1, 0, {}).said(), "");
  EXPECT_NE(Story().open(0, prog::kORdOnly).pwrite(0, fill(1), 0, 0).said(), "");
  EXPECT_NE(Story().open(0, prog::kORdOnly).ftruncate(0, 5).said(), "");
  EXPECT_NE(Story().open(0, prog::kOWrOnly).pread(0, 1, 0, {}).said(), "");
}

TEST(JudgeSizes, ConcurrentAppendsTogetherMakeTheFileLonger) {
  const auto story = [](uint64_t size) {
    Story s;
    s.open(0, prog::kORdWr | prog::kOCreat | prog::kOAppend).ftruncate(0, 100);
    s.during(20, 30).write(0, fill(1), 10);
    s.during(25, 35).task(1).write(0, fill(2), 10);
    s.fstat(0, size);
    return s.said();
  };
  EXPECT_EQ(story(120), "");
  EXPECT_NE(story(110), "") << "one is lost";
  EXPECT_NE(story(130), "");
}

TEST(JudgeReads, ConcurrentReadsOfADescriptorTogetherMoveItsPosition) {
  const auto story = [](uint8_t value) {
    Story s;
    s.open(0).pwrite(0, fill(1), 20, 0).pwrite(0, fill(2), 10, 20);
    s.during(20, 30).read(0, 10, bytes(10, 1));
    s.during(25, 35).task(1).read(0, 10, bytes(10, 1));
    s.read(0, 10, bytes(10, value));
    return s.said();
  };
  EXPECT_EQ(story(2), "");
  EXPECT_NE(story(1), "") << "both read the same bytes";
}

TEST(JudgeMappings, APrivateCopyHoldsTheFileOrWhatWasStored) {
  const auto story = [](std::vector<uint8_t> page, bool beside = true) {
    Story s;
    s.open(0).pwrite(0, fill(1), kPage, 0).mmap(0, 0, kPage, kAddr, prog::kMapPrivate);
    s.during(20, 30).store(kAddr + 10, 20, sequence(7));
    s.during(beside ? 25 : 31, 40).task(1).pwrite(0, fill(2), kPage, 0);
    s.during(41, 42).load(kAddr, kPage, std::move(page));
    return s.said();
  };
  const auto stored = sequence_bytes(20, 7);
  EXPECT_EQ(story(bytes(10, 1) + stored + bytes(kPage - 30, 1)), "");
  EXPECT_EQ(story(bytes(10, 1) + stored + bytes(kPage - 30, 2)), "") << "copied when the write was half done";
  EXPECT_NE(story(bytes(10, 1) + stored + bytes(kPage - 30, 2), false), "") << "copied before";
  EXPECT_NE(story(bytes(10, 1) + stored + bytes(kPage - 30, 0)), "");
  EXPECT_NE(story(bytes(11, 7) + stored + bytes(kPage - 31, 1)), "");

  Story s;  // the copy is made after the load has begun; a touch stores the pattern's first byte
  s.open(0).ftruncate(0, 2 * kPage).mmap(0, 0, 2 * kPage, kAddr, prog::kMapPrivate);
  s.during(20, 50).load(kAddr, 2 * kPage, bytes(1, 5) + bytes(kPage - 1, 0) + bytes(1, 5) + bytes(kPage - 1, 9));
  s.during(30, 40)
      .task(1)
      .add({.code = OpCode::kTouch, .length = 2 * kPage, .addr = in_mapping(), .buffer = sequence(5)}, 2)
      .address = kAddr;
  s.during(42, 44).task(2).pwrite(0, fill(9), 2 * kPage, 0);
  EXPECT_EQ(s.said(), "");
}

TEST(JudgeFinals, MediumHoldsTheLastBytes) {
  EXPECT_EQ(Story().open(0).pwrite(0, fill(1), 10, 0).finally(0, bytes(10, 1)).said(), "");
  EXPECT_NE(Story().open(0).pwrite(0, fill(1), 10, 0).finally(0, bytes(10, 2)).said(), "");
  EXPECT_NE(Story().open(0).pwrite(0, fill(1), 10, 0).finally(0, bytes(9, 1)).said(), "");
  EXPECT_EQ(Story().open(0).pwrite(0, fill(1), 10, 0).ftruncate(0, 1 << 20).finally(0, bytes(4096, 0)).said(),
            "O9: on the medium inode 12 has size 4096; only 1048576 to 1048576 possible");
  const auto page = bytes(10, 1) + bytes(4086, 0);
  EXPECT_EQ(Story()
                .open(0)
                .pwrite(0, fill(1), 10, 0)
                .ftruncate(0, 1 << 20)
                .finally(0, page)
                .finally_hole(4096, (1 << 20) - 4096)
                .said(),
            "");
  EXPECT_NE(Story()
                .open(0)
                .pwrite(0, fill(1), 10, 0)
                .ftruncate(0, 1 << 20)
                .pwrite(0, fill(2), 1, 900000)
                .finally(0, page)
                .finally_hole(4096, (1 << 20) - 4096)
                .said(),
            "");
}

TEST(Judge, IsSilentOnRunsThatEndedInsideAnOperation) {
  Story s;
  s.open(0).pwrite(0, fill(1), 10, 0).pread(0, 10, 0, bytes(10, 2));
  s.last().finished = false;
  EXPECT_EQ(s.said(), "");
}

// A copy that the process has made by a store is its own, whatever becomes of the file.
TEST(JudgePrivate, AStoreStaysUntilSomethingTakesTheCopy) {
  const auto after = [](auto between, uint8_t seen) {
    Story s;
    s.open(0)
        .pwrite(0, fill(0x41), kPage, 0)
        .mmap(0, 0, kPage, 0x10000, prog::kMapPrivate)
        .store(0x10000, 8, fill(0x42));
    between(s);
    return s.load(0x10000, 8, bytes(8, seen)).said();
  };
  const auto punch = [](Story& s) { s.fallocate(0, prog::kFallocPunch | prog::kFallocKeepSize, 0, kPage); };
  EXPECT_EQ(after(punch, 0x42), "");
  EXPECT_NE(after(punch, 0), "");
  EXPECT_NE(after([](Story& s) { s.pwrite(0, fill(0x43), kPage, 0); }, 0x43), "");
  const auto drop = [](Story& s) {
    s.add({.code = OpCode::kMadvise, .flags = prog::kAdvDontNeed, .length = kPage, .addr = in_mapping()}, 0).address =
        0x10000;
  };
  EXPECT_EQ(after(drop, 0x41), "");
  const auto drop_next = [](Story& s) {
    s.add({.code = OpCode::kMadvise, .flags = prog::kAdvDontNeed, .length = kPage, .addr = in_mapping()}, 0).address =
        0x11000;
  };
  EXPECT_NE(after(drop_next, 0x41), "");
  const auto cut = [](Story& s) { s.ftruncate(0, 0).ftruncate(0, kPage); };
  EXPECT_EQ(after(cut, 0), "");
}

// So are the bytes of its page that it did not store to.
TEST(JudgePrivate, ACopyKeepsTheBytesThatTheFileHadThen) {
  const auto seen = [](uint8_t rest, bool touch) {
    Story s;
    s.open(0).pwrite(0, fill(0x41), kPage, 0).mmap(0, 0, kPage, 0x10000, prog::kMapPrivate);
    touch ? s.touch(0x10004, kPage - 4, 0x42) : s.store(0x10004, 1, fill(0x42));
    s.pwrite(0, fill(0x43), kPage, 0);
    return s.load(0x10000, 8, bytes(4, rest) + bytes(1, 0x42) + bytes(3, rest)).said();
  };
  for (const bool touch : {false, true}) {
    EXPECT_EQ(seen(0x41, touch), "");
    EXPECT_NE(seen(0x43, touch), "");
  }
}

TEST(JudgeMappings, NothingIsReadWhereNothingIsMapped) {
  const auto loads = [](uint64_t at, uint64_t unmapped) {
    Story s;
    s.open(0).ftruncate(0, 3 * kPage).mmap(0, 0, 3 * kPage, 0x10000).munmap(0x11000, unmapped);
    return s.load(at, 8, bytes(8, 0)).said();
  };
  EXPECT_EQ(loads(0x10000, kPage + 1), "");
  EXPECT_NE(loads(0x11000, kPage + 1), "");
  EXPECT_NE(loads(0x12000, kPage + 1), "") << "the length is rounded up";
  EXPECT_EQ(loads(0x12000, kPage), "");
}

TEST(JudgeDurability, OneFsyncIsToldOfAWriteThatFailed) {
  // `other_at`: when another task's fsync began, which takes 5.
  const auto story = [](uint64_t other_at, Errc error = Errc::kOk, Errc other_error = Errc::kOk) {
    Story s;
    s.mount("fail_bio=1").open(0);
    s.during(30, 40).task(0);
    s.add({.code = OpCode::kFsync, .fd = 0}, 0, error);
    s.on(0).lost = {.ino = kInoBase, .page = 0, .address = 0, .cached = true, .refused = true};
    s.during(other_at, other_at + 5).task(1);
    s.add({.code = OpCode::kFsync, .fd = 0}, 0, other_error);
    s.on(0);
    return s.said();
  };
  EXPECT_NE(story(45), "");
  EXPECT_EQ(story(35), "") << "the other one may have been told";
  EXPECT_EQ(story(45, Errc::kIo), "");
  EXPECT_NE(story(20), "");
  EXPECT_EQ(story(20, Errc::kOk, Errc::kIo), "") << "who opens the file afterwards is not told";
}

TEST(JudgeDurability, EachOpenFileIsToldOnceOfAWriteThatFailed) {
  struct Sync {
    uint32_t fd;
    Errc error;
  };
  // Two descriptors of one file, the second opened at `second_at`; fsyncs at 30, 40, ...
  const auto story = [](uint64_t second_at, std::initializer_list<Sync> syncs) {
    Story s;
    s.mount("fail_bio=1").during(1, 2).open(0);
    uint64_t at = 30;
    const auto open_second = [&] {
      s.during(second_at, second_at + 2);
      s.add({.code = OpCode::kOpen, .result = 1, .path = 0, .flags = prog::kORdWr}, 9);
      s.on(0).fd = 9;
    };
    if (second_at < at) { open_second(); }
    for (const Sync& sync : syncs) {
      if (second_at > at - 10 && second_at < at) { open_second(); }
      s.during(at, at + 5).add({.code = OpCode::kFsync, .fd = static_cast<uint8_t>(sync.fd)}, 0, sync.error);
      s.on(0).fd = sync.fd == 0 ? 3 : 9;
      at += 10;
    }
    return s.said();
  };
  constexpr Errc kOk = Errc::kOk, kIo = Errc::kIo;
  EXPECT_EQ(story(10, {{0, kIo}, {1, kIo}, {0, kOk}, {1, kOk}}), "");
  EXPECT_NE(story(10, {{0, kIo}, {1, kOk}}).find("is not told of"), std::string::npos);
  EXPECT_NE(story(10, {{0, kIo}, {0, kIo}}).find("through the same open file"), std::string::npos);
  EXPECT_EQ(story(36, {{0, kIo}, {1, kOk}}), "") << "opened when somebody had been told";
  EXPECT_EQ(story(10, {{1, kIo}, {0, kIo}, {1, kOk}}), "") << "told before";
}

}  // namespace
}  // namespace daxfuzz::oracle
