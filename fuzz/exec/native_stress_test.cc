// Random programs on threads: nothing decides who runs when, so this is about what the deterministic flavours cannot
// show. Under TSan it says whether the library's own synchronisation, and not the seam, orders what it shares.
//
// More of them by hand: DAXFUZZ_STRESS="first count".
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include "fuzz/exec/executor.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/random.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::exec {
namespace {

struct Seeds {
  uint64_t first = 1;
  uint64_t count = 2000;
};

Seeds seeds() {
  Seeds seeds;
  unsigned long long first = 0;
  unsigned long long count = 0;
  const char* const text = std::getenv("DAXFUZZ_STRESS");
  if (text != nullptr && std::sscanf(text, "%llu %llu", &first, &count) == 2) { seeds = {first, count}; }
  return seeds;
}

TEST(NativeStress, RandomProgramsOnThreadsAreJudgedSound) {
  Executor executor;
  Outcome outcome;
  const auto [first, count] = seeds();
  uint64_t met = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    prog::Random random(seed);
    prog::Program program = prog::generate(random, {.tasks_min = 3, .tasks_max = 6, .file_bytes_max = 64 << 10});
    program.schedule.clear();
    SCOPED_TRACE("program of seed " + std::to_string(seed) + "\n" + prog::print(program));
    executor.run(program, {}, &outcome);
    ASSERT_FALSE(outcome.finding) << finding_title(*outcome.finding) << "\n" << outcome.finding->detail;
    // Calls of two tasks at one time, or nothing was stressed.
    for (const oracle::OpRecord& one : outcome.history.records) {
      for (const oracle::OpRecord& other : outcome.history.records) {
        met += one.task < other.task && one.begin_seq < other.end_seq && other.begin_seq < one.end_seq;
      }
    }
  }
  EXPECT_GT(met, count);
}

}  // namespace
}  // namespace daxfuzz::exec
