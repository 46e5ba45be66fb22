// fuzz/benchbugs/table.cc - results for a terminal: a row a bug, a column a policy.
#include <algorithm>
#include <cstdio>

#include "fuzz/benchbugs/results.h"

namespace daxfuzz::benchbugs {
namespace {

constexpr int kCellWidth = 23;

std::string pad(const std::string& text, size_t width) {
  return text.size() < width ? text + std::string(width - text.size(), ' ') : text;
}

std::string cell_text(const Cell& cell, double budget) {
  if (cell.trials == 0) { return "-"; }
  char text[96];
  const std::string time = cell.median_cpu ? seconds_text(*cell.median_cpu) : ">" + seconds_text(budget);
  const std::string runs = cell.median_runs ? count_text(*cell.median_runs) : "";
  std::snprintf(text, sizeof(text), "%2u/%-2u %8s %6s", cell.found, cell.trials, time.c_str(), runs.c_str());
  return text;
}

}  // namespace

std::string table(const Results& results) {
  const Settings& settings = results.settings;
  size_t width = 12;
  for (const BugRow& bug : settings.bugs) { width = std::max(width, bug.id.size()); }
  std::string out = pad("found / trials, median", width + 6);
  const auto end_line = [&out] { out.replace(out.find_last_not_of(' ') + 1, std::string::npos, "\n"); };
  for (const std::string& policy : settings.policies) { out += "  " + pad(policy, kCellWidth); }
  end_line();
  out += pad("", width + 6);
  for (size_t i = 0; i < settings.policies.size(); ++i) { out += "  " + pad("found  cpu time   runs", kCellWidth); }
  end_line();
  const auto row = [&](const std::string& head, const std::string* bug) {
    out += pad(head, width + 6);
    for (const std::string& policy : settings.policies) {
      out += "  " + pad(cell_text(cell_of(results, bug, policy), settings.seconds), kCellWidth);
    }
    end_line();
  };
  for (const BugRow& bug : settings.bugs) { row(pad(bug.catalogue, 5) + " " + bug.id, &bug.id); }
  if (settings.bugs.size() > 1) { row("all of them", nullptr); }
  const Control control = control_of(results);
  out += pad("clean build", width + 6) + "  ";
  if (control.trials == 0) { return out + "not fuzzed yet: no negative control\n"; }
  out += control.findings.empty() ? "no finding" : std::to_string(control.findings.size()) + " FINDINGS";
  char rest[96];
  std::snprintf(rest, sizeof(rest), " in %u trials, %s cpu time, %s runs\n", control.trials,
                seconds_text(control.cpu_seconds).c_str(), count_text(static_cast<double>(control.runs)).c_str());
  return out + rest;
}

}  // namespace daxfuzz::benchbugs
