// fuzz/tools/bench_bugs_command.cc - `daxfuzz bench-bugs`: time to exposure of each historical bug under each policy.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/tools/bench_trial.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/fuzz_worker.h"
#include "fuzz/tools/interrupt.h"
#include "fuzz/tools/self_check_child.h"

namespace daxfuzz::tools {
namespace {

using benchbugs::End;
using benchbugs::Trial;

struct BenchBugsOptions {
  std::vector<std::string> bugs = {"all"};
  std::vector<std::string> policies = {"random", "pct", "pos", "coverage"};
  unsigned repeats = 10;
  double seconds = 30;
  uint64_t seed = 1;
  unsigned jobs = 1;
  std::string json, html, findings = "findings";
  bool force = false;
};

class BenchBugsJob {
 public:
  explicit BenchBugsJob(const BenchBugsOptions& options) : options_(options) {}

  int run() {
    if (!prepare()) { return kExitUsage; }
    if (const std::string failed = self_check_in_child(); !failed.empty()) {
      std::fprintf(stderr, "daxfuzz: self-check failed: %s\nNothing was measured.\n", failed.c_str());
      return kExitHarness;
    }
    catch_interrupts();
    start_ms_ = monotonic_ms();
    watch();
    return finish();
  }

 private:
  struct Plan {
    std::string bug;  // benchbugs::kClean for the control
    size_t policy;
    uint64_t seed;
  };
  struct Slot {
    pid_t pid = -1;
    Plan plan;
    uint64_t start_ms = 0;
    bool stuck = false;
    TrialShared* shared = nullptr;
  };

  static bool usage(const std::string& message) {
    std::fprintf(stderr, "daxfuzz: %s\n", message.c_str());
    return false;
  }

