// fuzz/tools/fuzz_command.cc - `daxfuzz fuzz`: starts workers, watches them, tells people.
#include <algorithm>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/exec/interpreter.h"
#include "fuzz/prog/binary.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/text.h"
#include "fuzz/residual/summary.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/finding_file.h"
#include "fuzz/tools/fuzz_worker.h"
#include "fuzz/tools/interrupt.h"
#include "fuzz/tools/self_check_child.h"

namespace daxfuzz::tools {
namespace {

// For workers that are busy with a finding when time is up. A loop without a scheduling point takes two seconds for
// each of its runs (fuzz/tools/crash_trap.h).
constexpr uint64_t kGraceMs = 8000;

struct FuzzOptions {
  std::string target = "syscalls";
  uint64_t seconds = 60;
  unsigned jobs = 1;
  std::string corpus, findings = "findings";
  std::vector<std::string> bugs;
  std::vector<std::string> mounts;
  std::string policy = "coverage";
  uint64_t seed = 1;
  uint64_t orders_every = LoopOptions{}.orders_every;
  std::string residual;
  bool stop_on_finding = false;
  bool json = false;
};

struct ReportedFinding {
  std::string verdict, key, title, path;
  double seconds = 0;
  bool ended_the_process = false;  // minimize and report refuse such
};

class FuzzJob {
 public:
  explicit FuzzJob(const FuzzOptions& options) : options_(options) {}

  int run() {
    if (const int code = prepare(); code != kExitOk) { return code; }
    start_ms_ = monotonic_ms();
    catch_interrupts();
    for (unsigned i = 0; i < options_.jobs; ++i) { spawn(i); }
    watch();
    return summarise();
  }

 private:
  struct Slot {
    pid_t pid = -1;
    unsigned generation = 0;
    WorkerShared* shared = nullptr;
    uint32_t findings_seen = 0;
    LoopStats before;  // of earlier generations
  };

  int prepare() {
    if (options_.target != "syscalls") { return usage("--target " + options_.target + ": expected syscalls"); }
    if (!select_bugs(options_.bugs, &bugs_)) { return kExitUsage; }
    for (const std::string& mount : options_.mounts) {
      if (!prog::valid_mount_options(mount)) {
        return usage("--mount " + mount + ": expected options like dax=always,huge=2");
      }
    }
    const auto policy = parse_policy(options_.policy);
    if (!policy) {
      return usage("--policy " + options_.policy +
                   ": expected coverage, random, pct, pos, conflict, directed or replay");
    }
    policy_ = *policy;
    for (const std::string& dir : {options_.findings, options_.corpus}) {
      std::error_code error;
      if (!dir.empty() && !std::filesystem::is_directory(dir) && !std::filesystem::create_directories(dir, error)) {
        return usage(dir + ": cannot make this folder: " + error.message());
      }
    }
    const std::string failed = self_check_in_child();
    if (!failed.empty()) {
      std::fprintf(stderr,
                   "daxfuzz: self-check failed: %s\nNothing was fuzzed: a fuzzer that misses a "
                   "planted bug proves nothing.\n",
                   failed.c_str());
      return kExitHarness;
    }
    slots_.resize(options_.jobs);
    for (Slot& slot : slots_) {
      void* memory = mmap(nullptr, sizeof(WorkerShared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) { return usage(std::string("no shared memory: ") + std::strerror(errno)); }
      slot.shared = new (memory) WorkerShared();
    }
    return kExitOk;
  }

  void spawn(unsigned index) {
    Slot& slot = slots_[index];
    WorkerOptions worker;
    worker.loop.seed = options_.seed + index + uint64_t{slot.generation} * 1000003;
    worker.loop.policy = policy_;
    worker.loop.mounts = options_.mounts;
    worker.loop.orders_every = options_.orders_every;
    worker.bugs = bugs_;
    worker.corpus_dir = options_.corpus;
    worker.findings_dir = options_.findings;
    worker.start_ms = start_ms_;
    worker.deadline_ms = start_ms_ + options_.seconds * 1000;
    worker.stop_on_finding = options_.stop_on_finding;
    std::fflush(nullptr);
    slot.pid = fork();
    if (slot.pid == 0) {
      std::signal(SIGINT, SIG_IGN);
      _exit(run_worker(worker, slot.shared));
    }
    if (slot.pid < 0) { std::fprintf(stderr, "daxfuzz: fork: %s\n", std::strerror(errno)); }
  }

  void watch() {
    uint64_t next_line_ms = start_ms_ + 1000;
    while (alive()) {
      poll(nullptr, 0, 20);
      for (unsigned i = 0; i < slots_.size(); ++i) { look_after(i); }
      const uint64_t now = monotonic_ms();
      if (now >= next_line_ms) {
        live_line(now);
        next_line_ms = now + (isatty(STDERR_FILENO) != 0 ? 1000 : 10000);
      }
      const bool overdue = now > start_ms_ + options_.seconds * 1000 + kGraceMs;
      if (interrupted() || overdue || (options_.stop_on_finding && !findings_.empty())) { stop_workers(); }
    }
    if (line_open_) { std::fprintf(stderr, "\n"); }
  }

  bool alive() const {
    return std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.pid > 0; });
  }

