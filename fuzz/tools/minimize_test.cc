// The minimizer on the real executor: every historical bug becomes a program that a person reads at a glance.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fuzz/minimize/minimizer.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/exec_subject.h"
#include "fuzz/tools/finding_input.h"

namespace daxfuzz::tools {
namespace {

constexpr size_t kOpsMax = 6;
constexpr size_t kPreemptionsMax = 3;

// An inode goes away when its name, its descriptor and its mapping are gone: two operations make the last two, three
// drop all three, and two are the read that has it pinned meanwhile (open, pread). None of them can be shared.
size_t ops_max(std::string_view id) { return id == "no-break-layouts-at-all/evict" ? 7 : kOpsMax; }

class MinimizeBug : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    daxfs::BugSet bugs;
    ASSERT_EQ(daxfs::select_historical(GetParam(), &bugs), 1u);
    daxfs::set_historical(bugs);
    std::ifstream in("corpus/bugs/" + GetParam() + "/program.txt");
    std::stringstream text;
    text << in.rdbuf();
    std::string error;
    ASSERT_TRUE(prog::parse(text.str(), GetParam(), &program_, &error)) << error;
  }
  void TearDown() override { daxfs::set_historical({}); }

  prog::Program program_;
};

TEST_P(MinimizeBug, GetsItDownToAHandful) {
  ExecSubject once("");
  minimize::Trial first;
  once.run(program_, nullptr, nullptr, &first);
  ASSERT_TRUE(once.outcome().finding);
  const bool livelock = once.outcome().finding->verdict == daxfs::Verdict::kLivelock;
  const uint64_t events_max = events_max_near(once.outcome().events, livelock);
  ExecSubject subject("", events_max);
  minimize::Options options;
  for (const auto image : prog::image_names()) { options.images.emplace_back(image); }
  const minimize::Result result = minimize::minimize(subject, program_, options);
  ASSERT_EQ(result.end, minimize::End::kMinimal);
  EXPECT_FALSE(result.searched);
  const minimize::Cost cost = minimize::cost_of(result.program);
  EXPECT_LE(cost.ops, ops_max(GetParam())) << prog::print(result.program);
  EXPECT_LE(cost.preemptions, kPreemptionsMax);

  ExecSubject again("", events_max);
  minimize::Trial trial;
  again.run(program_, nullptr, nullptr, &trial);
  ASSERT_TRUE(trial.fires);
  again.run(result.program, nullptr, nullptr, &trial);
  EXPECT_TRUE(trial.fires) << "another key than the program that it came from";
  EXPECT_EQ(trial.trace_hash, result.trace_hash);
  EXPECT_EQ(trial.drift, 0u);
  for (size_t i = 0; i < result.program.schedule.size(); ++i) {
    prog::Program less = result.program;
    less.schedule.erase(less.schedule.begin() + static_cast<ptrdiff_t>(i));
    again.run(less, nullptr, nullptr, &trial);
    EXPECT_FALSE(trial.fires) << "preemption " << i + 1 << " is superfluous";
  }
  daxfs::set_historical({});
  again.run(result.program, nullptr, nullptr, &trial);
  EXPECT_FALSE(again.outcome().finding) << "the bug has nothing to do with it";
}

// All; a few where a run is twenty times as slow. What the minimizer does depends on traces alone, which are the
// same in every flavour (ci/compare_traces.py), so there only its own memory is in question.
std::vector<std::string> bugs_to_try() {
#if defined(DAXFS_TSAN)
  constexpr size_t kStep = 24;
#elif defined(DAXFS_ASAN)
  constexpr size_t kStep = 8;
#else
  constexpr size_t kStep = 1;
#endif
  std::vector<std::string> ids;
  const auto all = daxfs::historical_bugs();
  for (size_t i = 0; i < all.size(); i += kStep) { ids.emplace_back(all[i].id); }
  return ids;
}

INSTANTIATE_TEST_SUITE_P(Corpus, MinimizeBug, testing::ValuesIn(bugs_to_try()), [](const auto& bug) {
  std::string name = bug.param;
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MinimizeBug);

}  // namespace
}  // namespace daxfuzz::tools
