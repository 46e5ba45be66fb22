// fuzz/xarray/xarray_ops_test.cc - any bytes are a sequence, and its text is the same sequence.
#include <gtest/gtest.h>

#include "fuzz/xarray/ops.h"

namespace daxfuzz::xarray {
namespace {

TEST(XarrayOps, AnyBytesAreASequenceThatItsTextGivesBack) {
  uint64_t state = 1;
  for (int round = 0; round < 200; ++round) {
    std::vector<uint8_t> bytes(static_cast<size_t>(round));
    for (uint8_t& byte : bytes) { byte = static_cast<uint8_t>((state = state * 6364136223846793005 + 1) >> 56); }
    const Sequence sequence = decode(bytes);
    const std::string text = print(sequence);
    Sequence back;
    std::string error;
    ASSERT_TRUE(parse(text, "text", &back, &error)) << error << "\n" << text;
    ASSERT_EQ(print(back), text);
    ASSERT_TRUE(back == sequence) << text;
  }
}

TEST(XarrayOps, MessagesNameTheLineAndWhatWasExpected) {
  Sequence sequence;
  std::string error;
  const auto message = [&](const char* text) {
    EXPECT_FALSE(parse(text, "f", &sequence, &error));
    return error;
  };
  EXPECT_EQ(message(""), "f:1: expected `xarray fanout 64` or `xarray fanout 4`");
  EXPECT_EQ(message("# c\nxarray fanout 5\n"), "f:2: expected `xarray fanout 64` or `xarray fanout 4`");
  EXPECT_EQ(message("xarray fanout 4\nstore 1 order 64 value 1"), "f:2: expected an order up to 63");
  EXPECT_EQ(message("xarray fanout 4\nstore 1"),
            "f:2: expected `value N` below 2^63, `pointer N` up to 7, or `reserved`");
  EXPECT_EQ(message("xarray fanout 4\nmark 1 3"), "f:2: expected a mark: 0, 1 or 2");
  EXPECT_EQ(message("xarray fanout 4\nget 1 2"), "f:2: expected the end of the line");
  EXPECT_EQ(message("xarray fanout 4\n\njump"), "f:3: expected an operation (fuzz/xarray/ops.h lists them)");
}

}  // namespace
}  // namespace daxfuzz::xarray
