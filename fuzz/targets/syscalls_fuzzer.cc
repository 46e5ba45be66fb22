// fuzz/targets/syscalls_fuzzer.cc - libFuzzer target: bytes -> program with its schedule -> run -> every oracle.
//
// Any bytes are a program (fuzz/prog). Each input runs once, under its own schedule, from a pristine mounted image. A
// finding prints its report and traps in the function that noticed it, so that the engine saves the input and the
// crash's stack is the finding's; `daxfuzz run ARTIFACT` replays it.
//
// Beside edges, the engine is told which pairs of sites met on one object from different tasks, in few and coarse
// counters: 4,096 raw ones made a corpus of 2,245 entries in 20,000 runs.
//
// DAXFUZZ_BUGS="id id" switches historical bugs on, to try the target itself. DAXFUZZ_GO_ON=1: a finding is
// printed and the next input follows, for coverage of what speaks of findings (ci/corpus coverage). DAXFUZZ_TRACES=1
// prints each run's trace hash: a run that depends on those before it shows.
// Tested by: fuzz/targets/targets_test.py
#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "fuzz/exec/executor.h"
#include "fuzz/exec/interleaving.h"
#include "fuzz/prog/fuzz_bytes.h"
#include "fuzz/prog/text.h"
#include "fuzz/targets/bug_switches.h"
#include "fuzz/targets/sanitizer_options.h"

namespace {

using namespace daxfuzz;  // NOLINT: a target's main file

constexpr size_t kCounters = 1024;

// Without `used` and `volatile` the array counts as never read, and goes away.
__attribute__((section("__libfuzzer_extra_counters"), used)) volatile uint8_t g_pair_counters[kCounters];

// Three levels instead of libFuzzer's eight: once, a few times, often.
uint8_t quantise(uint8_t count) { return count <= 1 ? count : count < 16 ? 4 : 32; }

struct Target {
  exec::Executor executor;
  exec::Outcome outcome;
  exec::InterleavingCoverage coverage;
  prog::Program program;
  std::string bugs;
  bool print_traces = false;
  bool go_on = false;
};

Target& target() {
  static Target& instance = *new Target;
  return instance;
}

void feed_pairs(const exec::InterleavingCoverage& coverage) {
  for (const uint16_t cell : coverage.touched()) {
    volatile uint8_t& counter = g_pair_counters[cell % kCounters];
    const uint8_t value = quantise(coverage.counts()[cell]);
    if (value > counter) { counter = value; }
  }
}

// Called where the finding was noticed; whoever noticed it traps when this returns, so that its function is the top of
// the stack that engine and services see.
void report(void* context, const daxfs::Finding& finding, uint64_t trace_hash) {
  const Target& t = *static_cast<const Target*>(context);
  std::fprintf(stderr, "FINDING %s %s key=%s trace=%016" PRIx64 "\n", daxfs::verdict_name(finding.verdict),
               exec::finding_title(finding).c_str(), exec::finding_key(finding).c_str(), trace_hash);
  if (!finding.detail.empty()) { std::fprintf(stderr, "%s\n", finding.detail.c_str()); }
  std::fprintf(stderr, "%s", prog::print(t.program).c_str());
  std::string options;
  size_t begin = 0;
  while (begin < t.bugs.size()) {
    const size_t end = std::min(t.bugs.find(' ', begin), t.bugs.size());
    if (end > begin) { options += " --bug " + t.bugs.substr(begin, end - begin); }
    begin = end + 1;
  }
  std::fprintf(stderr, "replay: daxfuzz run ARTIFACT%s\n", options.c_str());
}

}  // namespace

// libFuzzer has it so that programs can ask whether they run under it. Other engines have other arguments.
extern "C" __attribute__((weak)) void __libfuzzer_is_present();  // NOLINT(bugprone-reserved-identifier)

// libFuzzer's schedule by entropy took half of the processor once the corpus had a thousand entries (AddRareFeature),
// for nothing that was found sooner by it. First among the arguments, so that what the user says comes later and wins.
static void without_entropic(int* argc, char*** argv) {
  static std::string flag = "-entropic=0";
  static std::vector<char*>& arguments = *new std::vector<char*>;
  given_by_engine(argc, sizeof(*argc));
  given_by_engine(argv, sizeof(*argv));
  given_by_engine(*argv, sizeof(**argv) * static_cast<size_t>(*argc));
  if (*argc < 1 || &__libfuzzer_is_present == nullptr) { return; }
  arguments.assign(*argv, *argv + *argc);
  arguments.insert(arguments.begin() + 1, flag.data());
  arguments.push_back(nullptr);
  *argv = arguments.data();
  *argc = static_cast<int>(arguments.size()) - 1;
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  without_entropic(argc, argv);
  Target& t = target();
  if (const char* bugs = std::getenv("DAXFUZZ_BUGS"); bugs != nullptr) { t.bugs = bugs; }
  t.print_traces = std::getenv("DAXFUZZ_TRACES") != nullptr;
  t.go_on = std::getenv("DAXFUZZ_GO_ON") != nullptr;
  if (!select_bugs(t.bugs)) { std::exit(1); }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Target& t = target();
  prog::decode_any({data, size}, &t.program);
  t.coverage.begin_run();
  exec::RunConfig config;
  config.observer = &t.coverage;
  config.at_finding = t.go_on ? nullptr : report;
  config.at_finding_context = &t;
  t.executor.run(t.program, config, &t.outcome);
  if (t.print_traces) { std::fprintf(stderr, "trace=%016" PRIx64 "\n", t.outcome.trace_hash); }
  if (t.outcome.finding && t.go_on) { return report(&t, *t.outcome.finding, t.outcome.trace_hash), 0; }
  if (t.outcome.finding) { std::abort(); }  // whoever noticed it did not stop
  feed_pairs(t.coverage);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t size_max, unsigned seed) {
  return prog::mutate_bytes(data, size, size_max, seed);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1, const uint8_t* data2, size_t size2,
                                            uint8_t* out, size_t out_max, unsigned seed) {
  return prog::crossover_bytes(data1, size1, data2, size2, out, out_max, seed);
}
