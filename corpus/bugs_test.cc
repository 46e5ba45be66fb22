// corpus/bugs_test.cc - each historical bug has a program that shows it: a named oracle fires with the switch on, and
// none with it off.
//
// Also writes BUILD/bug_traces.txt (id, trace with the switch on, trace with it off) for ci/compare_traces.py: a
// run's trace must not depend on compiler or sanitizer.
//
// Anchors count events, and edits of the library move those. DAXFUZZ_REANCHOR=1 looks for the events again near where
// they were and rewrites the schedule of each program that no longer shows its bug; comments stay.
#include <algorithm>
#include <cctype>
#include <cinttypes>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fs/base/historical.h"
#include "fuzz/exec/executor.h"
#include "fuzz/exec/testing.h"
#include "fuzz/prog/text.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz {
namespace {

constexpr unsigned kSchedules = exec::kSanitized ? 150 : 1000;

const std::filesystem::path kBugs = "corpus/bugs";

struct Expectation {
  std::vector<std::string> bugs;
  std::string verdict;
  std::vector<std::string> tags;
};

struct Case {
  std::filesystem::path folder;
  prog::Program program;
  Expectation expected;
  daxfs::BugSet bugs;
  std::string error;  // why the rest is unusable
};

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

Case load_case(const std::filesystem::path& folder) {
  Case loaded;
  loaded.folder = folder;
  const auto path = folder / "program.txt";
  if (!prog::parse(read_text(path), path.string(), &loaded.program, &loaded.error)) { return loaded; }
  const auto json = nlohmann::json::parse(read_text(folder / "expect.json"), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json["bugs"].is_array() || !json["tags"].is_array() || !json["verdict"].is_string()) {
    loaded.error = (folder / "expect.json").string() + R"(: expected {"bugs":[...],"verdict":"...","tags":[...]})";
    return loaded;
  }
  loaded.expected = {json["bugs"].get<std::vector<std::string>>(), json["verdict"].get<std::string>(),
                     json["tags"].get<std::vector<std::string>>()};
  for (const std::string& bug : loaded.expected.bugs) {
    if (daxfs::select_historical(bug, &loaded.bugs) != 1) { loaded.error = folder.string() + ": no bug '" + bug + "'"; }
  }
  return loaded;
}

// Findings of the engine have tags of their own: which oracle of the catalogue they are.
std::string oracle_of(const daxfs::Finding& finding) {
  switch (finding.verdict) {
    case daxfs::Verdict::kDeadlock: return "O10";
    case daxfs::Verdict::kLivelock: return "O22";
    case daxfs::Verdict::kLockMisuse: return "O11";
    default: return finding.tag;
  }
}

bool shows_bug(const Case& c, const exec::Outcome& outcome) {
  if (!outcome.finding || daxfs::verdict_name(outcome.finding->verdict) != c.expected.verdict) { return false; }
  const auto& tags = c.expected.tags;
  return std::find(tags.begin(), tags.end(), oracle_of(*outcome.finding)) != tags.end();
}

std::string describe(const exec::Outcome& outcome) {
  if (!outcome.mount_error.empty()) { return "mount failed: " + outcome.mount_error; }
  if (!outcome.finding) { return "silent, " + std::to_string(outcome.drift) + " anchors not reached"; }
  return exec::finding_title(*outcome.finding) + " [" + outcome.finding->tag + "]\n" + outcome.finding->detail;
}

exec::Executor& executor() {
  static exec::Executor& instance = *new exec::Executor;
  return instance;
}

void run(const Case& c, const prog::Program& program, bool on, exec::Outcome* outcome,
         daxfs::rt::Policy* policy = nullptr) {
  daxfs::set_historical(on ? c.bugs : daxfs::BugSet());
  exec::RunConfig config;
  config.policy = policy;
  executor().run(program, config, outcome);
  daxfs::set_historical({});
}

// --- looking for moved events

bool fires(const Case& c, const prog::Program& program) {
  exec::Outcome outcome;
  run(c, program, true, &outcome);
  return shows_bug(c, outcome);
}

bool search(const Case& c, prog::Program& program, size_t anchor, uint32_t reach) {
  if (anchor == program.schedule.size()) { return fires(c, program); }
  const uint32_t was = program.schedule[anchor].event;
  for (uint32_t distance = 0; distance <= 2 * reach; ++distance) {  // was, was + 1, was - 1, ...
    const uint32_t step = (distance + 1) / 2;
    if (distance % 2 == 0 && step >= was) { continue; }
    program.schedule[anchor].event = distance % 2 == 0 ? was - step : was + step;
    if (search(c, program, anchor + 1, reach)) { return true; }
  }
  program.schedule[anchor].event = was;
  return false;
}

// Of the events around that show the bug too, the middle one: it survives most edits.
void centre(const Case& c, prog::Program& program) {
  for (auto& anchor : program.schedule) {
    const auto fires_at = [&](uint32_t event) {
      anchor.event = event;
      return fires(c, program);
    };
    uint32_t low = anchor.event;
    uint32_t high = anchor.event;
    while (low > 1 && fires_at(low - 1)) { --low; }
    while (high < low + 64 && fires_at(high + 1)) { ++high; }
    anchor.event = low + (high - low) / 2;
  }
}

void rewrite_schedule(const Case& c, const prog::Program& program) {
  const auto path = c.folder / "program.txt";
  std::istringstream in(read_text(path));
  std::string text;
  size_t anchor = 0;
  bool in_schedule = false;
  for (std::string line; std::getline(in, line);) {
    if (in_schedule && line.find("->") != std::string::npos) {
      const size_t hash = line.find('#');
      std::string anew = "  " + prog::print_preemption(program.schedule[anchor++]);
      if (hash != std::string::npos) {
        anew.resize(std::max(anew.size() + 1, size_t{34}), ' ');
        anew += line.substr(hash);
      }
      line = anew;
    }
    in_schedule |= line == "schedule";
    text += line + "\n";
  }
  std::ofstream(path) << text;
}

void reanchor(Case& c) {
  prog::Program program = c.program;
  const size_t anchors = program.schedule.size();
  const bool found = anchors != 0 && anchors <= 2 && search(c, program, 0, anchors == 1 ? 600 : 40);
  ASSERT_TRUE(found) << c.folder << ": no events near the anchors show the bug";
  centre(c, program);
  rewrite_schedule(c, program);
  c.program = program;
}

// --- tests

class BugProgram : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    case_ = load_case(kBugs / GetParam());
    ASSERT_EQ(case_.error, "");
    const char* anew = std::getenv("DAXFUZZ_REANCHOR");
    if (anew != nullptr && *anew == '1' && !fires(case_, case_.program)) { reanchor(case_); }
  }
  Case case_;
};

