#include "fuzz/benchbugs/results.h"

#include <cstdio>

namespace daxfuzz::benchbugs {

const char* end_name(End end) {
  switch (end) {
    case End::kExposed: return "exposed";
    case End::kBudget: return "budget";
    case End::kInterrupted: return "interrupted";
    case End::kMemory: return "memory";
    case End::kStuck: return "stuck";
  }
  return "?";
}

Cell cell_of(const Results& results, const std::string* bug, const std::string& policy) {
  Cell cell;
  std::vector<Observation> by_cpu;
  std::vector<Observation> by_runs;
  for (const Trial& trial : results.trials) {
    const bool of_bug = bug != nullptr ? trial.bug == *bug : trial.bug != kClean;
    if (!of_bug || trial.policy != policy) { continue; }
    const bool found = trial.end == End::kExposed;
    ++cell.trials;
    cell.found += found;
    cell.cut_short += !found && trial.end != End::kBudget;
    cell.cpu_seconds += trial.cpu_seconds;
    cell.runs += trial.runs;
    by_cpu.push_back({trial.cpu_seconds, found});
    by_runs.push_back({static_cast<double>(trial.runs), found});
  }
  cell.by_cpu = kaplan_meier(std::move(by_cpu));
  cell.median_cpu = median(cell.by_cpu);
  cell.median_runs = median(kaplan_meier(std::move(by_runs)));
  cell.mean_cpu = mean_until(cell.by_cpu, results.settings.seconds);
  return cell;
}

Control control_of(const Results& results) {
  Control control;
  for (const Trial& trial : results.trials) {
    if (trial.bug != kClean) { continue; }
    ++control.trials;
    control.runs += trial.runs;
    control.cpu_seconds += trial.cpu_seconds;
    if (trial.end == End::kExposed) { control.findings.push_back(&trial); }
  }
  return control;
}

unsigned harness_defects(const Results& results) {
  unsigned defects = 0;
  for (const Trial& trial : results.trials) { defects += trial.harness_defects; }
  return defects;
}

size_t trials_planned(const Settings& settings) {
  return (settings.bugs.size() + 1) * settings.policies.size() * settings.repeats;
}

std::string seconds_text(double seconds) {
  char text[32];
  if (seconds < 0.0995) {
    std::snprintf(text, sizeof(text), "%.0f ms", seconds * 1000);
  } else if (seconds < 9.95) {
    std::snprintf(text, sizeof(text), "%.2g s", seconds);
  } else {
    std::snprintf(text, sizeof(text), "%.0f s", seconds);
  }
  return text;
}

std::string count_text(double count) {
  char text[32];
  if (count < 999.5) {
    std::snprintf(text, sizeof(text), "%.0f", count);
  } else if (count < 9950) {
    std::snprintf(text, sizeof(text), "%.1fk", count / 1000);
  } else if (count < 999500) {
    std::snprintf(text, sizeof(text), "%.0fk", count / 1000);
  } else {
    std::snprintf(text, sizeof(text), "%.1fM", count / 1e6);
  }
  return text;
}

}  // namespace daxfuzz::benchbugs
