// The page draws one chart a bug and one curve a policy, where the numbers say.
#include <gtest/gtest.h>

#include "fuzz/benchbugs/results.h"

namespace daxfuzz::benchbugs {
namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) { ++n; }
  return n;
}

Results example() {
  Results results;
  results.settings.bugs = {{"one", "A01", "first"}, {"two", "A02", "second"}};
  results.settings.policies = {"random", "pos"};
  results.settings.repeats = 2;
  results.settings.seconds = 10;
  for (const char* bug : {"one", "two"}) {
    for (const char* policy : {"random", "pos"}) {
      for (const double seconds : {1.0, 10.0}) {
        Trial trial;
        trial.bug = bug;
        trial.policy = policy;
        trial.cpu_seconds = seconds;
        trial.end = seconds < 10 ? End::kExposed : End::kBudget;
        results.trials.push_back(trial);
      }
    }
  }
  return results;
}

TEST(Page, HasAChartForEachBugAndACurveForEachPolicy) {
  const std::string html = page(example());
  EXPECT_EQ(count(html, "<figure"), 3u);  // and one of all
  EXPECT_EQ(count(html, "1 of 2 exposed, median 1 s"), 4u);
  EXPECT_EQ(count(html, "class=\"curve c0\""), 4u);  // and one in the legend
  EXPECT_EQ(html.find("http"), std::string::npos) << "the page must need nothing from elsewhere";
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_NE(html.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_EQ(html.find("inf"), std::string::npos);
}

TEST(Page, ATrialThatWasCutShortHasATick) {
  Results results = example();
  EXPECT_EQ(count(page(results), "class=\"mark"), 0u);
  results.trials.back().end = End::kInterrupted;
  results.trials.back().cpu_seconds = 5;
  EXPECT_EQ(count(page(results), "class=\"mark m1\""), 2u);  // its chart and the one of all
}

TEST(Page, IsThereBeforeTheFirstTrialHasEnded) {
  Results results = example();
  results.trials.clear();
  const std::string html = page(results);
  EXPECT_NE(html.find("0 of 12 trials"), std::string::npos);
  EXPECT_EQ(html.find("nan"), std::string::npos);
  // Silence of what was not asked proves nothing.
  EXPECT_EQ(html.find("was silent"), std::string::npos);
  EXPECT_NE(html.find("No negative control yet"), std::string::npos);
  EXPECT_NE(table(results).find("not fuzzed yet"), std::string::npos);
}

}  // namespace
}  // namespace daxfuzz::benchbugs
