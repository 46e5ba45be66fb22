// fuzz/tools/run_command.cc - `daxfuzz run`: run programs, print verdicts.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <iterator>
#include <string_view>

#include <nlohmann/json.hpp>

#include "fuzz/exec/executor.h"
#include "fuzz/exec/interleaving.h"
#include "fuzz/prog/text.h"
#include "fuzz/sched/pos.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/fuzz_loop.h"
#include "fuzz/tools/results_json.h"
#include "fuzz/tools/trace_text.h"

namespace daxfuzz::tools {
namespace {

struct RunOptions {
  std::vector<std::string> files;
  std::vector<std::string> bugs;
  unsigned repeat = 1;
  std::string trace, results, image, save_image;
  std::string policy;
  uint64_t seed = 1;
  bool json = false;
  bool quiet = false;
};

// coverage and directed need the loop of `fuzz` around them.
bool chooses_schedules(const std::string& policy) {
  constexpr std::string_view kPolicies[] = {"random", "pct", "pos", "conflict", "replay"};
  return std::find(std::begin(kPolicies), std::end(kPolicies), policy) != std::end(kPolicies);
}

class Runner {
 public:
  explicit Runner(const RunOptions& options) : options_(options) {}

  int run() {
    daxfs::BugSet bugs;
    if (!select_bugs(options_.bugs, &bugs)) { return kExitUsage; }
    daxfs::set_historical(bugs);
    if (!options_.policy.empty() && !chooses_schedules(options_.policy)) {
      return usage("--policy " + options_.policy + ": expected random, pct, pos, conflict or replay");
    }
    if (!load_image()) { return kExitUsage; }
    int worst = kExitOk;
    for (const std::string& file : options_.files) {
      const int code = run_file(file);
      if (code == kExitUsage || code == kExitHarness) { return code; }
      if (code != kExitOk) { worst = code; }
    }
    if (options_.json) { std::printf("%s\n", nlohmann::json{{"runs", summary_}}.dump(2).c_str()); }
    return write_outputs() ? worst : kExitUsage;
  }

 private:
  bool load_image() {
    if (options_.image.empty()) { return true; }
    std::vector<uint8_t> bytes;
    std::string error;
    if (!read_file(options_.image, &bytes, &error)) { return usage(error) == kExitOk; }
    const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
    image_.assign(data, data + bytes.size());
    if (image_.empty()) { return usage(options_.image + ": the image is empty") == kExitOk; }
    return true;
  }

  daxfs::rt::Policy* policy(unsigned turn) {
    const uint64_t seed = options_.seed + turn;
    if (options_.policy == "random") {
      walk_.reseed(seed, static_cast<uint32_t>(1 + seed % 64), outcome_.tasks_begin);
      return &walk_;
    }
    if (options_.policy == "pct") {
      const uint64_t events =
          outcome_.tasks_end > outcome_.tasks_begin ? outcome_.tasks_end - outcome_.tasks_begin : 1000;
      pct_.reseed(seed, static_cast<uint32_t>(1 + seed % 4), events, outcome_.tasks_begin);
      return &pct_;
    }
    if (options_.policy == "pos") {
      pos_.reseed(seed, outcome_.tasks_begin);
      return &pos_;
    }
    if (options_.policy == "conflict") {
      sched::SmallRandom draw(seed);
      sched::draw_focus(draw, coverage_.shared(), coverage_.shared_list(), &focus_);
      conflict_walk_.reseed(seed, 2 + draw.below(3), &focus_, outcome_.tasks_begin);
      return &conflict_walk_;
    }
    return nullptr;
  }

  int run_file(const std::string& file) {
    std::string error;
    if (!load_program(file, &program_, &error)) { return usage(error); }
    if (!options_.policy.empty()) {  // measures how long the program is, which both policies want to know
      coverage_.forget_shared();
      coverage_.begin_run();
      exec::RunConfig first = config(nullptr);
      first.observer = &coverage_;
      executor_.run(program_, first, &outcome_);
    }
    int worst = kExitOk;
    for (unsigned turn = 0; turn < options_.repeat; ++turn) {
      TraceText trace;
      exec::RunConfig run_config = config(policy(turn));
      if (options_.policy == "conflict") {
        coverage_.begin_run();
        run_config.observer = &coverage_;
      }
      if (!options_.trace.empty()) { run_config.observer = &trace; }
      executor_.run(program_, run_config, &outcome_);
      if (!outcome_.mount_error.empty() || outcome_.mount_errc != daxfs::Errc::kOk) {
        const std::string& what = options_.image.empty() ? file : options_.image;
        return usage(what + ": mount: " + daxfs::errc_name(outcome_.mount_errc) + ": " + outcome_.mount_error);
      }
      trace_ += trace.text();
      if (!options_.results.empty()) { results_ += results_lines(program_, outcome_, image_out_); }
      const int code = outcome_.finding ? exit_code_of(outcome_.finding->verdict) : kExitOk;
      if (code != kExitOk) { worst = code; }
      print(file, turn);
    }
    return worst;
  }

  exec::RunConfig config(daxfs::rt::Policy* policy) {
    exec::RunConfig config;
    config.policy = policy;
    config.image = image_;
    config.capture_stacks = true;
    if (!options_.save_image.empty() || !options_.results.empty()) { config.image_out = &image_out_; }
    return config;
  }

