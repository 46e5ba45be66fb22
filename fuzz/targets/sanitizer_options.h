// fuzz/targets/sanitizer_options.h - sanitizer settings of a target, baked in; the environment overrides them.
//
// Include it once in each target's main file.  Tested by: fuzz/targets/targets_test.py
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
// Fake stacks cost 2.7 us at every switch between fibers. Leaks count: a finding aborts, so no abandoned run is left.
extern "C" const char* __asan_default_options() { return "detect_stack_use_after_return=0:detect_leaks=1"; }
#endif
#if __has_feature(thread_sanitizer)
// Without halt_on_error libFuzzer saves the empty input, at exit, instead of the one that raced. It saves from its
// signal handler, which TSan would call unsafe and halt on, for ever.
extern "C" const char* __tsan_default_options() { return "halt_on_error=1:report_signal_unsafe=0"; }
#endif
#if __has_feature(memory_sanitizer)
extern "C" void __msan_unpoison(const volatile void*, size_t);  // NOLINT(bugprone-reserved-identifier)
#define DAXFUZZ_MSAN 1
#endif
#endif

// What the engine gave us: services' engines are compiled without MSan, which would take their memory for unwritten.
inline void given_by_engine([[maybe_unused]] const void* memory, [[maybe_unused]] size_t size) {
#if defined(DAXFUZZ_MSAN)
  __msan_unpoison(memory, size);
#endif
}
