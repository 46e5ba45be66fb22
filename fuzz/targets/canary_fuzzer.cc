// fuzz/targets/canary_fuzzer.cc - must fail: planted bugs (fuzz/puzzles) that any working set-up finds at once.
//
// Where this target stays green, the engine, its instrumentation or the scheduler does not work, and silence of the
// other targets means nothing. Bytes choose the puzzle and seed the schedule; nothing else is learnt from them.
//
// Tested by: fuzz/targets/targets_test.py
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "fs/rt/engine.h"
#include "fuzz/puzzles/puzzles.h"
#include "fuzz/sched/policies.h"
#include "fuzz/targets/sanitizer_options.h"

namespace {

uint64_t fnv1a(const uint8_t* data, size_t size) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < size; ++i) { hash = (hash ^ data[i]) * 0x100000001b3; }
  return hash;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) { return 0; }  // a first look at trivial inputs must not fail: services call that a broken build
  const auto all = daxfuzz::puzzles::puzzles();
  const daxfuzz::puzzles::Puzzle& puzzle = all[data[0] % all.size()];
  const uint64_t seed = fnv1a(data, size);
  daxfuzz::sched::RandomWalk walk(seed, static_cast<uint32_t>(1 + seed % 4));
  const auto outcome = daxfs::rt::run(
      walk, {.events_max = 10000}, nullptr,
      [](void* arg) { static_cast<const daxfuzz::puzzles::Puzzle*>(arg)->scene(/*broken=*/true); },
      const_cast<daxfuzz::puzzles::Puzzle*>(&puzzle));
  if (outcome.finding && outcome.finding->verdict == puzzle.verdict) {
    std::fprintf(stderr, "canary: puzzle %s: found %s\n", std::string(puzzle.name).c_str(),
                 std::string(puzzle.expects).c_str());
    std::abort();
  }
  return 0;
}
