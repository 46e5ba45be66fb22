// fuzz/report/formats_test.cc - every format of the report of every known bug: structure, width,
// nothing from outside.
#include "fuzz/report/formats.h"

#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fuzz/prog/binary.h"
#include "fuzz/report/bundle.h"
#include "fuzz/report/prose.h"
#include "fuzz/report/testing.h"

namespace daxfuzz::report {
namespace {

using nlohmann::json;

json parsed(const std::string& text) {
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(value.is_discarded()) << text.substr(0, 300);
  return value;
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t at = text.find(begin);
  if (at == std::string::npos) { return ""; }
  const size_t from = at + begin.size();
  return text.substr(from, text.find(end, from) - from);
}

void expect_program(const std::string& text, const Report& report) {
  prog::Program program;
  std::string error;
  EXPECT_TRUE(prog::parse(text, "in the report", &program, &error)) << error << "\n" << text;
  EXPECT_EQ(program, report.program);
}

class Formats : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { report_ = report_of(GetParam()); }
  Report report_;
};

TEST_P(Formats, MarkdownHasEverySectionAndAProgramToCopy) {
  const std::string text = to_markdown(report_);
  for (const char* section :
       {"## How it comes about", "## What is needed", "## Program", "## Replay", "## Environment"}) {
    EXPECT_NE(text.find(section), std::string::npos) << section;
  }
  for (const std::string& needed : {report_.key, report_.trace, "--bug " + GetParam(), std::string("CPU 0 (T0)")}) {
    EXPECT_NE(text.find(needed), std::string::npos) << needed;
  }
  expect_program(between(text, "## Program\n\n```text\n", "```\n"), report_);
}

TEST_P(Formats, MailIsPlainAndNarrowAndItsProgramCanBeCutOut) {
  const std::string text = to_mail(report_);
  EXPECT_TRUE(text.starts_with("Subject: [daxfuzz] ")) << text;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 78u) << line;
    EXPECT_TRUE(line.empty() || line.back() != ' ') << line;
    for (const char c : line) { EXPECT_TRUE(c >= ' ' && c < 0x7f) << line; }
  }
  EXPECT_EQ(text.find("Content-Type"), std::string::npos);
  expect_program(between(text, "-----8<-----\n", "----->8-----"), report_);
}

