// fuzz/bench/explore_bench.cc - how many runs exploration saves: plain enumeration of the same program in the same
// process.
//
// Counters: plain, reduced (runs), reduction (their ratio); the time is that of the reduced exploration.
#include <cstdio>
#include <cstdlib>

#include <benchmark/benchmark.h>

#include "fs/rt/atomic.h"
#include "fs/rt/mutex.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"
#include "fuzz/exec/executor.h"
#include "fuzz/explore/explorer.h"
#include "fuzz/prog/text.h"

namespace {

using namespace daxfuzz;  // NOLINT: a benchmark's main file
namespace rt = daxfs::rt;

constexpr const char* kPunchAgainstStore = R"(daxfuzz program 1
image small
mount dax=always
process P0
init in P0
  f = open "f0" rdwr|creat
  pwrite f 0x41 4K 0
  m = mmap f 0 4K read|write shared
task T0 in P0
  fallocate f punch|keep_size 0 4K
task T1 in P0
  store m 0 4K 0x42
)";

// Two tasks: own work, a critical section, own work, a shared counter.
class Toy final : public explore::Subject {
 public:
  void run(rt::Policy& policy, explore::RunReport* report) override {
    int seen = 0;
    const auto outcome = rt::run_lambda(
        [&] {
          rt::Mutex mutex;
          rt::Atomic<int> shared(0);
          for (int t = 0; t < 2; ++t) {
            rt::spawn("task", [&, t] {
              rt::begin_op(0);
              rt::Atomic<int> own(0);
              for (int i = 0; i < 4; ++i) { own.store(i); }
              {
                const rt::MutexLock lock(mutex);
                seen = seen * 3 + t + 1;
              }
              for (int i = 0; i < 4; ++i) { own.store(i); }
              seen = seen * 7 + shared.fetch_add(t + 1);
              rt::end_op();
            });
          }
          rt::join_all_spawned();
        },
        policy);
    report->outcome = static_cast<uint64_t>(seen);
    report->finding = outcome.finding;
  }
};

class Program final : public explore::Subject {
 public:
  explicit Program(const char* text) {
    std::string error;
    if (!prog::parse(text, "bench", &program_, &error)) {
      std::fprintf(stderr, "%s\n", error.c_str());
      std::abort();
    }
  }
  void run(rt::Policy& policy, explore::RunReport* report) override {
    exec::RunConfig config;
    config.policy = &policy;
    executor_.run(program_, config, &outcome_);
    report->tasks_begin = outcome_.tasks_begin;
    report->finding = outcome_.finding;
  }

 private:
  prog::Program program_;
  exec::Executor executor_;
  exec::Outcome outcome_;
};

uint64_t runs_of(explore::Subject& subject, unsigned preemptions, bool reduce) {
  explore::Explorer explorer(subject, {.preemptions = preemptions, .reduce = reduce});
  const explore::Result result = explorer.run();
  if (!result.complete) { std::abort(); }
  return result.explored;
}

void measure(benchmark::State& state, explore::Subject& subject) {
  const auto preemptions = static_cast<unsigned>(state.range(0));
  const uint64_t plain = runs_of(subject, preemptions, false);
  uint64_t reduced = 0;
  for (auto _ : state) { reduced = runs_of(subject, preemptions, true); }
  state.counters["plain"] = static_cast<double>(plain);
  state.counters["reduced"] = static_cast<double>(reduced);
  state.counters["reduction"] = static_cast<double>(plain) / static_cast<double>(reduced);
}

void BM_ExploreToy(benchmark::State& state) {
  Toy toy;
  measure(state, toy);
}
BENCHMARK(BM_ExploreToy)->Arg(1)->Arg(2)->Arg(3)->Unit(benchmark::kMillisecond)->Iterations(1);

void BM_ExplorePunchAgainstStore(benchmark::State& state) {
  Program program(kPunchAgainstStore);
  measure(state, program);
}
BENCHMARK(BM_ExplorePunchAgainstStore)->Arg(1)->Arg(2)->Arg(3)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
