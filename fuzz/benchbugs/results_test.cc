// What tables and JSON say follows from the trials, also from those that were cut short.
#include "fuzz/benchbugs/results.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace daxfuzz::benchbugs {
namespace {

Trial trial(const char* bug, const char* policy, End end, double seconds, uint64_t runs) {
  Trial trial;
  trial.bug = bug;
  trial.policy = policy;
  trial.end = end;
  trial.cpu_seconds = seconds;
  trial.runs = runs;
  return trial;
}

Results two_bugs() {
  Results results;
  results.settings.bugs = {{"easy", "A01", "an easy one"}, {"hard/one", "B02", "a hard one"}};
  results.settings.policies = {"random", "pos"};
  results.settings.repeats = 3;
  results.settings.seconds = 10;
  results.trials = {
      trial("easy", "random", End::kExposed, 1, 100),     trial("easy", "random", End::kExposed, 3, 300),
      trial("easy", "random", End::kExposed, 2, 200),     trial("hard/one", "random", End::kBudget, 10, 1000),
      trial("hard/one", "random", End::kExposed, 9, 900), trial("hard/one", "random", End::kInterrupted, 4, 400),
      trial(kClean, "random", End::kBudget, 10, 1000),
  };
  return results;
}

TEST(Results, ACellCountsWhatWasFoundAndWhatWasCutShort) {
  const Results results = two_bugs();
  const std::string easy = "easy";
  const std::string hard = "hard/one";
  const Cell found = cell_of(results, &easy, "random");
  EXPECT_EQ(found.found, 3u);
  EXPECT_DOUBLE_EQ(found.median_cpu.value(), 2);
  EXPECT_DOUBLE_EQ(found.median_runs.value(), 200);
  EXPECT_DOUBLE_EQ(found.mean_cpu, 2);
  const Cell cell = cell_of(results, &hard, "random");
  EXPECT_EQ(cell.trials, 3u);
  EXPECT_EQ(cell.found, 1u);
  EXPECT_EQ(cell.cut_short, 1u);
  // Two were still at it after 9 seconds, one of them saw it then: one half.
  EXPECT_DOUBLE_EQ(cell.median_cpu.value(), 9);
  EXPECT_EQ(cell_of(results, &hard, "pos").trials, 0u);
  EXPECT_EQ(cell_of(results, nullptr, "random").trials, 6u);  // without the clean build
}

TEST(Results, TheCleanBuildIsTheControlAndItsFindingsAreLoud) {
  Results results = two_bugs();
  EXPECT_TRUE(control_of(results).findings.empty());
  EXPECT_NE(table(results).find("no finding in 1 trials"), std::string::npos) << table(results);
  EXPECT_NE(page(results).find("was silent"), std::string::npos);
  results.trials.push_back(trial(kClean, "pos", End::kExposed, 1, 10));
  results.trials.back().title = "WARNING in x: <y>";
  EXPECT_EQ(control_of(results).findings.size(), 1u);
  EXPECT_NE(table(results).find("1 FINDINGS in 2 trials"), std::string::npos) << table(results);
  EXPECT_NE(page(results).find("Negative control failed"), std::string::npos);
  EXPECT_NE(page(results).find("WARNING in x: &lt;y&gt;"), std::string::npos);
}

TEST(Results, JsonHasEveryTrialAndSaysWhetherItIsComplete) {
  Results results = two_bugs();
  const auto json = nlohmann::json::parse(to_json(results));
  EXPECT_FALSE(json["complete"].get<bool>());
  EXPECT_EQ(json["trials"].size(), results.trials.size());
  EXPECT_TRUE(json["trials"].back()["bug"].is_null());
  EXPECT_EQ(json["cells"].size(), 6u);
  EXPECT_TRUE(json["cells"][4]["median_cpu_seconds"].is_null());  // pos has no trial yet
  EXPECT_EQ(json["control"]["trials"], 1);
  results.settings.repeats = 1;
  results.settings.policies = {"random"};
  results.trials.resize(3);
  EXPECT_TRUE(nlohmann::json::parse(to_json(results))["complete"].get<bool>());
}

TEST(Results, NumbersForPeopleHaveThreeDigitsAtMost) {
  EXPECT_EQ(seconds_text(0.0042), "4 ms");
  EXPECT_EQ(seconds_text(0.42), "0.42 s");
  EXPECT_EQ(seconds_text(2), "2 s");
  EXPECT_EQ(seconds_text(2.345), "2.3 s");
  EXPECT_EQ(seconds_text(59.6), "60 s");
  EXPECT_EQ(count_text(12), "12");
  EXPECT_EQ(count_text(1234), "1.2k");
  EXPECT_EQ(count_text(123456), "123k");
  EXPECT_EQ(count_text(1234567), "1.2M");
}

}  // namespace
}  // namespace daxfuzz::benchbugs
