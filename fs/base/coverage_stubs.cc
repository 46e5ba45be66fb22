// fs/base/coverage_stubs.cc - what instrumented objects call when no fuzzing engine is linked in: nothing.
//
// Weak, so that libFuzzer's, AFL++'s, a sanitizer's or fuzz/exec's own definitions win.
#include <cstdint>

extern "C" {  // NOLINTBEGIN(bugprone-reserved-identifier): the names are the sanitizers'
__attribute__((weak)) void __sanitizer_cov_8bit_counters_init(char* /*begin*/, char* /*end*/) {}
__attribute__((weak)) void __sanitizer_cov_pcs_init(const uintptr_t* /*begin*/, const uintptr_t* /*end*/) {}
}  // NOLINTEND(bugprone-reserved-identifier)