  void stop_workers() {
    for (Slot& slot : slots_) {
      if (slot.pid > 0) { kill(slot.pid, SIGKILL); }
    }
    stopping_ = true;
  }

  void look_after(unsigned index) {
    Slot& slot = slots_[index];
    if (slot.pid <= 0) { return; }
    collect(slot);
    int status = 0;
    if (waitpid(slot.pid, &status, WNOHANG) != slot.pid) { return; }
    slot.pid = -1;
    collect(slot);
    if (stopping_) { return; }
    const bool recycled = WIFEXITED(status) && WEXITSTATUS(status) == kWorkerRecycle;
    const bool crashed = WIFSIGNALED(status) || (WIFEXITED(status) && !recycled && WEXITSTATUS(status) != kWorkerDone);
    if (crashed) { file_crash(slot, status); }
    if ((crashed || recycled) && !(options_.stop_on_finding && !findings_.empty())) { respawn(index); }
  }

  void respawn(unsigned index) {
    Slot& slot = slots_[index];
    add(slot.shared->stats, &slot.before);
    slot.shared->stats = {};
    ++slot.generation;
    spawn(index);
  }

  // A worker died of what nobody could catch (fuzz/tools/crash_trap.h): the run that it was in is the finding.
  void file_crash(Slot& slot, int status) {
    prog::Program program;
    prog::decode(std::span(slot.shared->program, slot.shared->program_size), &program);
    exec::adopt_schedule(std::span(slot.shared->taken.switches, slot.shared->taken.count), &program);
    const std::string how = WIFSIGNALED(status) ? std::string("signal ") + strsignal(WTERMSIG(status))
                                                : "exit code " + std::to_string(WEXITSTATUS(status));
    ReportedFinding finding;
    finding.verdict = daxfs::verdict_name(daxfs::Verdict::kCrash);
    finding.ended_the_process = true;
    // By its content: what an earlier job filed stays.
    const auto bytes = prog::encode(program);
    finding.key = "crash-" + hex16(exec::fnv1a64(std::as_bytes(std::span(bytes))));
    finding.title = "crash: the library died of " + how + " (the report is above, on stderr)";
    finding.path = options_.findings + "/" + finding.key + ".txt";
    finding.seconds = static_cast<double>(monotonic_ms() - start_ms_) / 1000;
    const std::string text =
        "# FINDING " + finding.title + "\n# replay: daxfuzz run " + finding.path + bug_options(bugs_) + "\n";
    std::string error;
    if (!write_file(finding.path, annotate(prog::print(program), text), &error)) {
      std::fprintf(stderr, "daxfuzz: %s\n", error.c_str());
    }
    if (keys_.insert(finding.key).second) { announce(finding); }
  }