  void print(const std::string& file, unsigned turn) {
    char line[256];
    if (options_.json) {
      nlohmann::json entry = {{"file", file},
                              {"trace", trace_hash()},
                              {"events", outcome_.events},
                              {"switches", outcome_.switches},
                              {"drift", outcome_.drift}};
      if (outcome_.finding) {
        entry["verdict"] = daxfs::verdict_name(outcome_.finding->verdict);
        entry["title"] = exec::finding_title(*outcome_.finding);
        entry["key"] = exec::finding_key(*outcome_.finding);
        entry["tag"] = outcome_.finding->tag;
        entry["detail"] = outcome_.finding->detail;
      } else {
        entry["verdict"] = "OK";
      }
      summary_.push_back(std::move(entry));
      return;
    }
    if (outcome_.finding) {
      const daxfs::Finding& finding = *outcome_.finding;
      std::printf("FINDING %s %s key=%s trace=%s\n", daxfs::verdict_name(finding.verdict),
                  exec::finding_title(finding).c_str(), exec::finding_key(finding).c_str(), trace_hash().c_str());
      if (turn == 0 && !options_.quiet) {
        const std::string place =
            *finding.file == '\0' ? "" : " (" + std::string(finding.file) + ":" + std::to_string(finding.line) + ")";
        std::printf("  oracle %s, in %s%s\n%s", finding.tag.c_str(), finding.function, place.c_str(),
                    finding.detail.c_str());
        if (!finding.detail.empty() && finding.detail.back() != '\n') { std::printf("\n"); }
      }
    } else if (!options_.quiet || turn == 0) {
      std::snprintf(line, sizeof(line), "OK trace=%s events=%" PRIu64 " switches=%" PRIu64, trace_hash().c_str(),
                    outcome_.events, outcome_.switches);
      std::printf("%s\n", line);
    }
    if (outcome_.drift != 0 && turn == 0) {
      std::printf("  drift: %zu of %zu preemptions of the schedule met no event\n", outcome_.drift,
                  program_.schedule.size());
    }
  }

  std::string trace_hash() const {
    char digits[17];
    std::snprintf(digits, sizeof(digits), "%016" PRIx64, outcome_.trace_hash);
    return digits;
  }

  bool write_outputs() {
    std::string error;
    if (!options_.trace.empty() && !write_file(options_.trace, trace_, &error)) { return usage(error) == kExitOk; }
    if (!options_.results.empty() && !write_file(options_.results, results_, &error)) {
      return usage(error) == kExitOk;
    }
    if (!options_.save_image.empty()) {
      if (image_out_.empty()) {
        return usage("--save-image: no run came to its unmount, there is no image to save") == kExitOk;
      }
      const auto* data = reinterpret_cast<const uint8_t*>(image_out_.data());
      if (!write_file(options_.save_image, std::span(data, image_out_.size()), &error)) {
        return usage(error) == kExitOk;
      }
    }
    return true;
  }

  const RunOptions& options_;
  std::vector<std::byte> image_, image_out_;
  exec::Executor executor_;
  exec::Outcome outcome_;
  prog::Program program_;
  sched::RandomWalk walk_{1, 1};
  sched::Pct pct_{1, 1, 1};
  sched::Pos pos_{1};
  sched::ConflictWalk conflict_walk_;
  sched::SharedObjects focus_;
  exec::InterleavingCoverage coverage_;
  std::string trace_, results_;
  nlohmann::json summary_ = nlohmann::json::array();
};

}  // namespace

void add_run(CLI::App& app, Action* action) {
  auto* command = app.add_subcommand("run", "run programs and print their verdicts");
  auto options = std::make_shared<RunOptions>();
  command->add_option("FILE", options->files, "programs, text or binary; - is standard input")->required();
  command->add_option("--bug", options->bugs, "switch a historical bug on (repeatable; `daxfuzz bugs` lists them)");
  command->add_option("--repeat", options->repeat, "run each program N times; with --policy seeds count up")
      ->check(CLI::PositiveNumber);
  command->add_option("--trace", options->trace, "write every scheduling point as a line");
  command->add_option("--results", options->results, "write one JSON line an operation, and the final tree");
  command->add_option("--image", options->image,
                      "start from a copy of this ext4 image instead of the program's template");
  command->add_option("--save-image", options->save_image, "write the image after the clean unmount");
  command->add_option("--policy", options->policy,
                      "random, pct, pos, conflict or replay (default: the program's own schedule)");
  command->add_option("--seed", options->seed, "for --policy");
  command->add_flag("--json", options->json, "verdicts as {\"runs\":[...]}");
  command->add_flag("-q,--quiet", options->quiet, "verdict lines only; of clean repeats the first");
  command->footer(
      "Examples:\n"
      "  daxfuzz run program.txt --bug break-layouts-lost-retry\n"
      "  daxfuzz run program.txt --policy random --seed 1 --repeat 1000 -q\n"
      "  daxfuzz run program.txt --image disk.img --save-image after.img --results results.jsonl");
  command->callback([=] { *action = [=] { return Runner(*options).run(); }; });
}

}  // namespace daxfuzz::tools
