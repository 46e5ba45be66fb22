#include "fuzz/markup/markup.h"

#include <gtest/gtest.h>

namespace daxfuzz::markup {
namespace {

using Lines = std::vector<std::string>;

TEST(Markup, EscapesWhatWouldEndTextOrAttribute) {
  EXPECT_EQ(escape("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
}

TEST(Markup, WrapsAtWords) {
  EXPECT_EQ(wrap("aa bb cc", 5), (Lines{"aa bb", "cc"}));
  EXPECT_EQ(wrap("aa bb", 4, "> ", "  "), (Lines{"> aa", "  bb"}));
}

TEST(Markup, CutsAWordThatIsLongerThanALine) { EXPECT_EQ(wrap("aaaaaaaaaa", 4), (Lines{"aaaa", "aaaa", "aa"})); }

TEST(Markup, OfNothingItMakesOneLine) { EXPECT_EQ(wrap("", 10), (Lines{""})); }

}  // namespace
}  // namespace daxfuzz::markup