  void collect(Slot& slot) {
    const uint32_t count = __atomic_load_n(&slot.shared->finding_count, __ATOMIC_ACQUIRE);
    for (; slot.findings_seen < count; ++slot.findings_seen) {
      const SharedFinding& shared = slot.shared->findings[slot.findings_seen];
      ReportedFinding finding{shared.verdict,
                              shared.key,
                              shared.title,
                              shared.path,
                              static_cast<double>(shared.milliseconds) / 1000,
                              /*ended_the_process=*/false};
      if (keys_.insert(finding.key).second) { announce(finding); }
    }
  }

  void announce(const ReportedFinding& finding) {
    if (line_open_) { std::fprintf(stderr, "\n"); }
    line_open_ = false;
    std::FILE* out = options_.json ? stderr : stdout;
    std::fprintf(out, "FINDING %s %s key=%s after %.1f s\n  daxfuzz run %s", finding.verdict.c_str(),
                 finding.title.c_str(), finding.key.c_str(), finding.seconds, finding.path.c_str());
    const std::string names = bug_names(bugs_);
    for (size_t at = 0; at < names.size();) {
      const size_t space = std::min(names.find(' ', at), names.size());
      std::fprintf(out, " --bug %s", names.substr(at, space - at).c_str());
      at = space + 1;
    }
    std::fprintf(out, "\n");
    if (findings_.empty() && !finding.ended_the_process) {
      std::fprintf(out, "  then `daxfuzz minimize`, and `daxfuzz report` to file it\n");
    }
    std::fflush(out);
    findings_.push_back(finding);
  }

  static void add(const LoopStats& from, LoopStats* to) {
    to->runs += from.runs;
    to->events += from.events;
    to->edges = std::max(to->edges, from.edges);
    to->interleavings = std::max(to->interleavings, from.interleavings);
    to->corpus = std::max(to->corpus, from.corpus);
    to->findings += from.findings;
  }

  LoopStats totals() const {
    LoopStats total;
    for (const Slot& slot : slots_) {
      add(slot.before, &total);
      add(slot.shared->stats, &total);
    }
    return total;
  }

  double seconds(uint64_t now) const { return std::max(0.001, static_cast<double>(now - start_ms_) / 1000); }

  void live_line(uint64_t now) {
    const LoopStats total = totals();
    const bool terminal = isatty(STDERR_FILENO) != 0;
    std::fprintf(stderr,
                 "%s%6.0f s  %9" PRIu64 " runs  %7.0f runs/s  edges %5" PRIu64 "  pairs %5" PRIu64 "  corpus %5" PRIu64
                 "  findings %zu%s",
                 terminal ? "\r" : "", seconds(now), total.runs, static_cast<double>(total.runs) / seconds(now),
                 total.edges, total.interleavings, total.corpus, findings_.size(), terminal ? "" : "\n");
    std::fflush(stderr);
    line_open_ = terminal;
  }

  int summarise() {
    const uint64_t now = monotonic_ms();
    const LoopStats total = totals();
    const auto residual = residual_of_all();
    uint32_t defects = 0;
    for (const Slot& slot : slots_) { defects += slot.shared->harness_defects; }
    if (options_.json) {
      print_json(total, now, defects, residual);
    } else {
      std::printf("%" PRIu64 " runs in %.1f s (%.0f runs/s), %" PRIu64 " edges, %" PRIu64
                  " interleaving pairs, corpus %" PRIu64 ", %zu findings%s\n",
                  total.runs, seconds(now), static_cast<double>(total.runs) / seconds(now), total.edges,
                  total.interleavings, total.corpus, findings_.size(), interrupted() ? " (interrupted)" : "");
      if (options_.orders_every != 0) { std::printf("%s", residual::summary(residual).c_str()); }
    }
    if (!write_residual(residual)) { return kExitUsage; }
    if (defects != 0) {
      std::fprintf(stderr, "daxfuzz: harness defect: %u findings did not replay and were not filed\n", defects);
      return kExitHarness;
    }
    if (!findings_.empty()) { return kExitFinding; }
    return interrupted() ? kExitInterrupted : kExitOk;
  }

