#include "fuzz/tools/fuzz_worker.h"

#include <sys/resource.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "fuzz/exec/interpreter.h"
#include "fuzz/prog/binary.h"
#include "fuzz/prog/text.h"
#include "fuzz/tools/commands.h"
#include "fuzz/tools/files.h"

namespace daxfuzz::tools {
namespace {

constexpr uint64_t kResidentMaxKib = 1536 * 1024;
constexpr uint64_t kStepsPerLook = 16;  // clock and memory are looked at every so many steps

std::string hex16(uint64_t value) {
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016" PRIx64, value);
  return digits;
}

void copy_text(std::string_view text, char* out, size_t size) {
  const size_t n = std::min(text.size(), size - 1);
  std::memcpy(out, text.data(), n);
  out[n] = '\0';
}

uint64_t resident_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss);
}

class Worker {
 public:
  Worker(const WorkerOptions& options, WorkerShared* shared)
      : options_(options), shared_(shared), loop_(options.loop) {}

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
    }
  }

 private:
  void publish() {
    shared_->stats = loop_.stats();
    const size_t corpus = loop_.corpus().size();
    for (; saved_ < corpus; ++saved_) { save_corpus_entry(loop_.corpus()[saved_]); }
    const auto size = prog::encode(loop_.current(), std::span(shared_->program));
    shared_->program_size = static_cast<uint32_t>(std::min(size, sizeof(shared_->program)));
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
    if (!found.replayed) {
      ++shared_->harness_defects;
      return false;
    }
    const uint64_t milliseconds = monotonic_ms() - options_.start_ms;
    const std::string path = options_.findings_dir + "/" + found.key + ".txt";
    const bool known = std::filesystem::exists(path);
    if (!known) {
      std::string note = "# FINDING " + std::string(daxfs::verdict_name(found.finding.verdict)) +
                         " " + found.title + " key=" + found.key +
                         " trace=" + hex16(found.trace_hash) + "\n# replay: daxfuzz run " + path;
      for (const auto& info : daxfs::historical_bugs()) {
        if (options_.bugs[static_cast<size_t>(info.bug)]) { note += " --bug " + std::string(info.id); }
      }
      std::string error;
      if (!write_file(path, annotate(prog::print(found.program), note + "\n"), &error)) {
        std::fprintf(stderr, "daxfuzz: %s\n", error.c_str());
      }
    }
    if (shared_->finding_count == WorkerShared::kFindingsMax) { return true; }
    SharedFinding& slot = shared_->findings[shared_->finding_count];
    copy_text(daxfs::verdict_name(found.finding.verdict), slot.verdict, sizeof(slot.verdict));
    copy_text(found.key, slot.key, sizeof(slot.key));
    copy_text(found.title, slot.title, sizeof(slot.title));
    copy_text(path, slot.path, sizeof(slot.path));
    slot.milliseconds = milliseconds;
    __atomic_store_n(&shared_->finding_count, shared_->finding_count + 1, __ATOMIC_RELEASE);
    return true;
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
  return Worker(options, shared).run();
}

}  // namespace daxfuzz::tools
