// props/xarray_programs_test.cc - bugs of the tree that system calls reach: found with the switch on, silent without.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "fs/base/historical.h"
#include "fuzz/exec/executor.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::props {
namespace {

TEST(XarrayPrograms, EachShowsTheBugOfItsNameAndNothingWithoutIt) {
  if (daxfs::historical_bugs().empty()) { GTEST_SKIP() << "no historical bugs compiled in"; }
  exec::Executor executor;
  size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator("corpus/xarray/programs")) {
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    prog::Program program;
    std::string error;
    ASSERT_TRUE(prog::parse(text.str(), file.path().string(), &program, &error)) << error;
    exec::Outcome outcome;
    executor.run(program, {}, &outcome);
    EXPECT_FALSE(outcome.finding) << file.path() << ": " << outcome.finding->title;
    daxfs::BugSet bugs;
    ASSERT_EQ(daxfs::select_historical(file.path().stem().string(), &bugs), 1u) << file.path();
    daxfs::set_historical(bugs);
    executor.run(program, {}, &outcome);
    daxfs::set_historical({});
    EXPECT_TRUE(outcome.finding) << file.path() << ", with its bug on";
    EXPECT_EQ(outcome.drift, 0u) << file.path();
    ++files;
  }
  EXPECT_GE(files, 4u);
}

}  // namespace
}  // namespace daxfuzz::props
