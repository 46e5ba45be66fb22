// fuzz/report/sarif.cc - SARIF 2.1.0 for viewers of static analysers: the diagram as a code flow.
#include <map>

#include <nlohmann/json.hpp>

#include "fuzz/prog/text.h"
#include "fuzz/report/formats.h"
#include "fuzz/report/known.h"
#include "fuzz/report/prose.h"

namespace daxfuzz::report {
namespace {

using nlohmann::json;

constexpr const char* kRoot = "SRCROOT";

json text(const std::string& words) { return {{"text", words}}; }

json location(const std::string& file, unsigned line) {
  return {{"artifactLocation", {{"uri", file}, {"uriBaseId", kRoot}}},
          {"region", {{"startLine", line == 0 ? 1 : line}}}};
}

// In the artifact that is embedded.
json program_line(size_t line) {
  return {{"artifactLocation", {{"uri", "program.txt"}, {"index", 0}}}, {"region", {{"startLine", line}}}};
}

// Where the events of the run are in the source.
class Sites {
 public:
  explicit Sites(const Report& report) {
    for (const explain::Record& record : report.recording->recorder.records()) {
      if (record.kind != explain::Record::Kind::kEvent || record.file == nullptr) { continue; }
      sites_.try_emplace({record.task, record.op, record.event}, record.file, record.line);
    }
  }
  // An access comes right after its event; a call is best known by the first event in it.
  json of(int task, const explain::Row& row, const Report& report) const {
    if (row.kind == explain::Row::Kind::kOp) {
      for (const ListingLine& line : report.listing) {
        if (line.kind == ListingLine::Kind::kOp && line.task == task && line.op == row.op) {
          return program_line(line.number);
        }
      }
    }
    const bool call = row.kind == explain::Row::Kind::kCall;
    const auto of_op = [&](auto at) {
      return at != sites_.end() && std::get<0>(at->first) == task && std::get<1>(at->first) == row.op;
    };
    auto found = sites_.lower_bound({task, row.op, row.event + (call ? 1 : 0)});
    if (!of_op(found)) { return location(site_path(report.finding.file), report.finding.line); }
    // Small helpers in headers say little about where a call went.
    constexpr int kLookMax = 4;
    auto better = found;
    for (int i = 0; call && i < kLookMax && of_op(better) && in_header(better->second.first); ++i) { ++better; }
    if (of_op(better) && !in_header(better->second.first)) { found = better; }
    return location(site_path(found->second.first), found->second.second);
  }

 private:
  static bool in_header(std::string_view file) { return file.ends_with(".h"); }

  std::map<std::tuple<int, uint32_t, uint64_t>, std::pair<std::string, unsigned>> sites_;
};

const char* level(const Report& report) {
  return report.finding.verdict == daxfs::Verdict::kWarn ? "warning" : "error";
}

json rules(const Report& report, size_t* index) {
  json all = json::array();
  *index = SIZE_MAX;
  std::vector<Invariant> rows = invariants();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].tag == report.finding.tag) { *index = i; }
  }
  if (*index == SIZE_MAX) {  // a verdict of the engine or a tag that no header declares
    *index = rows.size();
    rows.push_back({report.finding.tag, report.verdict, ""});
  }
  for (const Invariant& row : rows) {
    json rule = {{"id", row.tag}, {"shortDescription", text(row.text)}};
    if (!row.declared.empty()) { rule["fullDescription"] = text(row.text + " (declared in " + row.declared + ")"); }
    all.push_back(std::move(rule));
  }
  return all;
}

json thread_flow(const Report& report, size_t column, const Sites& sites) {
  const explain::Explanation& e = report.explanation;
  const int task = e.columns[column].task;
  json steps = json::array();
  for (size_t i = 0; i < e.rows.size(); ++i) {
    const explain::Row& row = e.rows[i];
    const bool at_rest = row.column < 0 && row.kind == explain::Row::Kind::kFinding;
    if (row.column != static_cast<int>(column) && !(at_rest && column == 0)) { continue; }
    std::string words = row.text;
    if (row.kind == explain::Row::Kind::kSwitch) {
      words = "preempted: " + e.columns[static_cast<size_t>(row.to)].name + " goes on";
    } else if (!row.state.empty()) {
      words += " (" + row.state + ")";
    }
    const bool finding = row.kind == explain::Row::Kind::kFinding;
    const bool decides = finding || row.kind == explain::Row::Kind::kSwitch;
    json where = finding ? location(site_path(report.finding.file), report.finding.line) : sites.of(task, row, report);
    steps.push_back({{"location", {{"physicalLocation", std::move(where)}, {"message", text(words)}}},
                     {"executionOrder", i + 1},
                     {"nestingLevel", row.depth},
                     {"importance", decides ? "essential" : "important"}});
  }
  return {{"id", prog::print_task_id(static_cast<prog::TaskId>(task))},
          {"message", text(e.columns[column].name)},
          {"locations", std::move(steps)}};
}

json result(const Report& report, size_t rule) {
  const Sites sites(report);
  json flows = json::array();
  for (size_t i = 0; i < report.explanation.columns.size(); ++i) {
    json flow = thread_flow(report, i, sites);
    if (!flow["locations"].empty()) { flows.push_back(std::move(flow)); }
  }
  json related = json::array();
  for (const ListingLine& line : report.listing) {
    if (line.kind != ListingLine::Kind::kPreemption) { continue; }
    related.push_back({{"id", related.size() + 1},
                       {"physicalLocation", program_line(line.number)},
                       {"message", text(line.text.substr(2) + "   " + line.note)}});
  }
  json out = {
      {"ruleId", report.finding.tag},
      {"ruleIndex", rule},
      {"level", level(report)},
      {"kind", "fail"},
      {"message",
       text(report.title + ". " + what_it_takes(report) + " Replay: " + commands(report, report.file)[0].text)},
      {"locations", json::array({{{"physicalLocation", location(site_path(report.finding.file), report.finding.line)},
                                  {"logicalLocations",
                                   json::array({{{"fullyQualifiedName", report.function}, {"kind", "function"}}})}}})},
      {"partialFingerprints", {{"daxfuzzDedupKey/v1", report.key}}},
      {"properties", {{"trace", report.trace}, {"verdict", report.verdict}, {"bugs", report.explanation.bugs}}}};
  if (!flows.empty()) {
    out["codeFlows"] =
        json::array({{{"message", text("in the order of executionOrder")}, {"threadFlows", std::move(flows)}}});
  }
  if (!related.empty()) { out["relatedLocations"] = std::move(related); }
  return out;
}

}  // namespace

std::string to_sarif(const Report& report) {
  size_t rule = 0;
  json all_rules = rules(report, &rule);
  json properties = json::object();
  for (const auto& [name, value] : environment_lines(report)) { properties[name] = value; }
  const json log = {
      {"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
      {"version", "2.1.0"},
      {"runs",
       json::array(
           {{{"tool",
              {{"driver",
                {{"name", "daxfuzz"}, {"version", report.environment.version}, {"rules", std::move(all_rules)}}}}},
             {"originalUriBaseIds",
              {{kRoot, {{"description", text("the root of the source tree that the tool was built from")}}}}},
             {"artifacts", json::array({{{"location", {{"uri", "program.txt"}}},
                                         {"contents", text(prog::print(report.program))},
                                         {"description", text("the program with its schedule")}}})},
             {"columnKind", "utf16CodeUnits"},
             {"results", json::array({result(report, rule)})},
             {"properties", std::move(properties)}}})}};
  return log.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace daxfuzz::report