  bool prepare() {
    if (!choose_bugs() || !choose_policies()) { return false; }
    auto& settings = results_.settings;
    settings.repeats = options_.repeats;
    settings.seconds = options_.seconds;
    settings.seed = options_.seed;
    settings.jobs = options_.jobs;
    for (const std::string& path : {options_.json, options_.html}) {
      if (!path.empty() && !options_.force && std::filesystem::exists(path)) {
        return usage(path + ": exists already; --force overwrites it");
      }
    }
    // Before hours are spent: can the results be written?
    if (!write_results()) { return false; }
    slots_.resize(options_.jobs);
    for (Slot& slot : slots_) {
      void* memory = mmap(nullptr, sizeof(TrialShared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) { return usage(std::string("no shared memory: ") + std::strerror(errno)); }
      slot.shared = static_cast<TrialShared*>(memory);
    }
    // Each repeat once round all bugs and policies: what is there when somebody stops it is balanced.
    for (unsigned repeat = 0; repeat < options_.repeats; ++repeat) {
      for (size_t bug = 0; bug <= settings.bugs.size(); ++bug) {
        for (size_t policy = 0; policy < settings.policies.size(); ++policy) {
          plans_.push_back(
              {bug < settings.bugs.size() ? settings.bugs[bug].id : benchbugs::kClean, policy, options_.seed + repeat});
        }
      }
    }
    return true;
  }

  bool choose_bugs() {
    const bool all = std::find(options_.bugs.begin(), options_.bugs.end(), "all") != options_.bugs.end();
    daxfs::BugSet wanted;
    if (all) {
      wanted.set();
    } else if (!select_bugs(options_.bugs, &wanted)) {
      return false;
    }
    for (const auto& info : daxfs::historical_bugs()) {
      if (!wanted[static_cast<size_t>(info.bug)]) { continue; }
      results_.settings.bugs.push_back({std::string(info.id), std::string(info.catalogue), std::string(info.title)});
    }
    if (results_.settings.bugs.empty()) {
      return usage("no historical bugs are compiled in (DAXFS_HISTORICAL_BUGS=OFF); use the preset release");
    }
    return true;
  }

  bool choose_policies() {
    for (const std::string& name : options_.policies) {
      const auto policy = parse_policy(name);
      if (!policy || *policy == PolicyKind::kReplay) {
        return usage("--policies " + name + ": expected random, pct, pos, coverage, conflict or directed");
      }
      auto& names = results_.settings.policies;
      if (std::find(names.begin(), names.end(), name) != names.end()) { continue; }
      names.push_back(name);
      policies_.push_back(*policy);
    }
    return true;
  }

  // --- trials

  void start(Slot& slot) {
    slot.plan = plans_[next_++];
    slot.start_ms = monotonic_ms();
    slot.stuck = false;
    *slot.shared = {};
    TrialTask task{.bugs = {},
                   .policy = policies_[slot.plan.policy],
                   .seed = slot.plan.seed,
                   .cpu_seconds = options_.seconds,
                   .findings_dir = {}};
    if (slot.plan.bug == benchbugs::kClean) {
      task.findings_dir = options_.findings;
    } else {
      daxfs::select_historical(slot.plan.bug, &task.bugs);
    }
    std::fflush(nullptr);
    slot.pid = fork();
    if (slot.pid == 0) {
      std::signal(SIGINT, SIG_IGN);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      run_trial(task, slot.shared);
      _exit(0);
    }
    if (slot.pid < 0) {
      std::fprintf(stderr, "daxfuzz: fork: %s\n", std::strerror(errno));
      interrupt();
    }
  }

  void watch() {
    uint64_t next_show_ms = 0;
    uint64_t next_write_ms = 0;
    bool fresh = false;
    for (;;) {
      bool running = false;
      for (Slot& slot : slots_) {
        if (slot.pid > 0 && interrupted()) { kill(slot.pid, SIGKILL); }
        if (slot.pid > 0) { fresh |= collect(slot); }
        if (slot.pid <= 0 && next_ < plans_.size() && !interrupted()) { start(slot); }
        running |= slot.pid > 0;
      }
      const uint64_t now = monotonic_ms();
      if (fresh && now >= next_write_ms) {
        write_results();
        fresh = false;
        next_write_ms = now + 2000;
      }
      if (now >= next_show_ms) {
        show(now);
        next_show_ms = now + (terminal_ ? 500 : 10000);
      }
      if (!running) { break; }
      poll(nullptr, 0, 5);
    }
  }

  // RETURNS: whether the trial is over.
  bool collect(Slot& slot) {
    // Far beyond what a busy machine explains: it does not use its processor time at all.
    const uint64_t wall_max = static_cast<uint64_t>(options_.seconds * 100000) + 120000;
    if (monotonic_ms() - slot.start_ms > wall_max) {
      slot.stuck = true;
      kill(slot.pid, SIGKILL);
    }
    int status = 0;
    rusage usage{};
    if (wait4(slot.pid, &status, WNOHANG, &usage) != slot.pid) { return false; }
    slot.pid = -1;
    const TrialShared& shared = *slot.shared;
    Trial trial;
    trial.bug = slot.plan.bug;
    trial.policy = results_.settings.policies[slot.plan.policy];
    trial.seed = slot.plan.seed;
    trial.wall_seconds = static_cast<double>(monotonic_ms() - slot.start_ms) / 1000;
    trial.runs = shared.runs;
    trial.events = shared.events;
    trial.cpu_seconds = shared.cpu_seconds;
    trial.harness_defects = shared.harness_defects;
    if (__atomic_load_n(&shared.ended, __ATOMIC_ACQUIRE) != 0) {
      trial.end = shared.end;
      trial.verdict = shared.verdict;
      trial.key = shared.key;
      trial.tag = shared.tag;
      trial.title = shared.title;
      trial.file = shared.path;
    } else if (interrupted()) {
      trial.end = End::kInterrupted;
    } else if (slot.stuck) {
      trial.end = End::kStuck;
    } else {
      crashed(status, &trial);
    }
    if (trial.bug == benchbugs::kClean && trial.end == End::kExposed) { cry_out(trial); }
    results_.trials.push_back(std::move(trial));
    return true;
  }

  // The library died of it: a finding as good as any (`daxfuzz fuzz` files the program).
  static void crashed(int status, Trial* trial) {
    trial->end = End::kExposed;
    trial->verdict = daxfs::verdict_name(daxfs::Verdict::kCrash);
    trial->key = "crash";
    trial->title = WIFSIGNALED(status) ? std::string("the library died of signal ") + strsignal(WTERMSIG(status))
                                       : "the library exited with " + std::to_string(WEXITSTATUS(status));
  }

  void cry_out(const Trial& trial) {
    clear_screen_part();
    std::fprintf(stderr,
                 "\ndaxfuzz: FINDING IN THE CLEAN BUILD, policy %s, seed %llu: %s\n  no bug was switched on: a bug "
                 "of ours, or an oracle that is wrong\n",
                 trial.policy.c_str(), static_cast<unsigned long long>(trial.seed), trial.title.c_str());
    if (!trial.file.empty()) { std::fprintf(stderr, "  daxfuzz run %s\n", trial.file.c_str()); }
    std::fprintf(stderr, "\n");
  }

  // --- what people see

  std::string progress(uint64_t now) const {
    char line[256];
    std::string running;
    for (const Slot& slot : slots_) {
      if (slot.pid <= 0) { continue; }
      std::snprintf(line, sizeof(line), "  %s %s #%llu %.0f s",
                    slot.plan.bug == benchbugs::kClean ? "clean build" : slot.plan.bug.c_str(),
                    results_.settings.policies[slot.plan.policy].c_str(),
                    static_cast<unsigned long long>(slot.plan.seed), static_cast<double>(now - slot.start_ms) / 1000);
      running += line;
    }
    const double elapsed = static_cast<double>(now - start_ms_) / 1000;
    std::snprintf(line, sizeof(line), "%.0f s  trial %zu of %zu", elapsed, results_.trials.size(), plans_.size());
    return line + running;
  }

  void show(uint64_t now) {
    if (!terminal_) {
      if (now - start_ms_ > 1000) { std::fprintf(stderr, "%s\n", progress(now).c_str()); }
      return;
    }
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const size_t columns = known ? size.ws_col : 80;
    std::string text = benchbugs::table(results_);
    const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    if (!known || lines + 2 > size.ws_row) { text.clear(); }
    text += progress(now);
    clear_screen_part();
    size_t from = 0;
    for (size_t end = text.find('\n'); from <= text.size(); end = text.find('\n', from)) {
      const size_t stop = std::min(end, text.size());
      // A line that wraps would be two of the screen.
      const std::string line = text.substr(from, std::min(stop - from, columns - 1));
      std::fprintf(stderr, "%s%s", line.c_str(), stop < text.size() ? "\n" : "");
      lines_shown_ += stop < text.size();
      from = stop + 1;
    }
    line_open_ = true;
    std::fflush(stderr);
  }

  void clear_screen_part() {
    if (!line_open_) { return; }
    std::fprintf(stderr, "\r");
    if (lines_shown_ > 0) { std::fprintf(stderr, "\033[%zuA", lines_shown_); }
    std::fprintf(stderr, "\033[J");
    lines_shown_ = 0;
    line_open_ = false;
  }

  // --- results

  bool write_results() {
    std::string error;
    if (!options_.json.empty() && !write_file(options_.json, benchbugs::to_json(results_), &error)) {
      return usage(error);
    }
    if (!options_.html.empty() && !write_file(options_.html, benchbugs::page(results_), &error)) {
      return usage(error);
    }
    return true;
  }

  int finish() {
    clear_screen_part();
    results_.interrupted = interrupted() && results_.trials.size() < plans_.size();
    for (const Trial& trial : results_.trials) { results_.interrupted |= trial.end == End::kInterrupted; }
    const bool written = write_results();
    std::printf("%s", benchbugs::table(results_).c_str());
    if (results_.interrupted) {
      std::printf("interrupted: %zu of %zu trials; trials in the middle count for as long as they ran\n",
                  results_.trials.size(), plans_.size());
    }
    for (const std::string& path : {options_.json, options_.html}) {
      if (!path.empty() && written) { std::printf("%s\n", path.c_str()); }
    }
    const auto control = benchbugs::control_of(results_);
    for (const Trial* trial : control.findings) {
      std::printf("FINDING IN THE CLEAN BUILD: %s %s key=%s policy %s seed %llu %s\n", trial->verdict.c_str(),
                  trial->title.c_str(), trial->key.c_str(), trial->policy.c_str(),
                  static_cast<unsigned long long>(trial->seed), trial->file.c_str());
    }
    if (!control.findings.empty()) { return kExitFinding; }
    if (const unsigned defects = benchbugs::harness_defects(results_); defects != 0) {
      std::fprintf(stderr, "daxfuzz: harness defect: %u findings did not replay\n", defects);
      return kExitHarness;
    }
    if (!written) { return kExitUsage; }
    return results_.interrupted ? kExitInterrupted : kExitOk;
  }

  const BenchBugsOptions& options_;
  benchbugs::Results results_;
  std::vector<PolicyKind> policies_;
  std::vector<Plan> plans_;
  size_t next_ = 0;
  std::vector<Slot> slots_;
  uint64_t start_ms_ = 0;
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  size_t lines_shown_ = 0;
  bool line_open_ = false;
};

}  // namespace

void add_bench_bugs(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("bench-bugs", "time to exposure of each historical bug under each policy");
  auto options = std::make_shared<BenchBugsOptions>();
  command
      ->add_option("--bugs", options->bugs, "all, or ids separated by commas (a name stands for all of name/variant)")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--policies", options->policies, "of random, pct, pos, coverage, conflict, directed")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--repeats", options->repeats, "seeds for each bug and policy")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  command->add_option("--seconds", options->seconds, "processor time of a trial at most")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 1e6));
  command->add_option("--seed", options->seed, "of the first repeat; the others count up")->capture_default_str();
  command->add_option("--jobs", options->jobs, "trials at a time")->capture_default_str()->check(CLI::Range(1, 256));
  command->add_option("--json", options->json, "write results there, as they come");
  command->add_option("--html", options->html, "write a page with survival curves there, as they come");
  command->add_option("--findings", options->findings, "folder for findings of the clean build, which must have none")
      ->capture_default_str();
  command->add_flag("--force", options->force, "overwrite the outputs");
  command->footer(
      "Each trial begins with an empty corpus and ends with the first finding that replays. The "
      "clean build is fuzzed in\n"
      "the same way, as negative control.\n"
      "Example: daxfuzz bench-bugs --bugs break-layouts-lost-retry --repeats 5 --seconds 10 --html "
      "bench.html\n"
      "Exit codes: 0 measured, 77 a finding in the clean build, 72 interrupted (results so far are "
      "written).");
  command->callback([=] { *action = [=] { return BenchBugsJob(*options).run(); }; });
}

}  // namespace daxfuzz::tools
