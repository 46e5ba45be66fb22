#include "fuzz/tools/bench_trial.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>

#include <sys/resource.h>

#include "fuzz/prog/text.h"
#include "fuzz/tools/crash_trap.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/finding_file.h"
#include "fuzz/tools/shared_text.h"

namespace daxfuzz::tools {
namespace {

constexpr long kResidentMaxKib = 2048 * 1024;  // abandoned runs leak; a trial that saw so many is over
constexpr uint64_t kStepsPerLook = 1024;

bool too_large() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss > kResidentMaxKib;
}

void file(const TrialTask& task, const LoopFinding& found, TrialShared* shared) {
  std::error_code ignored;  // write_file says what is wrong
  std::filesystem::create_directories(task.findings_dir, ignored);
  const std::string path = task.findings_dir + "/" + found.key + ".txt";
  const std::string note = finding_note(found.finding, found.trace_hash, path, task.bugs);
  std::string error;
  if (write_file(path, annotate(prog::print(found.program), note), &error)) {
    copy_text(path, shared->path);
  } else {
    std::fprintf(stderr, "daxfuzz: %s\n", error.c_str());
  }
}

}  // namespace

double process_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

void run_trial(const TrialTask& task, TrialShared* shared) {
  daxfs::set_historical(task.bugs);
  catch_crashes();
  const double start = process_cpu_seconds();
  double found_at = 0;
  LoopOptions options{.seed = task.seed, .policy = task.policy, .feedback = task.policy == PolicyKind::kCoverage};
  // The finding is there before the replays that confirm it, which cost a policy nothing.
  options.before_replay = [&](unsigned replay) {
    if (replay == 0) { found_at = process_cpu_seconds() - start; }
  };
  FuzzLoop loop(options);
  const auto end = [&](benchbugs::End why) {
    shared->end = why;
    __atomic_store_n(&shared->ended, 1, __ATOMIC_RELEASE);
  };
  for (uint64_t step = 1;; ++step) {
    const auto found = loop.step();
    const double now = process_cpu_seconds() - start;
    shared->runs = loop.stats().runs;
    shared->events = loop.stats().events;
    shared->cpu_seconds = now;
    if (found && found->replayed) {
      shared->cpu_seconds = found_at;
      copy_text(daxfs::verdict_name(found->finding.verdict), shared->verdict);
      copy_text(found->key, shared->key);
      copy_text(found->finding.tag, shared->tag);
      copy_text(found->title, shared->title);
      if (!task.findings_dir.empty()) { file(task, *found, shared); }
      return end(benchbugs::End::kExposed);
    }
    shared->harness_defects += found.has_value();
    if (now >= task.cpu_seconds) {
      shared->cpu_seconds = task.cpu_seconds;  // what came after the budget does not count
      return end(benchbugs::End::kBudget);
    }
    if (step % kStepsPerLook == 0 && too_large()) { return end(benchbugs::End::kMemory); }
  }
}

}  // namespace daxfuzz::tools
