// fuzz/targets/xarray_fuzzer.cc - libFuzzer target: bytes -> operations on an XArray -> the interval map says the same.
//
// Any bytes are a sequence (fuzz/xarray/ops.h); its text form is accepted, too. A disagreement prints the sequence as
// text, which is its replay, and traps.
//
// DAXFUZZ_BUGS="id id" switches historical bugs on, to try the target itself. DAXFUZZ_TRACES=1 prints a hash of the
// sequence once array and model agreed on all of it.
// Tested by: fuzz/targets/targets_test.py, props/xarray_props.cc (the same model)
#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "fs/base/report.h"
#include "fuzz/targets/bug_switches.h"
#include "fuzz/targets/sanitizer_options.h"
#include "fuzz/xarray/lockstep.h"

namespace {

const daxfuzz::xarray::Sequence* g_sequence = nullptr;

void print_replay() {
  std::fprintf(stderr, "%sreplay: xarray_fuzzer ARTIFACT (or the text above as a file)\n",
               daxfuzz::xarray::print(*g_sequence).c_str());
}

// An assertion of the array itself.
void on_finding(void* /*context*/, daxfs::Finding&& finding) {
  std::fprintf(stderr, "FINDING %s [%s]\n", finding.title.c_str(), finding.tag.c_str());
  print_replay();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const char* bugs = std::getenv("DAXFUZZ_BUGS");
  if (bugs != nullptr && !daxfuzz::select_bugs(bugs)) { std::exit(1); }
  daxfs::set_finding_handler(on_finding, nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace daxfuzz::xarray;  // NOLINT: a target's main file
  const std::span<const uint8_t> bytes(data, size);
  Sequence sequence;
  std::string error;
  if (!is_text(bytes) || !parse({reinterpret_cast<const char*>(data), size}, "input", &sequence, &error)) {
    sequence = decode(bytes);
  }
  g_sequence = &sequence;
  if (const std::string wrong = run(sequence); !wrong.empty()) {
    std::fprintf(stderr, "FINDING xarray: %s\n", wrong.c_str());
    print_replay();
    std::abort();
  }
  static const bool print_traces = std::getenv("DAXFUZZ_TRACES") != nullptr;
  if (print_traces) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : print(sequence)) { hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3; }
    std::fprintf(stderr, "trace=%016" PRIx64 "\n", hash);
  }
  return 0;
}
