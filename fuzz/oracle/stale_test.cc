// fuzz/oracle/stale_test.cc - what a previous owner left is seen where the model cannot tell anything.
#include "fuzz/oracle/stale.h"

#include <gtest/gtest.h>

#include "fuzz/oracle/story.h"

namespace daxfuzz::oracle::testing {
namespace {

// A file of which the model knows nothing: some append went it does not know where.
Story blurred() {
  Story s;
  s.open(0).pwrite(0, fill(0x41), 4096, 0);
  return s;
}

TEST(Leftovers, AReadShowsThemThoughAnythingIsPossibleThere) {
  Story s = blurred();
  s.pread(0, 4096, 0, bytes(4096, 0x41));
  s.history().filled_files = true;
  EXPECT_EQ(s.said(), "");
  s.open(1);
  s.pread(1, 512, 0, bytes(200, 0x55) + bytes(312, 0xdb));
  EXPECT_NE(s.said().find("got stale bytes 0xdb at byte 200"), std::string::npos) << s.said();
}

TEST(Leftovers, AFewSuchBytesAreData) {
  Story s = blurred();
  s.history().filled_files = true;
  s.open(1);
  s.pread(1, 512, 0, sequence_bytes(512, 0x61));
  EXPECT_EQ(s.said(), "");
  s.pread(1, 4096, 0, bytes(63, 0xdb) + bytes(4033, 0x55));
  EXPECT_EQ(s.said(), "");
}

TEST(Leftovers, WhereverARunOfThemBegins) {
  for (size_t before = 0; before < 200; before++) {
    Story s;
    s.history().filled_files = true;
    s.open(1);
    s.pread(1, 512, 0, bytes(before, 0xdb - 1) + bytes(64, 0xdb) + bytes(512 - 64 - before, 0));
    ASSERT_NE(s.said(), "") << before;
  }
}

TEST(Leftovers, AProgramThatWritesTheByteIsNotJudged) {
  Story s;
  s.open(0).pwrite(0, fill(0xdb), 4096, 0);
  s.pread(0, 4096, 0, bytes(4096, 0xdb));
  EXPECT_EQ(s.said(), "");
}

TEST(Leftovers, TheMediumOfAnUnknownFileShowsThem) {
  Story s;
  s.history().filled_files = true;
  s.open(0).finally(0, bytes(1000, 0x55) + bytes(3000, 0xdb));
  EXPECT_NE(s.said().find("has stale bytes 0xdb at file offset 1000"), std::string::npos) << s.said();
}

class Tail : public ::testing::Test {
 protected:
  void SetUp() override {
    s_.open(0).pwrite(0, fill(0x41), 1000, 0);
    s_.finally(0, bytes(1000, 0x41));
    for (OpRecord& record : s_.history().records) { record.dax = false; }
    s_.history().finals.back().tail = s_.keep(bytes(500, 0) + bytes(1, 0x54) + bytes(2595, 0));
  }
  void read_into_a_mapping(uint32_t open_flags) {
    s_.open(1).pwrite(1, fill(0x41), 4096, 0).mmap(0, 0, 4096, 0x10000).pread_to(1, 4096, 0, 0x10000);
    for (OpRecord& record : s_.history().records) { record.dax = false; }
    s_.last().open_flags = open_flags;
  }

  Story s_;
};

TEST_F(Tail, HasZerosOnlyIfThePageCacheWroteTheFile) {
  EXPECT_NE(s_.said().find("has 0x54 behind its end, at offset 1500"), std::string::npos) << s_.said();
}

TEST_F(Tail, OfAFileWithDaxHoldsWhatMappingsStoredThere) {
  for (OpRecord& record : s_.history().records) { record.dax = true; }
  EXPECT_EQ(s_.said(), "");
}

TEST_F(Tail, IsNotJudgedWhereADeviceMayHaveWrittenIt) {
  read_into_a_mapping(prog::kORdWr | prog::kODirect);
  EXPECT_EQ(s_.said(), "");
}

TEST_F(Tail, IsJudgedBesideAReadThatIsCopiedIntoAMapping) {
  read_into_a_mapping(prog::kORdWr);
  EXPECT_NE(s_.said(), "");
}

TEST_F(Tail, IsNotJudgedAfterMemoryRanOut) {
  s_.history().memory_ran_out = true;
  EXPECT_EQ(s_.said(), "");
}

}  // namespace
}  // namespace daxfuzz::oracle::testing
