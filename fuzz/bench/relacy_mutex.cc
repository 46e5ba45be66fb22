// fuzz/bench/relacy_mutex.cc - the program of mutex_bench.cc for Relacy, in a file of its own: its headers define much.
#include <chrono>
#include <sstream>

#include <relacy/relacy.hpp>

namespace {

struct MutexProgram : rl::test_suite<MutexProgram, 2> {
  rl::mutex mutex;
  rl::var<int> counter;

  void before() { counter($) = 0; }
  void thread(unsigned /*index*/) {
    for (int i = 0; i < 3; ++i) {
      mutex.lock($);
      counter($) = counter($) + 1;
      mutex.unlock($);
    }
  }
  void after() { RL_ASSERT(counter($) == 6); }
};

}  // namespace

double relacy_seconds(unsigned schedules);
double relacy_seconds(unsigned schedules) {
  rl::test_params params;
  params.search_type = rl::random_scheduler_type;
  params.iteration_count = schedules;
  std::ostringstream quiet;
  params.output_stream = &quiet;
  params.progress_stream = &quiet;
  const auto start = std::chrono::steady_clock::now();
  const bool passed = rl::simulate<MutexProgram>(params);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return passed ? seconds : 1e9;
}
