// fuzz/report/testing.h - reports of the known bugs' programs, for tests.
#pragma once

#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "fs/base/historical.h"
#include "fuzz/prog/text.h"
#include "fuzz/report/collect.h"
#include "fuzz/report/known.h"

namespace daxfuzz::report {

inline exec::Executor& test_executor() {
  static exec::Executor& instance = *new exec::Executor;
  return instance;
}

inline prog::Program known_program(std::string_view bug) {
  prog::Program program;
  for (const KnownProgram& known : known_programs()) {
    std::string error;
    if (known.bugs == bug && prog::parse(known.text, known.bugs, &program, &error)) { return program; }
  }
  ADD_FAILURE() << bug << ": no program, or one that does not parse";
  return program;
}

class WithBug {
 public:
  explicit WithBug(std::string_view bug) {
    daxfs::BugSet bugs;
    daxfs::select_historical(bug, &bugs);
    daxfs::set_historical(bugs);
  }
  WithBug(const WithBug&) = delete;
  WithBug& operator=(const WithBug&) = delete;
  ~WithBug() { daxfs::set_historical({}); }
};

// Each bug's report is made once, and what runs longer than any of these programs is a livelock: 20 replays of millions
// of events took most of the time of the tests.
inline const Report& report_of(const std::string& bug) {
  static auto& reports = *new std::map<std::string, Report>;
  const auto [at, fresh] = reports.try_emplace(bug);
  if (!fresh) { return at->second; }
  const WithBug on(bug);
  std::string error;
  CollectOptions options;
  options.file = "small.txt";
  options.events_max = 200'000;
  EXPECT_EQ(collect(test_executor(), known_program(bug), options, &at->second, &error), Collected::kOk)
      << bug << ": " << error;
  return at->second;
}

// Of the bugs that are compiled in.
inline std::vector<std::string> known_bugs() {
  std::vector<std::string> ids;
  for (const KnownProgram& known : known_programs()) {
    daxfs::BugSet bugs;
    if (daxfs::select_historical(known.bugs, &bugs) != 0) { ids.emplace_back(known.bugs); }
  }
  return ids;
}

inline std::string test_name(const testing::TestParamInfo<std::string>& bug) {
  std::string name = bug.param;
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

}  // namespace daxfuzz::report
