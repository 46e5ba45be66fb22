// fuzz/targets/image_fuzzer.cc - libFuzzer target: bytes -> a damaged ext4 image and a program on
// it.
//
// Any bytes are an input (fuzz/image/input.h), so is its text form. A finding prints its report and
// the input as text, which is its replay, and traps in the function that noticed it.
//
// DAXFUZZ_SAVE_IMAGE=FILE writes the damaged image, for e2fsck and `daxfuzz run --image`.
// DAXFUZZ_TRACES=1 prints each run's trace hash. DAXFUZZ_TEXT=1 prints each input as text, and what
// came of it. DAXFUZZ_BUGS="id id" switches historical bugs on, to try the target itself. Tested
// by: fuzz/targets/targets_test.py, fuzz/image/image_test.cc
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "fs/base/report.h"
#include "fuzz/exec/finding_key.h"
#include "fuzz/image/run.h"
#include "fuzz/targets/bug_switches.h"
#include "fuzz/targets/sanitizer_options.h"

namespace {

using namespace daxfuzz;  // NOLINT: a target's main file

struct Target {
  image::Runner runner;
  image::Input input;
  image::Outcome outcome;
};

Target& target() {
  static Target& instance = *new Target;
  return instance;
}

void report(void* context, const daxfs::Finding& finding) {
  const Target& t = *static_cast<const Target*>(context);
  std::fprintf(stderr, "FINDING %s %s key=%s\n", daxfs::verdict_name(finding.verdict),
               exec::finding_title(finding).c_str(), exec::finding_key(finding).c_str());
  if (!finding.detail.empty()) { std::fprintf(stderr, "%s\n", finding.detail.c_str()); }
  std::fprintf(stderr, "%sreplay: image_fuzzer ARTIFACT (or the text above as a file)\n",
               image::print(t.input).c_str());
}

void save_image(const char* path, const image::Input& input) {
  const std::vector<std::byte> bytes = image::Runner::damaged(input);
  std::FILE* const file = std::fopen(path, "wb");
  if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || std::fclose(file) != 0) {
    std::fprintf(stderr, "DAXFUZZ_SAVE_IMAGE: %s cannot be written\n", path);
    std::exit(1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const char* const bugs = std::getenv("DAXFUZZ_BUGS");
  if (bugs != nullptr && !select_bugs(bugs)) { std::exit(1); }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* const image_path = std::getenv("DAXFUZZ_SAVE_IMAGE");
  static const bool print_traces = std::getenv("DAXFUZZ_TRACES") != nullptr;
  static const bool print_text = std::getenv("DAXFUZZ_TEXT") != nullptr;
  Target& t = target();
  t.input = image::load({data, size});
  if (image_path != nullptr) { save_image(image_path, t.input); }
  if (print_text) { std::fprintf(stderr, "%s", image::print(t.input).c_str()); }
  t.runner.run(t.input, {.at_finding = report, .at_finding_context = &t}, &t.outcome);
  if (print_traces) { std::fprintf(stderr, "trace=%016" PRIx64 "\n", t.outcome.trace_hash); }
  if (print_text) {
    std::fprintf(stderr, "# sound=%d mounted=%d %s corrupted=%u events=%" PRIu64 "\n", t.outcome.sound,
                 t.outcome.mounted, t.outcome.mount_message.c_str(), t.outcome.corrupted, t.outcome.events);
  }
  if (t.outcome.finding) { std::abort(); }  // whoever noticed it did not stop
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t size_max, unsigned seed) {
  return image::mutate_bytes(data, size, size_max, seed);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1, const uint8_t* data2, size_t size2,
                                            uint8_t* out, size_t out_max, unsigned seed) {
  return image::crossover_bytes(data1, size1, data2, size2, out, out_max, seed);
}