TEST_P(Formats, HtmlFetchesNothingAndRunsNothing) {
  const std::string text = to_html(report_);
  for (const char* banned : {"<script", "src=", "href=", "@import", "<link", "onload", "https://"}) {
    EXPECT_EQ(text.find(banned), std::string::npos) << banned;
  }
  EXPECT_NE(text.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_NE(text.find("<svg "), std::string::npos);
  EXPECT_EQ(text.find("url("), text.find("url(#tip)"));
}

// Every element is closed, by name.
TEST_P(Formats, HtmlIsWellFormed) {
  const std::string text = to_html(report_);
  std::vector<std::string> open;
  for (size_t at = 0; (at = text.find('<', at)) != std::string::npos;) {
    const size_t end = text.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = text.substr(at + 1, end - at - 1);
    at = end;
    if (tag[0] == '!' || tag.back() == '/') { continue; }
    const std::string name = tag.substr(tag[0] == '/' ? 1 : 0, tag.find(' ') - (tag[0] == '/' ? 1 : 0));
    if (tag[0] != '/') {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << tag;
    EXPECT_EQ(open.back(), name);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

TEST_P(Formats, SarifHasWhatTheStandardRequires) {
  const json log = parsed(to_sarif(report_));
  EXPECT_EQ(log["version"], "2.1.0");
  ASSERT_EQ(log["runs"].size(), 1u);
  const json& run = log["runs"][0];
  EXPECT_EQ(run["tool"]["driver"]["name"], "daxfuzz");
  const json& rules = run["tool"]["driver"]["rules"];
  std::set<std::string> ids;
  for (const json& rule : rules) { EXPECT_TRUE(ids.insert(rule["id"]).second) << rule["id"]; }
  ASSERT_EQ(run["results"].size(), 1u);
  const json& result = run["results"][0];
  EXPECT_EQ(rules[result["ruleIndex"].get<size_t>()]["id"], result["ruleId"]);
  EXPECT_EQ(result["ruleId"], report_.finding.tag);
  EXPECT_FALSE(result["message"]["text"].get<std::string>().empty());
  EXPECT_EQ(result["partialFingerprints"]["daxfuzzDedupKey/v1"], report_.key);
  const json& where = result["locations"][0]["physicalLocation"];
  EXPECT_EQ(where["artifactLocation"]["uri"].get<std::string>() + ":" + where["region"]["startLine"].dump(),
            report_.site);
  expect_program(run["artifacts"][0]["contents"]["text"], report_);
}

TEST_P(Formats, SarifTellsTheDiagramInOneOrder) {
  const json result = parsed(to_sarif(report_))["runs"][0]["results"][0];
  const json& flows = result["codeFlows"][0]["threadFlows"];
  EXPECT_EQ(flows.size(), report_.explanation.columns.size());
  std::set<int> orders;
  for (const json& flow : flows) {
    int last = 0;
    for (const json& step : flow["locations"]) {
      const int order = step["executionOrder"];
      EXPECT_GT(order, last);
      last = order;
      EXPECT_TRUE(orders.insert(order).second);
      const json& where = step["location"]["physicalLocation"];
      const std::string uri = where["artifactLocation"]["uri"];
      EXPECT_TRUE(uri.starts_with("fs/") || uri.starts_with("fuzz/") || uri == "program.txt") << uri;
      EXPECT_GE(where["region"]["startLine"], 1);
    }
  }
  EXPECT_EQ(orders.size(), report_.explanation.rows.size());
}

TEST_P(Formats, PerfettoSlicesAreBalancedOnEveryThreadAndArrowsHaveTwoEnds) {
  const json trace = parsed(to_perfetto(report_));
  std::map<std::pair<int, int>, int> depth;
  std::map<std::pair<int, int>, double> time;
  std::map<int, int> arrows;
  std::set<std::pair<int, int>> named;
  double last = 0;
  for (const json& event : trace["traceEvents"]) {
    const std::string phase = event["ph"];
    const std::pair<int, int> thread{event["pid"], event["tid"]};
    if (phase == "M") {
      if (event["name"] == "thread_name") { named.insert(thread); }
      continue;
    }
    const double ts = event["ts"];
    EXPECT_GE(ts, last) << "in the order of time";
    last = ts;
    if (phase == "B") {
      ++depth[thread];
      EXPECT_FALSE(event["name"].get<std::string>().empty());
    }
    if (phase == "E") { EXPECT_GE(--depth[thread], 0) << event; }
    if (phase == "s" || phase == "f") {
      EXPECT_GT(depth[thread], 0) << "an arrow needs a slice: " << event;
      arrows[event["id"]] += phase == "s" ? 1 : 10;
    }
  }
  for (const auto& [thread, open] : depth) {
    EXPECT_EQ(open, 0) << thread.first << "/" << thread.second;
    EXPECT_TRUE(named.contains(thread)) << thread.first << "/" << thread.second;
  }
  EXPECT_EQ(arrows.size(), report_.program.schedule.size());
  for (const auto& [id, ends] : arrows) { EXPECT_EQ(ends, 11) << "arrow " << id; }
  EXPECT_LE(last, static_cast<double>(report_.recording->events + 1));
}

TEST_P(Formats, PerfettoHasATrackForEachTaskAndItsOperations) {
  const json trace = parsed(to_perfetto(report_));
  std::set<std::string> operations;
  for (const json& event : trace["traceEvents"]) {
    if (event.value("cat", "") == "operation" && event["tid"] < 63) { operations.insert(event["name"]); }
  }
  size_t begun = 0;
  for (const explain::Row& row : report_.explanation.rows) {
    if (row.kind != explain::Row::Kind::kOp) { continue; }
    ++begun;
    EXPECT_TRUE(operations.contains(row.text)) << row.text;
  }
  EXPECT_GT(begun, 0u);
  EXPECT_NE(trace["otherData"]["time"].get<std::string>().find("event"), std::string::npos);
}

TEST_P(Formats, TestSourceHoldsTheProgramTheKeyAndTheSwitches) {
  const std::string text = to_test(report_);
  EXPECT_EQ(text.find('@' + std::string("KEY@")), std::string::npos);
  EXPECT_NE(text.find("\"" + GetParam() + "\""), std::string::npos);
  EXPECT_NE(text.find("\"" + report_.key + "\""), std::string::npos);
  expect_program(between(text, "R\"daxfuzz(", ")daxfuzz\""), report_);
}

TEST_P(Formats, AreTheSameBytesEveryTime) {
  const auto once = bundle(report_);
  const auto again = bundle(report_of(GetParam()));
  ASSERT_EQ(once.size(), again.size());
  for (size_t i = 0; i < once.size(); ++i) { EXPECT_EQ(once[i].contents, again[i].contents) << once[i].name; }
}

TEST_P(Formats, ABundleNamesAllOfItsFilesAndItsProgramsAreTheProgram) {
  const auto files = bundle(report_);
  ASSERT_EQ(files.back().name, "README.md");
  for (const BundleFile& file : files) {
    EXPECT_FALSE(file.contents.empty()) << file.name;
    if (file.name != "README.md") {
      EXPECT_NE(files.back().contents.find("(" + file.name + ")"), std::string::npos) << file.name;
    }
    if (file.name == "program.txt") { expect_program(file.contents, report_); }
    if (file.name == "program.bin") {
      EXPECT_EQ(prog::decode({reinterpret_cast<const uint8_t*>(file.contents.data()), file.contents.size()}),
                report_.program);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Corpus, Formats, testing::ValuesIn(known_bugs()), test_name);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Formats);

class OddNames : public testing::Test {
 protected:
  void SetUp() override {
    if (daxfs::historical_bugs().empty()) { GTEST_SKIP() << "no historical bugs compiled in"; }
    report_ = report_of("break-layouts-lost-retry");
  }
  // The program with an operation more, as if it had been found so.
  void add_operation(const std::string& line) {
    std::string text = prog::print(report_.program);
    text.insert(text.find("task T1"), "  " + line + "\n");
    std::string error;
    ASSERT_TRUE(prog::parse(text, "odd", &report_.program, &error)) << error;
    const WithBug on("break-layouts-lost-retry");
    const prog::Program program = report_.program;
    CollectOptions options;
    ASSERT_EQ(collect(test_executor(), program, options, &report_, &error), Collected::kOk) << error;
  }
  Report report_;
};

TEST_F(OddNames, AreNoMarkup) {
  add_operation(R"(stat "<b>|`*_]]>&\"@KEY@)daxfuzz\"")");
  EXPECT_EQ(to_html(report_).find("<b>|"), std::string::npos);
  EXPECT_FALSE(parsed(to_sarif(report_)).is_discarded());
  EXPECT_FALSE(parsed(to_perfetto(report_)).is_discarded());
  expect_program(between(to_mail(report_), "-----8<-----\n", "----->8-----"), report_);
  const std::string source = to_test(report_);
  const std::string delimiter = between(source, "R\"", "(");
  expect_program(between(source, "R\"" + delimiter + "(", ")" + delimiter + "\""), report_);
}

TEST_F(OddNames, ThatAreLongerThanALineOfAMailGoAsBinary) {
  std::string name;
  for (int i = 0; i < 100; ++i) { name += std::to_string(i * 7919); }
  add_operation("stat \"" + name + "\"");
  const std::string mail = to_mail(report_);
  EXPECT_NE(mail.find("base64 -d"), std::string::npos);
  std::istringstream lines(mail);
  for (std::string line; std::getline(lines, line);) { EXPECT_LE(line.size(), 78u) << line; }
}

TEST(Prose, WrappedLinesAllEnd) {
  EXPECT_EQ(wrap("aa bb cc", 5), "aa bb\ncc\n");
  EXPECT_EQ(wrap("", 10), "\n");
}

}  // namespace
}  // namespace daxfuzz::report