  residual::Residual residual_of_all() const {
    auto table = std::make_unique<residual::OrderTable>();
    for (const Slot& slot : slots_) { table->merge(slot.shared->orders); }
    return residual::residual(*table);
  }

  // As its name ends: JSON, or the page.
  bool write_residual(const residual::Residual& residual) {
    if (options_.residual.empty()) { return true; }
    const bool json = options_.residual.ends_with(".json");
    std::string error;
    if (write_file(options_.residual, json ? residual::to_json(residual).dump(2) + "\n" : residual::page(residual),
                   &error)) {
      return true;
    }
    std::fprintf(stderr, "daxfuzz: %s\n", error.c_str());
    return false;
  }

  void print_json(const LoopStats& total, uint64_t now, uint32_t defects, const residual::Residual& residual) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& finding : findings_) {
      list.push_back({{"verdict", finding.verdict},
                      {"title", finding.title},
                      {"key", finding.key},
                      {"bug", bug_names(bugs_)},
                      {"seconds", finding.seconds},
                      {"path", finding.path}});
    }
    std::printf("%s\n", nlohmann::json{{"runs", total.runs},
                                       {"seconds", seconds(now)},
                                       {"runs_per_second", static_cast<double>(total.runs) / seconds(now)},
                                       {"edges", total.edges},
                                       {"interleavings", total.interleavings},
                                       {"corpus", total.corpus},
                                       {"findings", list},
                                       {"harness_defects", defects},
                                       {"residual", residual::to_json(residual)},
                                       {"seed", options_.seed},
                                       {"policy", options_.policy}}
                            .dump(2)
                            .c_str());
  }

  const FuzzOptions& options_;
  daxfs::BugSet bugs_;
  PolicyKind policy_ = PolicyKind::kCoverage;
  std::vector<Slot> slots_;
  std::vector<ReportedFinding> findings_;
  std::set<std::string> keys_;
  uint64_t start_ms_ = 0;
  bool stopping_ = false;
  bool line_open_ = false;
};

}  // namespace

void add_fuzz(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("fuzz", "fuzz: generate, run, judge, keep what is new");
  auto options = std::make_shared<FuzzOptions>();
  command->add_option("--target", options->target, "syscalls")->capture_default_str();
  command->add_option("--seconds", options->seconds, "how long")->capture_default_str()->check(CLI::PositiveNumber);
  command->add_option("--jobs", options->jobs, "worker processes")->capture_default_str()->check(CLI::Range(1, 256));
  command->add_option("--corpus", options->corpus, "folder of programs to start from and to grow");
  command->add_option("--findings", options->findings, "folder for findings")->capture_default_str();
  command->add_option("--bug", options->bugs, "switch a historical bug on (repeatable; `daxfuzz bugs` lists them)");
  command->add_option("--policy", options->policy, "coverage, random, pct, pos, conflict, directed or replay")
      ->capture_default_str();
  command->add_option("--mount", options->mounts,
                      "mount options of new programs instead of the usual mixture (repeatable)");
  command->add_option("--seed", options->seed, "of the first worker; others count up")->capture_default_str();
  command->add_option("--residual", options->residual,
                      "write what was not explored: FILE.html is a heat map by pair of operations, "
                      "FILE.json its numbers");
  command
      ->add_option("--sample", options->orders_every,
                   "one run in so many is watched for that; 0: none, and no such summary")
      ->capture_default_str();
  command->add_flag("--stop-on-finding", options->stop_on_finding, "end with the first finding");
  command->add_flag("--json", options->json, "summary as JSON on stdout");
  command->footer("Example: daxfuzz fuzz --bug break-layouts-lost-retry --stop-on-finding --seconds 60");
  command->callback([=] { *action = [=] { return FuzzJob(*options).run(); }; });
}

}  // namespace daxfuzz::tools
