// fuzz/bench/rt_bench.cc - what the determinism seam costs: points, locks, switches, tasks, runs.
//
// BM_SleepWake also times a hand-off between two OS threads in the same process and reports the ratio, so that the
// number means something on any machine.
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <benchmark/benchmark.h>
#include <time.h>

#include "fs/rt/atomic.h"
#include "fs/rt/mutex.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/testing.h"
#include "fs/rt/wait_queue.h"

namespace {

using namespace daxfs::rt;  // NOLINT(google-build-using-namespace): a program of one file

RunLimits unlimited() {
  RunLimits limits;
  limits.events_max = uint64_t{1} << 60;
  return limits;
}

// Runs the benchmark loop inside a run, as the root task.
template <typename F>
void in_run(F&& body, Policy& policy = default_policy()) {
  const RunOutcome outcome = run_lambda(body, policy, unlimited());
  if (outcome.finding.has_value()) { internal::fail_test_run(*outcome.finding); }
}

void BM_Point(benchmark::State& state) {
  in_run([&] {
    for (auto _ : state) { point(PointKind::kPteRead, object_id(ObjectClass::kPte, 1)); }
  });
}
BENCHMARK(BM_Point);

void BM_AtomicFetchAdd(benchmark::State& state) {
  in_run([&] {
    Atomic<int> a(0);
    for (auto _ : state) { a.fetch_add(1); }
  });
}
BENCHMARK(BM_AtomicFetchAdd);

void BM_MutexPair(benchmark::State& state) {
  in_run([&] {
    Mutex mutex(Rank::kLeaf, "mutex");
    for (auto _ : state) { const MutexLock lock(mutex); }
  });
}
BENCHMARK(BM_MutexPair);

void BM_SpinLockPair(benchmark::State& state) {
  in_run([&] {
    SpinLock lock(Rank::kLeaf, "lock");
    for (auto _ : state) { const SpinGuard guard(lock); }
  });
}
BENCHMARK(BM_SpinLockPair);

void BM_RwSemReadPair(benchmark::State& state) {
  in_run([&] {
    RwSem sem(Rank::kInode, "sem");
    for (auto _ : state) { const ReadLock lock(sem); }
  });
}
BENCHMARK(BM_RwSemReadPair);

void BM_SpawnJoin(benchmark::State& state) {
  in_run([&] {
    for (auto _ : state) {
      join(spawn("task", [] {}));
    }
  });
}
BENCHMARK(BM_SpawnJoin);

void BM_EmptyRun(benchmark::State& state) {
  RunOutcome outcome;
  for (auto _ : state) {
    run_into(default_policy(), {}, nullptr, [](void*) {}, nullptr, &outcome);
  }
}
BENCHMARK(BM_EmptyRun);

// Processor time of this thread: a neighbour on the machine must not look like a slow switch.
[[maybe_unused]] double thread_cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Two OS threads that take turns; nanoseconds a hand-off.
double thread_handoff_ns() {
  constexpr int kRounds = 2000;
  std::mutex mutex;
  std::condition_variable changed;
  int turn = 0;
  const auto play = [&](int me) {
    for (int i = 0; i < kRounds; ++i) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return turn == me; });
      turn = 1 - me;
      changed.notify_one();
    }
  };
  const auto start = std::chrono::steady_clock::now();
  std::thread other(play, 1);
  play(0);
  other.join();
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
  return elapsed.count() / (2 * kRounds);
}

#if defined(DAXFS_RT_FIBER)

// Another task at every event: the most expensive schedule there is.
class Alternate : public Policy {
 public:
  uint64_t budget(const SchedView& /*view*/) override { return 1; }
  TaskId preempt(const SchedView& view) override {
    // Once the partner is gone there is nobody to alternate with.
    const TaskId next = default_choice(view);
    return next == kNoTask ? view.current : next;
  }
  TaskId choose(const SchedView& view) override { return default_choice(view); }
};

void BM_PolicySwitch(benchmark::State& state) {
  Alternate policy;
  RunLimits limits = unlimited();
  uint64_t switches = 0;
  double elapsed = 0;
  for (auto _ : state) {
    const double start = thread_cpu_ns();
    const RunOutcome outcome = run_lambda(
        [] {
          for (int t = 0; t < 2; ++t) {
            spawn("partner", [] {
              for (int i = 0; i < 5000; ++i) { yield(); }
            });
          }
          join_all_spawned();
        },
        policy, limits);
    elapsed += thread_cpu_ns() - start;
    switches += outcome.switches;
  }
  state.counters["ns_per_switch"] = elapsed / static_cast<double>(switches);
  // The vector of taken switches grows with every forced switch; real runs have a handful.
}
BENCHMARK(BM_PolicySwitch);

// A switch and nothing else: the engine decides by the default policy, records, and goes to the other fiber.
void BM_FiberSwitch(benchmark::State& state) {
  double elapsed = 0;
  uint64_t switches = 0;
  for (auto _ : state) {
    const double start = thread_cpu_ns();
    const RunOutcome outcome = run_lambda(
        [] {
          for (int t = 0; t < 2; ++t) {
            spawn("partner", [] {
              for (int i = 0; i < 5000; ++i) { relax(); }
            });
          }
          join_all_spawned();
        },
        default_policy(), unlimited());
    elapsed += thread_cpu_ns() - start;
    switches += outcome.switches;
  }
  state.counters["ns_per_switch"] = elapsed / static_cast<double>(switches);
}
BENCHMARK(BM_FiberSwitch);

// A hand-over as two threads do it: sleep and wake on a wait queue, five events, one switch.
void BM_SleepWake(benchmark::State& state) {
  constexpr int kRounds = 5000;
  double elapsed = 0;
  uint64_t switches = 0;
  for (auto _ : state) {
    const double start = thread_cpu_ns();
    const RunOutcome outcome = run_lambda(
        [] {
          WaitQueue queues[2];
          for (int me = 0; me < 2; ++me) {
            spawn("player", [&queues, me] {
              for (int i = 0; i < kRounds; ++i) {
                Waiter waiter;
                queues[me].prepare_to_wait(waiter);
                queues[1 - me].wake_all();
                // The last sleeper of all would never be woken.
                if (i + 1 < kRounds) { schedule(); }
                queues[me].finish_wait(waiter);
              }
              queues[1 - me].wake_all();
            });
          }
          join_all_spawned();
        },
        default_policy(), unlimited());
    elapsed += thread_cpu_ns() - start;
    if (outcome.finding.has_value()) { internal::fail_test_run(*outcome.finding); }
    switches += outcome.switches;
  }
  const double fiber = elapsed / static_cast<double>(switches);
  const double thread = thread_handoff_ns();
  state.counters["ns_per_switch"] = fiber;
  state.counters["os_thread_ns"] = thread;
  state.counters["times_faster"] = thread / fiber;
}
BENCHMARK(BM_SleepWake);

#else

void BM_OsThreadHandoff(benchmark::State& state) {
  double total = 0;
  for (auto _ : state) { total += thread_handoff_ns(); }
  state.counters["os_thread_ns"] = total / static_cast<double>(state.iterations());
}
BENCHMARK(BM_OsThreadHandoff);

#endif

}  // namespace

BENCHMARK_MAIN();
