// fuzz/tools/explore_command.cc - `daxfuzz explore`: every interleaving of a program up to N preemptions.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "fuzz/exec/executor.h"
#include "fuzz/exec/interpreter.h"
#include "fuzz/explore/explorer.h"
#include "fuzz/prog/binary.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/explore_subject.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/finding_file.h"
#include "fuzz/tools/fuzz_worker.h"
#include "fuzz/tools/interrupt.h"

namespace daxfuzz::tools {
namespace {

struct ExploreOptions {
  std::string file, out, state;
  std::vector<std::string> bugs;
  unsigned preemptions = 2;
  unsigned seconds = 0;
  bool plain = false;
  bool force = false;
  bool json = false;
};

class ExploreJob final : public explore::Watcher {
 public:
  explicit ExploreJob(const ExploreOptions& options) : options_(options) {}

  int run() {
    std::string error;
    if (!load_program(options_.file, &program_, &error)) { return usage(error); }
    if (!select_bugs(options_.bugs, &bugs_)) { return kExitUsage; }
    daxfs::set_historical(bugs_);
    if (!options_.out.empty() && !options_.force && std::filesystem::exists(options_.out)) {
      return usage(options_.out + ": exists already; --force overwrites it");
    }
    program_.schedule.clear();  // the exploration makes its own
    ExploreSubject runs(program_);
    explore::Explorer explorer(
        runs, {.preemptions = options_.preemptions, .reduce = !options_.plain, .collect_outcomes = true});
    const bool resumed = !options_.state.empty() && std::filesystem::exists(options_.state);
    if (resumed && !explorer.load(options_.state, identity(), &error)) { return usage(error); }
    catch_interrupts();
    start_ms_ = monotonic_ms();
    const explore::Result result = explorer.run(this);
    clear_line();
    if (!runs.outcome().mount_error.empty()) { return usage(options_.file + ": " + runs.outcome().mount_error); }
    return finish(explorer, result);
  }

  bool go_on(const explore::Progress& progress) override {
    if (interrupted()) { return false; }
    if (progress.runs % 64 != 0) { return true; }
    const uint64_t now = monotonic_ms();
    if (options_.seconds != 0 && now - start_ms_ >= uint64_t{options_.seconds} * 1000) { return false; }
    if (terminal_ && now >= next_line_ms_) { live_line(progress, now); }
    return true;
  }

 private:
  // A state file belongs to one question.
  std::string identity() const {
    const auto bytes = prog::encode(program_);
    const std::string text = "program " + hex16(exec::fnv1a64(std::as_bytes(std::span(bytes)))) + " preemptions " +
                             std::to_string(options_.preemptions) + (options_.plain ? " plain" : "");
    return text + bug_options(bugs_);
  }

  void live_line(const explore::Progress& progress, uint64_t now) {
    next_line_ms_ = now + 200;
    std::fprintf(stderr, "\r\033[K%4.1f s  %u preemptions: %llu of %llu  (%llu runs, pass %u)",
                 static_cast<double>(now - start_ms_) / 1000, progress.level,
                 static_cast<unsigned long long>(progress.done), static_cast<unsigned long long>(progress.known),
                 static_cast<unsigned long long>(progress.runs), progress.pass);
    std::fflush(stderr);
    line_open_ = true;
  }

  void clear_line() {
    if (line_open_) { std::fprintf(stderr, "\r\033[K"); }
    line_open_ = false;
  }

  int finish(explore::Explorer& explorer, const explore::Result& result) {
    const double seconds = static_cast<double>(monotonic_ms() - start_ms_) / 1000;
    if (result.unstable) {
      std::fprintf(stderr, "daxfuzz: harness defect: a schedule did not run the same way twice\n");
      return kExitHarness;
    }
    nlohmann::json json = {{"runs", result.progress.runs},
                           {"explored", result.explored},
                           {"seconds", seconds},
                           {"preemptions", options_.preemptions},
                           {"complete", result.complete},
                           {"shared_objects", result.shared_objects},
                           {"outcomes", result.outcomes.size()},
                           {"passes", result.progress.pass}};
    const int code = result.finding    ? report_finding(result, seconds, &json)
                     : result.complete ? report_proof(result, seconds)
                                       : report_rest(explorer, result, seconds, &json);
    if (options_.json) { std::printf("%s\n", json.dump(2).c_str()); }
    return code;
  }