TEST_P(BugProgram, ExpectsTheOraclesOfTheTable) {
  EXPECT_EQ(case_.expected.bugs, std::vector<std::string>{GetParam()});
  ASSERT_FALSE(case_.expected.tags.empty());
  for (const auto& info : daxfs::historical_bugs()) {
    if (info.id != GetParam()) { continue; }
    const std::string oracles = " " + std::string(info.oracles) + " ";
    for (const auto& tag : case_.expected.tags) { EXPECT_NE(oracles.find(" " + tag + " "), std::string::npos) << tag; }
  }
}

TEST_P(BugProgram, IsOfHandSize) {
  EXPECT_LE(case_.program.op_count() + case_.program.init_op_count(), 10u);
  EXPECT_LE(case_.program.schedule.size(), 3u);
}

TEST_P(BugProgram, FiresANamedOracleWithTheSwitchOn) {
  exec::Outcome outcome;
  run(case_, case_.program, true, &outcome);
  EXPECT_TRUE(shows_bug(case_, outcome)) << describe(outcome);
  const uint64_t trace = outcome.trace_hash;
  run(case_, case_.program, true, &outcome);
  EXPECT_TRUE(shows_bug(case_, outcome)) << describe(outcome);
  EXPECT_EQ(outcome.trace_hash, trace);
}

TEST_P(BugProgram, IsSilentWithTheSwitchOff) {
  exec::Outcome outcome;
  run(case_, case_.program, false, &outcome);
  ASSERT_FALSE(outcome.finding) << describe(outcome);
  ASSERT_EQ(outcome.mount_error, "");
  const uint64_t trace = outcome.trace_hash;
  run(case_, case_.program, false, &outcome);
  EXPECT_EQ(outcome.trace_hash, trace);
}

TEST_P(BugProgram, IsSilentUnderRandomSchedulesWithTheSwitchOff) {
  const char* wish = std::getenv("DAXFUZZ_SCHEDULES");
  const unsigned schedules = wish != nullptr ? static_cast<unsigned>(std::atoi(wish)) : kSchedules;
  exec::Outcome outcome;
  run(case_, case_.program, false, &outcome);
  sched::RandomWalk walk(1, 1);
  sched::Pct pct(1, 2, 1);
  for (uint64_t seed = 1; seed <= schedules; ++seed) {
    daxfs::rt::Policy* policy = &walk;
    if (seed % 2 == 0) {
      pct.reseed(seed, static_cast<uint32_t>(1 + seed / 2 % 4), outcome.tasks_end - outcome.tasks_begin + 1,
                 outcome.tasks_begin);
      policy = &pct;
    } else {
      walk.reseed(seed, static_cast<uint32_t>(1 + seed % 64), outcome.tasks_begin);
    }
    run(case_, case_.program, false, &outcome, policy);
    ASSERT_FALSE(outcome.finding) << (policy == &walk ? "random" : "pct") << " seed " << seed << ": "
                                  << describe(outcome);
  }
}

std::vector<std::string> all_ids() {
  std::vector<std::string> ids;
  for (const auto& info : daxfs::historical_bugs()) { ids.emplace_back(info.id); }
  return ids;
}

INSTANTIATE_TEST_SUITE_P(Corpus, BugProgram, testing::ValuesIn(all_ids()), [](const auto& bug) {
  std::string name = bug.param;
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BugProgram);

TEST(BugPrograms, EveryFolderBelongsToASwitch) {
  if (daxfs::historical_bugs().empty()) { GTEST_SKIP() << "no historical bugs compiled in"; }
  const auto ids = all_ids();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kBugs)) {
    if (entry.path().filename() != "program.txt") { continue; }
    const std::string id = std::filesystem::relative(entry.path().parent_path(), kBugs).generic_string();
    EXPECT_NE(std::find(ids.begin(), ids.end(), id), ids.end()) << entry.path();
  }
}

TEST(BugPrograms, TracesAreWrittenForOtherFlavours) {
  std::ofstream out(DAXFUZZ_BUILD_DIR "/bug_traces.txt");
  for (const std::string& id : all_ids()) {
    const Case c = load_case(kBugs / id);
    ASSERT_EQ(c.error, "");
    exec::Outcome on;
    exec::Outcome off;
    run(c, c.program, true, &on);
    run(c, c.program, false, &off);
    char line[256];
    std::snprintf(line, sizeof(line), "%s %016" PRIx64 " %016" PRIx64 "\n", id.c_str(), on.trace_hash, off.trace_hash);
    out << line;
  }
  ASSERT_TRUE(out.good());
}

}  // namespace
}  // namespace daxfuzz
