// fuzz/exec/determinism_test.cc - a run is a function of program, schedule and switches; nothing of it outlives it.
//
// DAXFUZZ_RUNS=10000 widens the sampled tests. BUILD/random_traces.txt gets a hash of the traces of each hundred
// programs, which must be equal in all flavours (ci/compare_traces.py).
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include "fuzz/exec/executor.h"
#include "fuzz/exec/testing.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/text.h"

namespace daxfuzz::exec {
namespace {

size_t runs_wanted(size_t plain, size_t slow) {
  const char* wish = std::getenv("DAXFUZZ_RUNS");
  if (wish != nullptr) { return static_cast<size_t>(std::atoll(wish)); }
  return kSanitized ? slow : plain;
}

// Programs of the size that fuzzing keeps: many small files rather than a few of gigabytes.
prog::Program random_program(prog::Random& random) {
  prog::Options options;
  options.file_bytes_max = 64 << 10;
  return prog::generate(random, options);
}

TEST(Determinism, SameRunTwiceGivesTheSameTrace) {
  const size_t runs = runs_wanted(2000, 300);
  prog::Random random(1);
  Executor executor;
  Outcome first;
  Outcome second;
  Policies policies;
  std::ofstream hashes(DAXFUZZ_BUILD_DIR "/random_traces.txt");
  uint64_t hash = 0;
  for (size_t i = 0; i < runs; ++i) {
    const prog::Program program = random_program(random);
    executor.run(program, {}, &first);  // measures where the tasks' part begins, which policies want to know
    const Outcome measured = first;
    RunConfig config;
    config.policy = policies.choose(i, measured);
    executor.run(program, config, &first);
    config.policy = policies.choose(i, measured);
    executor.run(program, config, &second);
    ASSERT_EQ(first.trace_hash, second.trace_hash) << "program " << i << "\n" << describe(program, first);
    ASSERT_EQ(first.events, second.events);
    ASSERT_EQ(first.finding.has_value(), second.finding.has_value());
    hash = (hash ^ first.trace_hash) * 0x100000001b3;
    if ((i + 1) % 100 == 0) { hashes << i + 1 << " " << std::hex << hash << std::dec << "\n"; }
  }
  EXPECT_TRUE(hashes.good());
}

TEST(Determinism, RecordedScheduleReplaysTheRun) {
  const size_t runs = runs_wanted(2000, 300);
  prog::Random random(2);
  Executor executor;
  Outcome original;
  Outcome replay;
  Policies policies;
  size_t replayed = 0;
  for (size_t i = 0; i < runs; ++i) {
    prog::Program program = random_program(random);
    executor.run(program, {}, &original);
    RunConfig config;
    const Outcome measured = original;
    config.policy = policies.choose(i, measured);
    executor.run(program, config, &original);
    if (!adopt_schedule(original.taken, &program)) { continue; }  // more switches than a program holds
    executor.run(program, {}, &replay);
    ASSERT_EQ(original.trace_hash, replay.trace_hash) << "program " << i << "\n" << describe(program, original);
    // Through text and back: a file replays what was seen.
    prog::Program parsed;
    std::string error;
    ASSERT_TRUE(prog::parse(prog::print(program), "printed", &parsed, &error)) << error;
    if (i % 8 == 0) {
      executor.run(parsed, {}, &replay);
      ASSERT_EQ(original.trace_hash, replay.trace_hash) << describe(program, original);
    }
    ++replayed;
  }
  EXPECT_GT(replayed, runs * 9 / 10);
}

TEST(Determinism, RunsDoNotInfluenceEachOther) {
  const size_t runs = runs_wanted(700, 100);
  prog::Random random(3);
  Executor old;
  Outcome before;
  Outcome between;
  Outcome after;
  for (size_t i = 0; i < runs; ++i) {
    const prog::Program a = random_program(random);
    const prog::Program b = random_program(random);
    old.run(a, {}, &before);
    old.run(b, {}, &between);
    old.run(a, {}, &after);
    ASSERT_EQ(before.trace_hash, after.trace_hash) << describe(a, before) << "\nbetween:\n" << describe(b, between);
    if (i % 50 == 0) {
      Executor fresh;
      fresh.run(a, {}, &after);
      ASSERT_EQ(before.trace_hash, after.trace_hash) << describe(a, before);
    }
  }
}

size_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) { return 0; }
  unsigned long pages = 0;
  unsigned long resident = 0;
  const int read = std::fscanf(file, "%lu %lu", &pages, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<size_t>(sysconf(_SC_PAGESIZE)) : 0;
}

// A few hundred programs again and again: what caches of the first rounds took is steady afterwards.
TEST(Determinism, MemoryDoesNotGrow) {
  const size_t rounds = runs_wanted(20000, 1500) / 100;
  prog::Random random(4);
  std::vector<prog::Program> programs;
  for (size_t i = 0; i < 100; ++i) { programs.push_back(random_program(random)); }
  Executor executor;
  Outcome outcome;
  const auto round = [&] {
    for (const auto& program : programs) {
      executor.run(program, {}, &outcome);
      ASSERT_FALSE(outcome.finding) << describe(program, outcome);
    }
  };
  for (int warm = 0; warm < 3; ++warm) { round(); }
  const size_t allocated = mallinfo2().uordblks;  // sanitizers have no answer
  const size_t resident = resident_bytes();
  for (size_t i = 0; i < rounds; ++i) { round(); }
  if (!kSanitized) { EXPECT_LE(mallinfo2().uordblks, allocated + (256 << 10)) << rounds * 100 << " runs"; }
  // Quarantine and shadow of sanitizers grow by themselves for a while.
  EXPECT_LE(resident_bytes(), resident + (kSanitized ? size_t{300} << 20 : size_t{4} << 20));
}

}  // namespace
}  // namespace daxfuzz::exec
