// fuzz/oracle/room_test.cc - who says that there is no room, and is it so? NR1.
#include "fuzz/oracle/room.h"

#include <gtest/gtest.h>

#include "fuzz/oracle/story.h"

namespace daxfuzz::oracle::testing {
namespace {

// What is said of an operation that failed for want of room, in a program of which it is all.
template <typename Tell>
std::string said_of(const Op& op, uint64_t blocks, uint64_t inodes, const char* mount, Tell tell) {
  Story story;
  story.mount(mount);
  story.program_of(op);
  story.history().blocks_available = blocks;
  story.history().inodes_free = inodes;
  tell(story);
  return story.said();
}

std::string no_space(const Op& op, uint64_t blocks, uint64_t inodes, const char* mount = "") {
  return said_of(op, blocks, inodes, mount, [&](Story& story) {
    story.open(0);
    story.add(op, -1, Errc::kNoSpc);
    story.on(0);
  });
}

TEST(Room, NoSpaceIsNoAnswerWhileThereIsPlenty) {
  const Op op{.code = OpCode::kPwrite, .length = 8192, .buffer = fill(1)};
  EXPECT_EQ(no_space(op, 1000, 10).substr(0, 3), "NR1");
  EXPECT_EQ(no_space(op, 10, 10), "");
  EXPECT_EQ(no_space(op, 0, 0), "");  // not known
  EXPECT_EQ(no_space(op, 1000, 10, "fail_alloc=3"), "");
}

TEST(Room, InodesCountToo) {
  const Op op{.code = OpCode::kMkdir, .mode = 0755};
  EXPECT_EQ(no_space(op, 1000, 10).substr(0, 3), "NR1");
  EXPECT_EQ(no_space(op, 1000, 1), "");
}

TEST(Room, AStoreThatFindsNoBlockIsJudgedLikeALoad) {
  const Op op{.code = OpCode::kStore, .length = 8, .addr = in_mapping(), .buffer = fill(1)};
  const auto tell = [](Story& story) {
    story.open(0).ftruncate(0, kPage).mmap(0, 0, kPage, 0x10000);
    story.store(0x10000, 8, fill(1), 0);
    story.last().signal = Signal::kBusAdrerr;
    story.last().fault_offset = 0;
  };
  EXPECT_NE(said_of(op, 1000, 10, "", tell), "");
  EXPECT_EQ(said_of(op, 10, 10, "", tell), "");
  EXPECT_EQ(said_of(op, 1000, 10, "",
                    [&](Story& story) {
                      tell(story);
                      story.add({.code = OpCode::kSetXflags, .flags = prog::kXflagImmutable}, 0);
                    }),
            "");
}

TEST(Room, WhatAProgramAsksForIsAddedUp) {
  prog::Program program = prog::Program::minimal();
  program.tasks[0].ops = {{.code = OpCode::kFallocate, .length = 64 * 4096}, {.code = OpCode::kMkdir}};
  EXPECT_GE(demand_of(program).blocks, 64u);
  EXPECT_EQ(demand_of(program).inodes, 1u);
  program.tasks[0].ops[0].length = int64_t{1} << 62;
  EXPECT_GE(demand_of(program).blocks, uint64_t{1} << 40);
  // One store may take a whole huge page.
  program.tasks[0].ops = {{.code = OpCode::kStore, .length = 1}, {.code = OpCode::kMmap, .length = 2 << 20}};
  EXPECT_GE(demand_of(program).blocks, 512u);
}

}  // namespace
}  // namespace daxfuzz::oracle::testing
