// fuzz/benchbugs/results_json.cc - results for scripts.
#include <nlohmann/json.hpp>

#include "fuzz/benchbugs/results.h"

namespace daxfuzz::benchbugs {
namespace {

using nlohmann::json;

json or_null(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

json bug_name(const std::string& bug) { return bug == kClean ? json(nullptr) : json(bug); }

json trial_json(const Trial& trial) {
  json entry = {{"bug", bug_name(trial.bug)},
                {"policy", trial.policy},
                {"seed", trial.seed},
                {"end", end_name(trial.end)},
                {"cpu_seconds", trial.cpu_seconds},
                {"wall_seconds", trial.wall_seconds},
                {"runs", trial.runs},
                {"events", trial.events}};
  if (trial.end == End::kExposed) {
    entry["verdict"] = trial.verdict;
    entry["title"] = trial.title;
    entry["key"] = trial.key;
    entry["tag"] = trial.tag;
  }
  if (!trial.file.empty()) { entry["path"] = trial.file; }
  return entry;
}

json cell_json(const Results& results, const std::string* bug, const std::string& policy) {
  const Cell cell = cell_of(results, bug, policy);
  json curve = json::array();
  for (const CurvePoint& point : cell.by_cpu) { curve.push_back({point.time, point.surviving}); }
  return {{"bug", bug != nullptr ? bug_name(*bug) : json("all")},
          {"policy", policy},
          {"trials", cell.trials},
          {"found", cell.found},
          {"cut_short", cell.cut_short},
          {"median_cpu_seconds", or_null(cell.median_cpu)},
          {"median_runs", or_null(cell.median_runs)},
          {"mean_cpu_seconds_within_budget", cell.mean_cpu},
          {"cpu_seconds", cell.cpu_seconds},
          {"runs", cell.runs},
          {"survival", curve}};
}

}  // namespace

std::string to_json(const Results& results) {
  const Settings& settings = results.settings;
  json cells = json::array();
  for (const std::string& policy : settings.policies) {
    for (const BugRow& bug : settings.bugs) { cells.push_back(cell_json(results, &bug.id, policy)); }
    cells.push_back(cell_json(results, nullptr, policy));
  }
  json trials = json::array();
  for (const Trial& trial : results.trials) { trials.push_back(trial_json(trial)); }
  json bugs = json::array();
  for (const BugRow& bug : settings.bugs) { bugs.push_back({{"id", bug.id}, {"catalogue", bug.catalogue}}); }
  const Control control = control_of(results);
  json findings = json::array();
  for (const Trial* trial : control.findings) { findings.push_back(trial_json(*trial)); }
  const json all = {{"format", "daxfuzz bench-bugs 1"},
                    {"complete", results.trials.size() == trials_planned(settings) && !results.interrupted},
                    {"settings",
                     {{"bugs", bugs},
                      {"policies", settings.policies},
                      {"repeats", settings.repeats},
                      {"seconds", settings.seconds},
                      {"seed", settings.seed},
                      {"jobs", settings.jobs}}},
                    {"control",
                     {{"trials", control.trials},
                      {"runs", control.runs},
                      {"cpu_seconds", control.cpu_seconds},
                      {"findings", findings}}},
                    {"harness_defects", harness_defects(results)},
                    {"cells", cells},
                    {"trials", trials}};
  return all.dump(2) + "\n";
}

}  // namespace daxfuzz::benchbugs
