// fuzz/bench/run_bench.cc - the price of one complete run: restore, mount, two tasks of four operations with faults and
// I/O, every oracle, unmount. And of its parts, so that a regression shows where it sits.
#include <cstdlib>

#include <benchmark/benchmark.h>

#include "fs/check/media.h"
#include "fuzz/exec/executor.h"
#include "fuzz/exec/interleaving.h"
#include "fuzz/exec/templates.h"
#include "fuzz/prog/text.h"

namespace {

using namespace daxfuzz;  // NOLINT: a benchmark's main file

constexpr const char* kTwoTasks = R"(daxfuzz program 1
image small
mount dax=inode
process P0
task T0 in P0
  f = open "f0" rdwr|creat
  fallocate f 0 16K
  m = mmap f 0 16K read|write shared
  store m 0 4K 0x41
task T1 in P0
  g = open "g0" rdwr|direct
  pwrite g 0x42 8K 0
  pread g buf 8K 0
  fallocate f punch|keep_size 0 8K
)";

constexpr const char* kNothing = R"(daxfuzz program 1
image small
mount dax=inode
process P0
task T0 in P0
  sync
)";

// Files with DAX only: what these cost is what the page cache must not have made dearer.
constexpr const char* kDaxStores = R"(daxfuzz program 1
image small
mount dax=always
process P0
init in P0
  f0 = open "f0" rdwr|creat
  fallocate f0 0 64K
  m0 = mmap f0 0 64K read|write shared
task T0 in P0
  store m0 0 16K 0x41
  load m0 16K 16K
  msync m0 64K sync
task T1 in P0
  store m0 32K 16K 0x42
  load m0 0 16K
  munmap m0 64K
)";

constexpr const char* kDaxCalls = R"(daxfuzz program 1
image small
mount dax=always
process P0
init in P0
  f0 = open "f0" rdwr|creat
task T0 in P0
  pwrite f0 0x41 16K 0
  pread f0 buf 16K 0
  fsync f0
  ftruncate f0 4K
task T1 in P0
  pwrite f0 0x42 16K 8K
  fallocate f0 punch|keep_size 0 8K
  rename "f0" "f1"
  pread f0 buf 8K 8K
)";

constexpr const char* kDaxDirect = R"(daxfuzz program 1
image small
mount dax=always
process P0
init in P0
  f0 = open "f0" rdwr|creat
  fallocate f0 0 32K
  m0 = mmap f0 0 32K read|write shared
  f1 = open "f1" rdwr|creat|direct
  pwrite f1 0x61 32K 0
task T0 in P0
  pread f1 m0+0 16K 0
  pwrite f1 m0+0 16K 0
task T1 in P0
  fallocate f0 punch|keep_size 0 8K
  store m0 0 8K 0x43
  ftruncate f0 16K
)";

prog::Program parse(const char* text) {
  prog::Program program;
  std::string error;
  if (!prog::parse(text, "bench", &program, &error)) {
    std::fprintf(stderr, "%s\n", error.c_str());
    std::abort();
  }
  return program;
}

void run_program(benchmark::State& state, const char* text, bool observed, bool random) {
  const prog::Program program = parse(text);
  exec::Executor executor;
  exec::Outcome outcome;
  exec::InterleavingCoverage coverage;
  sched::RandomWalk walk(1, 50);
  uint64_t seed = 0;
  uint64_t events = 0;
  for (auto _ : state) {
    exec::RunConfig config;
    if (observed) {
      coverage.begin_run();
      config.observer = &coverage;
    }
    if (random) {
      walk.reseed(++seed, 50, outcome.tasks_begin);
      config.policy = &walk;
    }
    executor.run(program, config, &outcome);
    if (outcome.finding) { state.SkipWithError(exec::finding_title(*outcome.finding).c_str()); }
    events += outcome.events;
  }
  state.counters["runs/s"] = benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  state.counters["events"] = static_cast<double>(events) / static_cast<double>(state.iterations());
}

void BM_CompleteRun(benchmark::State& state) { run_program(state, kTwoTasks, false, true); }
BENCHMARK(BM_CompleteRun);

void BM_CompleteRunObserved(benchmark::State& state) { run_program(state, kTwoTasks, true, true); }
BENCHMARK(BM_CompleteRunObserved);

void BM_DaxStores(benchmark::State& state) { run_program(state, kDaxStores, false, true); }
BENCHMARK(BM_DaxStores);

void BM_DaxCalls(benchmark::State& state) { run_program(state, kDaxCalls, false, true); }
BENCHMARK(BM_DaxCalls);

void BM_DaxDirectIntoMapping(benchmark::State& state) { run_program(state, kDaxDirect, false, true); }
BENCHMARK(BM_DaxDirectIntoMapping);

void BM_MountAndUnmount(benchmark::State& state) { run_program(state, kNothing, false, false); }
BENCHMARK(BM_MountAndUnmount);

void BM_ImageCheck(benchmark::State& state) {
  const auto image = exec::image_template("small");
  daxfs::check::MediaScratch scratch;
  for (auto _ : state) { benchmark::DoNotOptimize(daxfs::check::check_media(image, {}, scratch)); }
}
BENCHMARK(BM_ImageCheck);

}  // namespace