  int report_proof(const explore::Result& result, double seconds) {
    if (!options_.state.empty()) { std::remove(options_.state.c_str()); }
    if (!options_.json) {
      std::printf(
          "OK explored %llu of %llu: no finding with up to %u preemptions (%.1f s, %zu outcomes, "
          "%zu shared objects)\n",
          static_cast<unsigned long long>(result.explored), static_cast<unsigned long long>(result.explored),
          options_.preemptions, seconds, result.outcomes.size(), result.shared_objects);
    }
    return kExitOk;
  }

  int report_finding(const explore::Result& result, double seconds, nlohmann::json* json) {
    const explore::RunReport& report = *result.finding;
    prog::Program found = program_;
    const bool whole = exec::adopt_schedule(report.taken, &found);
    const std::string title = exec::finding_title(*report.finding);
    const std::string key = exec::finding_key(*report.finding);
    const std::string note =
        finding_note(*report.finding, report.trace_hash, options_.out.empty() ? "FILE" : options_.out, bugs_);
    const std::string text = annotate(prog::print(found), note);
    std::string error;
    if (!options_.out.empty() && !write_file(options_.out, text, &error)) { return usage(error); }
    (*json)["finding"] = {{"verdict", daxfs::verdict_name(report.finding->verdict)},
                          {"title", title},
                          {"key", key},
                          {"preemptions", result.progress.level},
                          {"program", text}};
    if (!options_.json) {
      std::printf("FINDING %s %s key=%s trace=%s\ncounterexample with %u preemptions, run %llu, %.1f s%s\n",
                  daxfs::verdict_name(report.finding->verdict), title.c_str(), key.c_str(),
                  hex16(report.trace_hash).c_str(), result.progress.level,
                  static_cast<unsigned long long>(result.explored), seconds,
                  whole ? "" : " (more switches than a program holds: the text has the first of them)");
      if (options_.out.empty()) {
        std::printf("%s", text.c_str());
      } else {
        std::printf("  daxfuzz run %s%s\n", options_.out.c_str(), bug_options(bugs_).c_str());
      }
    }
    return exit_code_of(report.finding->verdict);
  }

  int report_rest(explore::Explorer& explorer, const explore::Result& result, double seconds, nlohmann::json* json) {
    const explore::Progress& progress = result.progress;
    char line[200];
    std::snprintf(line, sizeof(line), "stopped after %.1f s: %llu of %llu with %u preemptions; fewer are explored",
                  seconds, static_cast<unsigned long long>(progress.done),
                  static_cast<unsigned long long>(progress.known), progress.level);
    (*json)["level"] = progress.level;
    if (!options_.json) { std::printf("%s\n", line); }
    std::string error;
    if (!options_.state.empty()) {
      if (!explorer.save(options_.state, identity(), &error)) { return usage(error); }
      std::fprintf(stderr, "the same command goes on from %s\n", options_.state.c_str());
    }
    return kExitInterrupted;
  }

  const ExploreOptions& options_;
  prog::Program program_;
  daxfs::BugSet bugs_;
  uint64_t start_ms_ = 0;
  uint64_t next_line_ms_ = 0;
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  bool line_open_ = false;
};

}  // namespace

void add_explore(CLI::App& app, Action* action) {
  auto options = std::make_shared<ExploreOptions>();
  CLI::App* command = app.add_subcommand("explore", "every interleaving of a program up to N preemptions");
  command->add_option("FILE", options->file, "program, text or binary; its schedule is not used")->required();
  command->add_option("--preemptions", options->preemptions, "the bound")
      ->capture_default_str()
      ->check(CLI::Range(0, 8));
  command->add_option("--bug", options->bugs, "switch a historical bug on (repeatable)");
  command->add_option("-o,--out", options->out, "write a counterexample there");
  command->add_option("--state", options->state,
                      "when stopped, write what to go on from there; go on from it if it exists");
  command->add_option("--seconds", options->seconds, "stop after so long (0: never)");
  command->add_flag("--plain", options->plain, "without reduction: every point, every order; for comparison");
  command->add_flag("--force", options->force, "overwrite the output");
  command->add_flag("--json", options->json, "result as JSON on stdout");
  command->footer(
      "`explored X of X` is a proof within the bound, for this program and its arguments.\n"
      "Example: daxfuzz explore corpus/bugs/break-layouts-lost-retry/program.txt --preemptions 2\n"
      "Exit codes: 0 explored, 77 counterexample, 72 stopped before the end.");
  command->callback([options, action] { *action = [options] { return ExploreJob(*options).run(); }; });
}

}  // namespace daxfuzz::tools
