// fuzz/tools/minimize_command.cc - `daxfuzz minimize`: the smallest program and schedule with the same dedup key.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/exec/templates.h"
#include "fuzz/minimize/minimizer.h"
#include "fuzz/prog/names.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/exec_subject.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/finding_file.h"
#include "fuzz/tools/finding_input.h"
#include "fuzz/tools/fuzz_worker.h"
#include "fuzz/tools/interrupt.h"

namespace daxfuzz::tools {
namespace {

struct MinimizeOptions {
  std::string file, out;
  std::vector<std::string> bugs;
  bool keep_program = false;
  bool json = false;
  bool force = false;
};

class MinimizeJob final : public minimize::Watcher {
 public:
  explicit MinimizeJob(const MinimizeOptions& options) : options_(options) {}

  int run() {
    start_ms_ = monotonic_ms();
    std::string error;
    if (!options_.force && options_.out != "-" && std::filesystem::exists(options_.out)) {
      return usage(options_.out + ": exists already; --force overwrites it");
    }
    if (!load_finding(options_.file, options_.bugs, &input_, &error)) { return usage(error); }
    if (options_.out != "-" && !can_write(options_.out, &error)) { return usage(error); }
    catch_interrupts();
    ExecSubject subject(input_.key, input_.events_max);
    minimize::Options how;
    how.mode = options_.keep_program ? minimize::Mode::kSchedule : minimize::Mode::kEverything;
    for (const auto image : prog::image_names()) { how.images.emplace_back(image); }
    const minimize::Result result = minimize::minimize(subject, input_.program, how, this);
    clear_line();
    return finish(result);
  }

  // --- minimize::Watcher

  bool stop() override {
    if (terminal_ && ++asked_ % 256 == 0 && monotonic_ms() >= next_line_ms_) { live_line(); }
    return interrupted();
  }
  void progress(const char* doing, uint64_t /*runs*/) override { doing_ = doing; }
  // What is on disk is at any moment the best that was found.
  void better(const prog::Program& best, const minimize::Cost& cost) override {
    cost_ = cost;
    if (!before_) { before_ = minimize::cost_of(input_.program); }
    if (options_.out == "-") { return; }
    const std::string note = "# minimized so far; interrupted before its end\n# replay: daxfuzz run " + options_.out +
                             bug_options(input_.bugs) + "\n";
    save(best, note);
  }

 private:
  bool save(const prog::Program& program, const std::string& note) {
    std::string error;
    if (write_file(options_.out, annotate(prog::print(program), note), &error)) { return true; }
    if (!write_failed_) { std::fprintf(stderr, "daxfuzz: %s\n", error.c_str()); }
    write_failed_ = true;
    return false;
  }

  void live_line() {
    next_line_ms_ = monotonic_ms() + 200;
    std::fprintf(stderr, "\r\033[K%4.1f s  %zu operations, %zu preemptions, %zu tasks  %s", seconds(), cost_.ops,
                 cost_.preemptions, cost_.tasks, doing_);
    std::fflush(stderr);
    line_open_ = true;
  }

  void clear_line() {
    if (line_open_) { std::fprintf(stderr, "\r\033[K"); }
    line_open_ = false;
  }

  double seconds() const { return static_cast<double>(monotonic_ms() - start_ms_) / 1000; }

  int finish(const minimize::Result& result) {
    if (result.end == minimize::End::kDoesNotFire) { return usage(no_finding_message(input_, options_.file)); }
    if (!before_) { return kExitInterrupted; }
    minimize::Trial trial;
    ExecSubject usual(input_.key);  // with the budget that other commands give
    usual.run(result.program, nullptr, nullptr, &trial);
    if (input_.livelock && !trial.fires) {
      return usage(options_.file +
                   ": is slow, not a livelock: what is left of it ends within the usual number of events");
    }
    if (!trial.fires || (!input_.livelock && trial.trace_hash != result.trace_hash)) {
      std::fprintf(stderr, "daxfuzz: harness defect: the minimized program does not replay\n");
      return kExitHarness;
    }
    const daxfs::Finding& finding = *usual.outcome().finding;
    trace_hash_ = trial.trace_hash;
    char counts[160];
    std::snprintf(counts, sizeof(counts), "%zu operations -> %zu, %zu preemptions -> %zu, %zu tasks -> %zu",
                  before_->ops, cost_.ops, before_->preemptions, cost_.preemptions, before_->tasks, cost_.tasks);
    const std::string note = finding_note(finding, trial.trace_hash, options_.out, input_.bugs) +
                             "# minimized: " + counts + "\n# " + what_end_means(result.end) + "\n";
    if (!save(result.program, note)) { return kExitUsage; }
    print(result, finding, counts);
    return result.end == minimize::End::kStopped ? kExitInterrupted : kExitOk;
  }

