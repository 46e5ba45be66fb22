// fuzz/benchbugs/results.h - what a benchmark of time to exposure measured, trial by trial, and what follows from it.
//
// A trial is one seed of one policy against one historical bug (or the clean build), from an empty corpus, until the
// first finding or the end of its budget of processor time. Everything shown is computed from the trials.
//
// Tested by: fuzz/benchbugs/results_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/benchbugs/survival.h"

namespace daxfuzz::benchbugs {

// Why a trial ended. All but kExposed are censored: the bug was not seen until then.
enum class End : uint8_t { kExposed, kBudget, kInterrupted, kMemory, kStuck };
const char* end_name(End end);

struct Trial {
  std::string bug;  // kClean: no switch on
  std::string policy;
  uint64_t seed = 0;
  End end = End::kBudget;
  double cpu_seconds = 0;  // until the finding was there (without the replays that confirm it), or until the end
  double wall_seconds = 0;
  uint64_t runs = 0;
  uint64_t events = 0;
  unsigned harness_defects = 0;          // findings that did not replay; never counted as exposure
  std::string verdict, title, key, tag;  // of the finding
  std::string file;                      // where it was filed; of the clean build only
};
inline constexpr char kClean[] = "";

struct BugRow {
  std::string id;
  std::string catalogue;
  std::string title;
};

struct Settings {
  std::vector<BugRow> bugs;  // without the clean build
  std::vector<std::string> policies;
  unsigned repeats = 0;
  double seconds = 0;  // processor time of a trial
  uint64_t seed = 1;   // of the first repeat; the others count up
  unsigned jobs = 1;
};

struct Results {
  Settings settings;
  std::vector<Trial> trials;
  bool interrupted = false;
};

// The trials of one bug under one policy.
struct Cell {
  unsigned trials = 0;
  unsigned found = 0;
  unsigned cut_short = 0;  // ended before their budget without a finding
  double cpu_seconds = 0;  // of all of them
  uint64_t runs = 0;
  Curve by_cpu;
  std::optional<double> median_cpu;  // seconds
  std::optional<double> median_runs;
  double mean_cpu = 0;  // within the budget (mean_until)
};
// `bug` null: of all bugs together, without the clean build.
Cell cell_of(const Results& results, const std::string* bug, const std::string& policy);

struct Control {
  unsigned trials = 0;
  uint64_t runs = 0;
  double cpu_seconds = 0;
  std::vector<const Trial*> findings;
};
Control control_of(const Results& results);
unsigned harness_defects(const Results& results);
// Trials that are to come.
size_t trials_planned(const Settings& settings);

// The same as one JSON object (docs/running.md has its fields).
std::string to_json(const Results& results);

// "0.42 s", "3 ms", "1.2k": three digits at most, for tables.
std::string seconds_text(double seconds);
std::string count_text(double count);

// For a terminal.
std::string table(const Results& results);
// One page with everything inlined.
std::string page(const Results& results);

}  // namespace daxfuzz::benchbugs
