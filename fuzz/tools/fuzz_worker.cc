#include "fuzz/tools/fuzz_worker.h"

#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>

#include <sys/resource.h>

#include "fuzz/exec/honesty.h"
#include "fuzz/exec/interpreter.h"
#include "fuzz/prog/binary.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/crash_trap.h"
#include "fuzz/tools/files.h"
#include "fuzz/tools/finding_file.h"
#include "fuzz/tools/shared_text.h"

namespace daxfuzz::tools {
namespace {

constexpr uint64_t kResidentMaxKib = 1536 * 1024;
constexpr uint64_t kStepsPerLook = 16;  // clock and memory are looked at every so many steps

uint64_t resident_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss);
}

class Worker {
 public:
  Worker(const WorkerOptions& options, WorkerShared* shared)
      : options_(options), shared_(shared), loop_(with_shared(options.loop)) {}

  int run() {
    if (!load_corpus()) { return kWorkerDone; }
    for (uint64_t step = 0;; ++step) {
      if (step % kStepsPerLook == 0) {
        if (options_.deadline_ms != 0 && monotonic_ms() >= options_.deadline_ms) { return kWorkerDone; }
        if (step % 4096 == 0 && resident_kib() > kResidentMaxKib) { return kWorkerRecycle; }
      }
      const auto found = loop_.step();
      publish();
      if (found && file_finding(*found) && options_.stop_on_finding) { return kWorkerDone; }
      if (crashed()) { return kWorkerRecycle; }
    }
  }

 private:
  LoopOptions with_shared(LoopOptions options) {
    if (options.orders_every != 0) { options.orders = &shared_->orders; }
    options.before_run = [this](const prog::Program& program) {
      const auto size = prog::encode(program, std::span(shared_->program));
      shared_->program_size = static_cast<uint32_t>(std::min(size, sizeof(shared_->program)));
    };
    options.log = &shared_->taken;
    return options;
  }

  void publish() {
    shared_->stats = loop_.stats();
    const size_t corpus = loop_.corpus().size();
    for (; saved_ < corpus; ++saved_) { save_corpus_entry(loop_.corpus()[saved_]); }
  }

  // False when a seed is a finding and that ends the job.
  bool load_corpus() {
    if (options_.corpus_dir.empty()) { return true; }
    for (const std::string& file : list_files(options_.corpus_dir)) {
      prog::Program program;
      std::string error;
      if (!load_program(file, &program, &error)) {
        std::fprintf(stderr, "daxfuzz: skipped %s\n", error.c_str());
        continue;
      }
      std::optional<LoopFinding> found;
      loop_.offer(program, &found);
      if (found && file_finding(*found) && options_.stop_on_finding) { return false; }
    }
    saved_ = loop_.corpus().size();
    publish();
    return true;
  }

  void save_corpus_entry(const prog::Program& program) {
    if (options_.corpus_dir.empty()) { return; }
    const auto bytes = prog::encode(program);
    const std::string path = options_.corpus_dir + "/" + hex16(exec::fnv1a64(std::as_bytes(std::span(bytes))));
    std::string error;
    if (!write_file(path, bytes, &error)) { std::fprintf(stderr, "daxfuzz: %s\n", error.c_str()); }
  }

  // RETURNS: whether it is a finding to report (and not a defect of ours).
  bool file_finding(const LoopFinding& found) {
    if (!found.replayed && !found.crashed) {
      file_defect(found);
      return false;
    }
    const uint64_t milliseconds = monotonic_ms() - options_.start_ms;
    const std::string path = options_.findings_dir + "/" + found.key + ".txt";
    if (!std::filesystem::exists(path)) {
      file_program(path, found.program, finding_note(found.finding, found.trace_hash, path, options_.bugs));
    }
    if (shared_->finding_count == WorkerShared::kFindingsMax) { return true; }
    SharedFinding& slot = shared_->findings[shared_->finding_count];
    copy_text(daxfs::verdict_name(found.finding.verdict), slot.verdict);
    copy_text(found.key, slot.key);
    copy_text(found.title, slot.title);
    copy_text(path, slot.path);
    slot.milliseconds = milliseconds;
    __atomic_store_n(&shared_->finding_count, shared_->finding_count + 1, __ATOMIC_RELEASE);
    return true;
  }

  // Kept for whoever repairs the harness, under a name and with a first line that nobody takes for a finding.
  void file_defect(const LoopFinding& found) {
    ++shared_->harness_defects;
    const std::string path = options_.findings_dir + "/harness-defect-" + found.key + ".txt";
    const std::string what = found.title + ": " + std::to_string(found.replays) + " of " +
                             std::to_string(exec::replays_needed(found.finding)) + " replays were equal";
    std::fprintf(stderr, "daxfuzz: harness defect, no finding: %s\n  kept as %s\n", what.c_str(), path.c_str());
    file_program(path, found.program, "# HARNESS DEFECT, no finding: " + what + "\n");
  }

  static void file_program(const std::string& path, const prog::Program& program, const std::string& note) {
    std::string error;
    if (!write_file(path, annotate(prog::print(program), note), &error)) {
      std::fprintf(stderr, "daxfuzz: %s\n", error.c_str());
    }
  }

  const WorkerOptions& options_;
  WorkerShared* shared_;
  FuzzLoop loop_;
  size_t saved_ = 0;
};

}  // namespace

uint64_t monotonic_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

int run_worker(const WorkerOptions& options, WorkerShared* shared) {
  daxfs::set_historical(options.bugs);
  catch_crashes();
  return Worker(options, shared).run();
}

}  // namespace daxfuzz::tools
