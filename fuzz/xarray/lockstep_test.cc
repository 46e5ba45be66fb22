// fuzz/xarray/lockstep_test.cc - the sequences of corpus/xarray, each with its bug on and off.
#include "fuzz/xarray/lockstep.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fs/rt/testing.h"
#include "fuzz/xarray/draw.h"

namespace daxfuzz::xarray {
namespace {

// What is wrong, an assertion of the array itself included.
std::string run_text(std::string_view text) {
  Sequence sequence;
  std::string error;
  EXPECT_TRUE(parse(text, "text", &sequence, &error)) << error;
  std::string wrong;
  const auto outcome = daxfs::rt::run_lambda([&] { wrong = run(sequence); });
  if (outcome.finding) {
    daxfs::lib::XaNodePool<6>::reclaim_all();
    daxfs::lib::XaNodePool<2>::reclaim_all();
    return outcome.finding->title;
  }
  return wrong;
}

TEST(XarrayLockstep, EachSequenceOfTheCorpusShowsTheBugOfItsNameAndNothingWithoutIt) {
  size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator("corpus/xarray")) {
    if (file.path().extension() != ".txt") { continue; }
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    EXPECT_EQ(run_text(text.str()), "") << file.path();
    ++files;
    daxfs::BugSet bugs;
    if (daxfs::select_historical(file.path().stem().string(), &bugs) == 0) { continue; }  // or compiled without them
    daxfs::set_historical(bugs);
    EXPECT_NE(run_text(text.str()), "") << file.path();
    daxfs::set_historical({});
  }
  EXPECT_GT(files, 5u);
}

TEST(XarrayLockstep, ALoadOfTheRangeMissesTheLastPageAndFindConflictDoesNot) {  // thread 004
  EXPECT_EQ(run_text("xarray fanout 64\nstore 1023 value 3\nload 512 order 9\nconflict 512 order 9\n"
                     "store 512 order 9 value 7\nget 1023\nget 512\n"),
            "");
}

TEST(XarrayDraw, TheWalkthroughShowsWhatTheToolDraws) {
  const auto read = [](const char* path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  };
  Sequence sequence;
  std::string error;
  ASSERT_TRUE(parse(read("corpus/xarray/pmd-load-meets-one-page.txt"), "text", &sequence, &error)) << error;
  const std::string page = read("docs/walkthroughs/A23-load-of-a-range.md");
  std::string rest = draw(sequence);
  // The page tells the story between the pictures: all lines, in order.
  size_t at = 0;
  for (size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
    const std::string line = "\n" + rest.substr(0, end) + "\n";
    at = page.find(line, at);
    ASSERT_NE(at, std::string::npos) << line << "the page has what xarray_draw printed once; draw it again";
    ++at;
    rest.erase(0, end + 1);
  }
}

TEST(XarrayLockstep, ALeakedNodeIsSeenAtTheEnd) {
  Lockstep<6> both;
  auto* node = daxfs::lib::XaNodePool<6>::allocate();
  if (daxfs::lib::XaNodePool<6>::live() != 0) {
    EXPECT_FALSE(both.finish());
    EXPECT_EQ(both.wrong(), "at the end the array is empty and 1 nodes are left");
  }
  daxfs::lib::XaNodePool<6>::free(node);
}

}  // namespace
}  // namespace daxfuzz::xarray
