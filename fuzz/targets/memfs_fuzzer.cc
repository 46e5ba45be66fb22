// fuzz/targets/memfs_fuzzer.cc - another filesystem library under the engine: the worked example of
// docs/continuous-fuzzing.md. Bytes are operations of three tasks in turn; the last eight seed the
// schedule.
//
// DAXFUZZ_MEMFS_FLAW=append or lookup plants a flaw, which must be found.
// Tested by: fuzz/targets/targets_test.py
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fs/rt/engine.h"
#include "fuzz/puzzles/memfs.h"
#include "fuzz/sched/policies.h"
#include "fuzz/targets/sanitizer_options.h"

namespace {

using daxfuzz::puzzles::Memfs;

struct Input {
  Memfs::Flaw flaw = Memfs::Flaw::kNone;
  const uint8_t* data = nullptr;
  size_t size = 0;
};

Memfs::Flaw planted() {
  const char* flaw = std::getenv("DAXFUZZ_MEMFS_FLAW");
  if (flaw == nullptr) { return Memfs::Flaw::kNone; }
  return std::strcmp(flaw, "append") == 0 ? Memfs::Flaw::kAppendUnlocked : Memfs::Flaw::kLookupUnpinned;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint64_t seed = 1;
  const size_t tail = size < sizeof(seed) ? 0 : sizeof(seed);
  if (tail != 0) { std::memcpy(&seed, data + size - tail, tail); }
  static const Memfs::Flaw flaw = planted();
  Input input{flaw, data, size - tail};
  daxfuzz::sched::RandomWalk walk(seed, static_cast<uint32_t>(1 + seed % 4));
  const auto outcome = daxfs::rt::run(
      walk, {.events_max = 10000}, nullptr,
      [](void* arg) {
        const Input& in = *static_cast<const Input*>(arg);
        daxfuzz::puzzles::run_memfs(in.flaw, in.data, in.size);
      },
      &input);
  if (outcome.finding) {
    std::fprintf(stderr, "FINDING %s %s: %s\n", daxfs::verdict_name(outcome.finding->verdict),
                 outcome.finding->tag.c_str(), outcome.finding->title.c_str());
    std::abort();
  }
  return 0;
}