  std::string what_end_means(minimize::End end) const {
    switch (end) {
      case minimize::End::kMinimal:
        return options_.keep_program
                   ? "1-minimal: without any one of its preemptions the finding is gone"
                   : "1-minimal: without any one of its operations or preemptions the finding is gone";
      case minimize::End::kStopped: return "interrupted: may get smaller";
      case minimize::End::kRunsUsedUp:
      case minimize::End::kDoesNotFire: break;
    }
    return "not shown to be minimal: the runs were used up";
  }

  void print(const minimize::Result& result, const daxfs::Finding& finding, const char* counts) const {
    if (!options_.json) {
      std::FILE* out = options_.out == "-" ? stderr : stdout;
      if (result.searched) {
        std::fprintf(out, "did not fire as recorded (drift %zu); found near the recorded schedule\n", result.drift);
      }
      std::fprintf(out, "%s; %llu runs in %.1f s\n%s\nFINDING %s %s key=%s trace=%s\n  daxfuzz run %s%s\n", counts,
                   static_cast<unsigned long long>(result.runs), seconds(), what_end_means(result.end).c_str(),
                   daxfs::verdict_name(finding.verdict), exec::finding_title(finding).c_str(),
                   exec::finding_key(finding).c_str(), hex16(trace_hash_).c_str(), options_.out.c_str(),
                   bug_options(input_.bugs).c_str());
      return;
    }
    const auto counted = [](const minimize::Cost& cost) {
      return nlohmann::json{{"operations", cost.ops},
                            {"preemptions", cost.preemptions},
                            {"tasks", cost.tasks},
                            {"processes", cost.processes}};
    };
    std::printf("%s\n", nlohmann::json{{"file", options_.file},
                                       {"path", options_.out},
                                       {"verdict", daxfs::verdict_name(finding.verdict)},
                                       {"title", exec::finding_title(finding)},
                                       {"key", exec::finding_key(finding)},
                                       {"trace", hex16(trace_hash_)},
                                       {"bug", bug_names(input_.bugs)},
                                       {"before", counted(*before_)},
                                       {"after", counted(cost_)},
                                       {"minimal", result.end == minimize::End::kMinimal},
                                       {"interrupted", result.end == minimize::End::kStopped},
                                       {"searched", result.searched},
                                       {"drift", result.drift},
                                       {"runs", result.runs},
                                       {"seconds", seconds()}}
                            .dump(2)
                            .c_str());
  }

  const MinimizeOptions& options_;
  FindingInput input_;
  std::optional<minimize::Cost> before_;
  minimize::Cost cost_;
  const char* doing_ = "";
  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  bool line_open_ = false;
  bool write_failed_ = false;
  uint64_t trace_hash_ = 0;  // of the minimized program's run
  uint64_t start_ms_ = 0;
  uint64_t next_line_ms_ = 0;
  uint64_t asked_ = 0;
};

}  // namespace

void add_minimize(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("minimize", "the smallest program and schedule with the same finding");
  auto options = std::make_shared<MinimizeOptions>();
  command->add_option("FILE", options->file, "a finding, text or binary; - is standard input")->required();
  command->add_option("-o,--output", options->out, "file to write, better and better; - is standard output, at the end")
      ->required();
  command->add_option("--bug", options->bugs, "switch a historical bug on (repeatable; as when it was found)");
  command->add_flag("--keep-program", options->keep_program, "only drop preemptions");
  command->add_flag("--json", options->json, "summary as JSON on stdout");
  command->add_flag("--force", options->force, "overwrite the output file");
  command->footer(
      "Operations, tasks, processes, operands, image, mount options and preemptions get fewer or plainer, while the\n"
      "dedup key stays. Interrupting leaves the best so far in the output file.\n"
      "Example: daxfuzz minimize findings/71ecdab18f5573f1.txt -o small.txt --bug break-layouts-lost-retry");
  command->callback([=] { *action = [=] { return MinimizeJob(*options).run(); }; });
}

}  // namespace daxfuzz::tools
