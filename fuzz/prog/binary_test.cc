// fuzz/prog/binary_test.cc - any bytes are a valid program, and the encoding loses nothing.
#include "fuzz/prog/binary.h"

#include <vector>

#include <gtest/gtest.h>

#include "fuzz/prog/binary_tags.h"
#include "fuzz/prog/edit.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/random.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::prog {
namespace {

TEST(Binary, EmptyBytesAreTheMinimalProgram) {
  EXPECT_EQ(decode({}), Program::minimal());
  EXPECT_EQ(decode(encode(Program::minimal())), Program::minimal());
  EXPECT_EQ(validate(Program::minimal()), "");
}

TEST(Binary, RandomBytesAreValidPrograms) {
  Random random(1);
  Program reused;
  size_t ops = 0;
  for (int round = 0; round < 50000; round++) {
    std::vector<uint8_t> bytes(random.below(300));
    for (uint8_t& b : bytes) { b = static_cast<uint8_t>(random.next()); }
    decode(bytes, &reused);
    ASSERT_EQ(validate(reused), "") << round;
    ASSERT_EQ(reused, decode(bytes)) << "memory of the last program shows through";
    ASSERT_EQ(decode(encode(reused)), reused);
    ops += reused.op_count();
  }
  EXPECT_GT(ops, 50000u);
}

TEST(Binary, EveryPrefixOfAnEncodingKeepsTheOperationsBeforeTheCut) {
  Random random(2);
  for (int round = 0; round < 200; round++) {
    const Program program = generate(random);
    const std::vector<uint8_t> bytes = encode(program);
    size_t last = 0;
    for (size_t cut = 0; cut <= bytes.size(); cut++) {
      const Program part = decode(std::span<const uint8_t>(bytes).first(cut));
      ASSERT_EQ(validate(part), "");
      const size_t ops = part.op_count() + part.init_op_count();
      ASSERT_GE(ops, last);
      last = ops;
    }
    ASSERT_EQ(last, program.op_count() + program.init_op_count());
  }
}

TEST(Binary, EncodingOfAProgramIsCompact) {
  Random random(3);
  size_t bytes = 0;
  size_t ops = 0;
  for (int round = 0; round < 1000; round++) {
    const Program program = generate(random);
    bytes += encoded_size(program);
    ops += program.op_count() + program.init_op_count();
  }
  EXPECT_LT(bytes, 10 * ops) << "schedule and header included";
}

TEST(Binary, EncodeIntoASmallBufferTellsTheWholeSize) {
  Random random(4);
  const Program program = generate(random);
  std::vector<uint8_t> small(5, 0xaa);
  EXPECT_EQ(encode(program, std::span<uint8_t>(small).first(4)), encoded_size(program));
  EXPECT_EQ(small[4], 0xaa) << "wrote behind the end";
}

TEST(Binary, RecordsBeyondABoundAreDropped) {
  std::vector<uint8_t> bytes(4000, static_cast<uint8_t>(OpCode::kSync));
  bytes[0] = bytes[1] = bytes[2] = 0;
  EXPECT_EQ(decode(bytes).op_count(), kOpsMax);
  std::fill(bytes.begin() + 3, bytes.end(), static_cast<uint8_t>(binary::kTagTask + 3));
  EXPECT_EQ(decode(bytes).tasks.size(), kTasksMax);
  EXPECT_EQ(decode(bytes).processes.size(), kProcessesMax);
  std::fill(bytes.begin() + 3, bytes.end(), static_cast<uint8_t>(binary::kTagPreempt));
  EXPECT_EQ(decode(bytes).schedule.size(), kPreemptionsMax);
}

TEST(Binary, VersionIsRecognised) {
  EXPECT_EQ(binary_version(encode(Program::minimal())), kFormatVersion);
  EXPECT_EQ(binary_version({}), 0u);
  const uint8_t later[] = {0xd7};
  EXPECT_EQ(binary_version(later), 7u);
  const uint8_t text[] = {'d'};
  EXPECT_EQ(binary_version(text), 0u);
}

TEST(Binary, NamesOutsideTheTablesAreCarriedAsBytes) {
  Program program = Program::minimal();
  program.image = "somebody-elses.img";
  program.mount = "dax=inode,errors=remount-ro";
  program.tasks[0].ops.push_back(Op{.code = OpCode::kUnlink, .path = intern_path(program, "never seen")});
  ASSERT_EQ(validate(program), "");
  EXPECT_EQ(decode(encode(program)), program);
}

// Opcodes and pool rows are stored as row numbers: whoever reorders a table breaks every stored
// finding. Append only.
TEST(Binary, NumbersInStoredProgramsNeverChange) {
  EXPECT_EQ(static_cast<int>(OpCode::kOpen), 0);
  EXPECT_EQ(static_cast<int>(OpCode::kFallocate), 9);
  EXPECT_EQ(static_cast<int>(OpCode::kStore), 33);
  EXPECT_EQ(static_cast<int>(OpCode::kSetXflags), 37);
  EXPECT_EQ(find_path("f0"), 0);
  EXPECT_EQ(find_path("d0"), kPoolDir0);
  EXPECT_EQ(find_path("lost+found"), 41);
  EXPECT_EQ(image_names()[0], "small");
  EXPECT_EQ(mount_options()[0], "dax=always");
}

TEST(Binary, PoolRowsOfOtherSpellingsNameTheSameFile) {
  for (const PoolName& name : path_pool()) {
    ASSERT_LT(name.same_as, path_pool().size());
    EXPECT_EQ(path_pool()[name.same_as].same_as, name.same_as) << name.text;
    EXPECT_EQ(find_path(name.text), &name - path_pool().data()) << "twice in the pool: " << name.text;
  }
  EXPECT_EQ(path_pool()[path_pool()[static_cast<size_t>(find_path("/f0"))].same_as].text, "f0");
  EXPECT_EQ(path_pool()[path_pool()[static_cast<size_t>(find_path("d0/../f0"))].same_as].text, "f0");
}

}  // namespace
}  // namespace daxfuzz::prog
