// fuzz/tools/measure_command.cc - `daxfuzz measure`: what a corpus reaches, edges and orders of
// conflicting accesses, by folder of the library.
#include <cinttypes>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include <nlohmann/json.hpp>

#include "fuzz/exec/executor.h"
#include "fuzz/residual/orders.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/edge_counters.h"
#include "fuzz/tools/exit_code.h"
#include "fuzz/tools/files.h"

namespace daxfuzz::tools {
namespace {

using Place = std::tuple<std::string, uint32_t, uint32_t>;  // file from fs/ on, line, column

// Compilers that see a copy of the tree write longer paths.
std::string in_tree(const char* file) {
  std::string path = file;
  if (path.starts_with("fs/")) { return path; }
  const size_t at = path.rfind("/fs/");
  return at == std::string::npos ? path : path.substr(at + 1);
}

Place place(const daxfs::Site& site) { return {in_tree(site.file_name()), site.line(), site.column()}; }

std::string folder(const Place& place) { return std::get<0>(place).substr(0, std::get<0>(place).rfind('/')); }

struct MeasureOptions {
  std::vector<std::string> files;
  unsigned schedules = 0;
  bool json = false;
};

class Measure {
 public:
  explicit Measure(const MeasureOptions& options) : options_(options) {}

  int run() {
    for (const std::string& argument : options_.files) {
      for (const std::string& file : list_files(argument)) {
        prog::Program program;
        std::string error;
        if (!load_program(file, &program, &error)) {
          std::fprintf(stderr, "daxfuzz: skipped %s\n", error.c_str());
          continue;
        }
        ++programs_;
        run_program(program);
      }
    }
    if (programs_ == 0) {
      std::fprintf(stderr, "daxfuzz: no program there\n");
      return kExitUsage;
    }
    print();
    return findings_ == 0 ? kExitOk : kExitFinding;
  }

 private:
  void run_program(const prog::Program& program) {
    run_once(program, nullptr);
    sched::RandomWalk walk(1, 1);
    for (unsigned i = 0; i < options_.schedules; ++i) {
      walk.reseed(i + 1, 16, outcome_.tasks_begin);
      run_once(program, &walk);
    }
  }

  void run_once(const prog::Program& program, daxfs::rt::Policy* policy) {
    EdgeCounters::get().reset();
    recorder_.begin_run(program);
    exec::RunConfig config;
    config.policy = policy;
    config.observer = &recorder_;
    executor_.run(program, config, &outcome_);
    ++runs_;
    findings_ += outcome_.finding.has_value();
    EdgeCounters::get().for_each_hit([&](size_t edge, uint8_t /*count*/) { edges_.insert(edge); });
    for (const residual::Sighting& sighting : recorder_.sightings()) {
      orders_.emplace(place(sighting.first), place(sighting.then));
    }
  }

  void print() const {
    std::map<std::string, uint64_t> folders;  // of the later access
    for (const auto& [first, then] : orders_) { ++folders[folder(then)]; }
    if (options_.json) {
      nlohmann::json list = nlohmann::json::array();
      for (const auto& [name, orders] : folders) { list.push_back({{"folder", name}, {"orders", orders}}); }
      std::printf("%s\n", nlohmann::json{{"programs", programs_},
                                         {"runs", runs_},
                                         {"findings", findings_},
                                         {"edges", edges_.size()},
                                         {"edges_total", EdgeCounters::get().total()},
                                         {"orders", orders_.size()},
                                         {"folders", list}}
                              .dump(2)
                              .c_str());
      return;
    }
    std::printf("%" PRIu64 " programs, %" PRIu64 " runs: %zu of %zu edges, %zu orders of conflicting accesses\n",
                programs_, runs_, edges_.size(), EdgeCounters::get().total(), orders_.size());
    for (const auto& [name, orders] : folders) { std::printf("  %-10s %6" PRIu64 " orders\n", name.c_str(), orders); }
    if (findings_ != 0) { std::printf("%" PRIu64 " runs ended with a finding: `daxfuzz run` shows them\n", findings_); }
  }

  const MeasureOptions& options_;
  exec::Executor executor_;
  exec::Outcome outcome_;
  residual::OrderRecorder recorder_;
  std::set<size_t> edges_;
  std::set<std::pair<Place, Place>> orders_;
  uint64_t programs_ = 0;
  uint64_t runs_ = 0;
  uint64_t findings_ = 0;
};

}  // namespace

void add_measure(CLI::App& app, Action* action) {
  auto* command =
      app.add_subcommand("measure", "what programs reach: edges, and orders of conflicting accesses by folder");
  auto options = std::make_shared<MeasureOptions>();
  command->add_option("FILE", options->files, "programs or folders of them")->required();
  command->add_option("--schedules", options->schedules, "random schedules beside each program's own")
      ->capture_default_str();
  command->add_flag("--json", options->json, "as JSON");
  command->footer("Example: daxfuzz measure corpus/seeds --schedules 20");
  command->callback([=] { *action = [=] { return Measure(*options).run(); }; });
}

}  // namespace daxfuzz::tools
