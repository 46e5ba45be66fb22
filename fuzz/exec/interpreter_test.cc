// fuzz/exec/interpreter_test.cc - what operands mean when an operation runs, and what its record says.
#include "fuzz/exec/interpreter.h"

#include <gtest/gtest.h>

#include "fuzz/exec/executor.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::exec {
namespace {

using daxfs::Errc;
using oracle::Signal;

TEST(Interpreter, ArenaGivesSeparateMemoryAndReusesIt) {
  Arena arena;
  const auto a = arena.take(100);
  const auto b = arena.take(100);
  ASSERT_EQ(a.size(), 100u);
  EXPECT_TRUE(b.data() >= a.data() + 100 || a.data() >= b.data() + 100);
  const auto large = arena.take(size_t{8} << 20);
  EXPECT_EQ(large.size(), size_t{8} << 20);
  large.back() = std::byte{1};
  arena.reset();
  EXPECT_EQ(arena.take(100).data(), a.data());
}

TEST(Interpreter, Fnv1aHasItsPublishedValues) {
  EXPECT_EQ(fnv1a64({}), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a64(std::as_bytes(std::span("foobar", 6))), 0x85944171f73967e8u);
}

// One task's operations, with the filesystem around them.
class Operations : public testing::Test {
 protected:
  void run(const std::string& operations) {
    std::string error;
    const std::string text = "daxfuzz program 1\nmount dax=always\ntask T0 in P0\n" + operations;
    ASSERT_TRUE(prog::parse(text, "test", &program_, &error)) << error;
    executor_.run(program_, {}, &outcome_);
    ASSERT_FALSE(outcome_.finding) << finding_title(*outcome_.finding);
    ASSERT_EQ(outcome_.mount_error, "");
  }
  const oracle::OpRecord& op(size_t index) { return outcome_.history.records.at(index); }

  prog::Program program_;
  Executor executor_;
  Outcome outcome_;
};

TEST_F(Operations, ARequestsRecordSaysWhatBecameOfIt) {
  run("  f = open \"f0\" rdwr|creat\n  pwrite f seq:0x41 8K 0\n  io_submit_pwrite f 0x61 4K 4K\n"
      "  io_submit_pread f buf 8K 4K\n  io_getevents 1\n  io_submit_pread bad buf 4K 0\n  io_getevents 0\n");
  EXPECT_EQ(op(2).ret, 4096);
  EXPECT_EQ(op(3).ret, 4096);
  ASSERT_EQ(op(3).data.size(), 4096u);
  EXPECT_EQ(op(3).data[0], std::byte{0x61});
  EXPECT_EQ(op(4).ret, 1);
  EXPECT_EQ(op(5).error, Errc::kBadf);
  EXPECT_EQ(op(6).ret, 1);
  EXPECT_GT(op(3).end_seq, op(3).submitted_seq);
}

TEST_F(Operations, SlotNeverAssignedIsABadDescriptorOrNoMemory) {
  run("  read f3 buf 10\n  close bad\n  load m3 0 10\n  munmap m3 0\n");
  EXPECT_EQ(op(0).error, Errc::kBadf);
  EXPECT_EQ(op(0).ret, -1);
  EXPECT_EQ(op(1).error, Errc::kBadf);
  EXPECT_EQ(op(2).signal, Signal::kSegvMaperr);
  EXPECT_EQ(op(2).fault_offset, 0);
  EXPECT_EQ(op(3).error, Errc::kInval);
}

TEST_F(Operations, FailedOpenLeavesAnInvalidDescriptor) {
  run("  f = open \"f0\" rdwr|creat\n  f = open \"nosuch\" rdonly\n  fstat f\n");
  EXPECT_EQ(op(1).error, Errc::kNoEnt);
  EXPECT_EQ(op(2).error, Errc::kBadf);
}

TEST_F(Operations, ClosedSlotHoldsTheNumberThatALaterOpenMayGet) {
  run("  f = open \"f0\" rdwr|creat\n  close f\n  fstat f\n  g = open \"g0\" rdwr\n  fstat f\n");
  EXPECT_EQ(op(2).error, Errc::kBadf);
  EXPECT_EQ(op(4).error, Errc::kOk);
}

TEST_F(Operations, SourcesHaveTheirPatterns) {
  run("  f = open \"f0\" rdwr|creat\n  write f 0x41@1 100\n  write f seq:0x10 600\n  pread f buf 700 0\n");
  ASSERT_EQ(op(3).data.size(), 700u);
  EXPECT_EQ(op(3).data[99], std::byte{0x41});
  for (uint64_t i = 0; i < 600; ++i) {
    ASSERT_EQ(std::to_integer<uint8_t>(op(3).data[100 + i]), prog::sequence_byte(0x10, i)) << i;
  }
}

TEST_F(Operations, LoadAndStoreEndWithTheSignalAndItsOffset) {
  run("  f = open \"f0\" rdwr|creat\n  ftruncate f 4K\n  m = mmap f 0 8K read|write shared\n  store m 4000 200 0x42\n"
      "  load m 0 4K\n  mprotect m 4K read\n  store m 0 1 0x43\n");
  EXPECT_EQ(op(3).signal, Signal::kBusAdrerr);
  EXPECT_EQ(op(3).fault_offset, 96);
  EXPECT_EQ(op(3).ret, 96);
  EXPECT_EQ(op(4).data[4095], std::byte{0x42});
  EXPECT_EQ(op(6).signal, Signal::kSegvAccerr);
}

TEST_F(Operations, TouchStoresOneByteAPage) {
  run("  f = open \"f0\" rdwr|creat\n  ftruncate f 12K\n  m = mmap f 0 12K read|write shared\n  touch m 5 8200 0x42\n"
      "  pread f buf 12K 0\n");
  EXPECT_EQ(op(3).ret, 3);
  size_t stored = 0;
  for (const std::byte byte : op(4).data) { stored += byte == std::byte{0x42}; }
  EXPECT_EQ(stored, 3u);
  EXPECT_EQ(op(4).data[8197], std::byte{0x42});
}

}  // namespace
}  // namespace daxfuzz::exec
