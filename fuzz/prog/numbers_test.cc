// fuzz/prog/numbers_test.cc - sizes read back as they were written.
#include "fuzz/prog/numbers.h"

#include <cstdint>

#include <gtest/gtest.h>

#include "fuzz/prog/random.h"

namespace daxfuzz::prog {
namespace {

std::string written(int64_t value) {
  std::string out;
  append_size(out, value);
  return out;
}

TEST(Numbers, CanonicalFormsAreThoseOfTheManual) {
  EXPECT_EQ(written(0), "0");
  EXPECT_EQ(written(100), "100");
  EXPECT_EQ(written(1024), "1K");
  EXPECT_EQ(written(4096), "4K");
  EXPECT_EQ(written(4097), "4K+1");
  EXPECT_EQ(written(4095), "4K-1");
  EXPECT_EQ(written(8292), "8K+100");
  EXPECT_EQ(written(2 << 20), "2M");
  EXPECT_EQ(written((2 << 20) - 1), "2M-1");
  EXPECT_EQ(written(6000), "6000");
  EXPECT_EQ(written(-1), "-1");
  EXPECT_EQ(written(-4096), "-4K");
  EXPECT_EQ(written(-4097), "-4K-1");
  EXPECT_EQ(written(INT64_MAX), "8388608T-1");
  EXPECT_EQ(written(INT64_MIN), "-8388608T");
}

TEST(Numbers, EveryValueReadsBack) {
  Random random(1);
  for (int i = 0; i < 100000; i++) {
    const auto value = static_cast<int64_t>(random.next() >> random.below(64)) * (random.chance(1, 4) ? -1 : 1) +
                       random.between(-1, 1);
    int64_t back = 0;
    ASSERT_TRUE(parse_size(written(value), &back)) << written(value);
    ASSERT_EQ(back, value) << written(value);
  }
}

TEST(Numbers, OtherSpellingsAreAccepted) {
  int64_t value = 0;
  EXPECT_TRUE(parse_size("0x1000", &value));
  EXPECT_EQ(value, 4096);
  EXPECT_TRUE(parse_size("8k+0x10-1", &value));
  EXPECT_EQ(value, 8192 + 15);
  EXPECT_TRUE(parse_size("0xffffffffffffffff", &value));
  EXPECT_EQ(value, -1);
  EXPECT_TRUE(parse_size("-9223372036854775808", &value));
  EXPECT_EQ(value, INT64_MIN);
}

TEST(Numbers, AnythingElseIsRefused) {
  int64_t value = 77;
  for (const char* text : {"", "-", "+", "K", "4KB", "4K8K", "0x", "1.5K", "18446744073709551616", "16777216T+1", "--1",
                           "-9223372036854775809", "99999999999999999999999999999999999999999999999999", "4K+"}) {
    EXPECT_FALSE(parse_size(text, &value)) << text;
  }
  EXPECT_EQ(value, 77);
  uint8_t byte = 0;
  EXPECT_FALSE(parse_byte("256", &byte));
  EXPECT_FALSE(parse_byte("-1", &byte));
  EXPECT_FALSE(parse_byte("", &byte));
  EXPECT_TRUE(parse_byte("0xff", &byte));
  EXPECT_EQ(byte, 255);
}

}  // namespace
}  // namespace daxfuzz::prog
