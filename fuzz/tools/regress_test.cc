// Every program of corpus/regress does what its comments say; and whether we would notice if one did not.
#include "fuzz/tools/regress.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fuzz/exec/executor.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/files.h"

namespace daxfuzz::tools {
namespace {

constexpr const char* kBug = "break-layouts-lost-retry";

std::string read_text(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(Regressions, AllOfTheCorpusAreAsExpected) {
  size_t count = 0;
  for (const std::string& file : list_files("corpus/regress")) {
    if (!file.ends_with(".txt")) { continue; }
    ++count;
    const std::string text = read_text(file);
    const RegressResult result = replay_regression(text, file);
    const char* anew = std::getenv("DAXFUZZ_REANCHOR");
    if (result.state == RegressState::kMoved && anew != nullptr && *anew == '1') {
      std::ofstream(file) << with_schedule(text, result.program);
      continue;
    }
    // Moved is as good as expected: the race is still seen. The message asks for new anchors.
    EXPECT_TRUE(result.state == RegressState::kAsExpected || result.state == RegressState::kMoved) << result.message;
    if (!result.message.empty()) { std::printf("%s\n", result.message.c_str()); }
  }
  EXPECT_GT(count, 0u);
}

// A historical bug's program plays the regression: with its switch on it must fire, without be silent.
class Regression : public testing::Test {
 protected:
  void SetUp() override {
    daxfs::BugSet bugs;
    if (daxfs::select_historical(kBug, &bugs) == 0) { GTEST_SKIP() << "no historical bugs compiled in"; }
    text_ = read_text(std::string("corpus/bugs/") + kBug + "/program.txt");
    ASSERT_FALSE(text_.empty());
    text_.insert(text_.find('\n') + 1, std::string("# FINDING WARNING it key=") + kKey +
                                           " trace=0\n# replay: daxfuzz run p --bug " + kBug + "\n");
  }
  void TearDown() override { daxfs::set_historical({}); }
  RegressResult replay() const { return replay_regression(text_, "p"); }
  void replace(const std::string& from, const std::string& to) {
    const size_t at = text_.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text_.replace(at, from.size(), to);
  }
  // The key is looked up, not written down: it changes with the message of the assertion.
  static std::string key() {
    daxfs::BugSet bugs;
    daxfs::select_historical(kBug, &bugs);
    daxfs::set_historical(bugs);
    exec::Executor executor;
    exec::Outcome outcome;
    prog::Program program;
    std::string error;
    EXPECT_TRUE(prog::parse(read_text(std::string("corpus/bugs/") + kBug + "/program.txt"), "p", &program, &error))
        << error;
    executor.run(program, {}, &outcome);
    daxfs::set_historical({});
    return outcome.finding ? exec::finding_key(*outcome.finding) : "";
  }
  static constexpr const char* kKey = "KEY-OF-THE-PROGRAM";
  std::string text_;
};

TEST_F(Regression, FiresWithItsSwitchAndIsSilentWithout) {
  replace(kKey, key());
  const RegressResult result = replay();
  EXPECT_EQ(result.state, RegressState::kAsExpected) << result.message;
  EXPECT_TRUE(daxfs::get_historical().none());
}

TEST_F(Regression, WhoseAnchorsMovedIsFoundNearbyAndGetsNewOnes) {
  replace(kKey, key());
  prog::Program program;
  std::string error;
  ASSERT_TRUE(prog::parse(text_, "p", &program, &error)) << error;
  program.schedule[0].event += 25;
  text_ = with_schedule(text_, program);
  const RegressResult moved = replay();
  ASSERT_EQ(moved.state, RegressState::kMoved) << moved.message;
  EXPECT_NE(moved.message.find("--update"), std::string::npos);
  text_ = with_schedule(text_, moved.program);
  EXPECT_EQ(replay().state, RegressState::kAsExpected);
  EXPECT_NE(text_.find("# A02"), std::string::npos) << "comments stay";
}

TEST_F(Regression, ThatShowsSomethingElseIsLost) {
  replace(kKey, "0123456789abcdef");
  EXPECT_EQ(replay().state, RegressState::kLost);
}

TEST_F(Regression, OfAnUnknownSwitchIsUnusable) {
  replace(std::string("--bug ") + kBug, "--bug no-such-bug");
  EXPECT_EQ(replay().state, RegressState::kUnusable);
  text_ = "daxfuzz program 1\nnonsense\n";
  EXPECT_EQ(replay().state, RegressState::kUnusable);
}

}  // namespace
}  // namespace daxfuzz::tools
