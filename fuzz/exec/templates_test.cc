// fuzz/exec/templates_test.cc - the images that programs start from.
#include "fuzz/exec/templates.h"

#include <sstream>

#include <gtest/gtest.h>

#include "fs/check/media.h"

namespace daxfuzz::exec {
namespace {

TEST(Templates, EachNameHasACleanImageOfWholeBlocks) {
  std::istringstream names(template_names());
  size_t count = 0;
  for (std::string name; names >> name; ++count) {
    if (name.back() == ',') { name.pop_back(); }
    const auto image = image_template(name);
    ASSERT_FALSE(image.empty()) << name;
    EXPECT_EQ(image.size() % 4096, 0u) << name;
    EXPECT_LE(image.size(), size_t{32} << 20) << name;
    const auto report = daxfs::check::check_media(image);
    EXPECT_TRUE(report.clean()) << name << ": " << (report.clean() ? "" : report.problems.front().what);
  }
  EXPECT_GE(count, 4u);
}

TEST(Templates, SameNameIsTheSameImage) { EXPECT_EQ(image_template("small").data(), image_template("small").data()); }

TEST(Templates, UnknownNameHasNone) { EXPECT_TRUE(image_template("nosuch").empty()); }

}  // namespace
}  // namespace daxfuzz::exec
