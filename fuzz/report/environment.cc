// fuzz/report/environment.cc - told by the preprocessor.
#include "fuzz/report/environment.h"

#include "fs/base/historical.h"

namespace daxfuzz::report {
namespace {

#if defined(__has_feature)
#define DAXFUZZ_HAS(feature) __has_feature(feature)
#else
#define DAXFUZZ_HAS(feature) 0
#endif

std::string flavour() {
#if defined(DAXFS_RT_FIBER)
  std::string text = "fiber engine";
#else
  std::string text = "OS threads";
#endif
#if DAXFUZZ_HAS(address_sanitizer) || defined(__SANITIZE_ADDRESS__)
  text += ", AddressSanitizer";
#endif
#if DAXFUZZ_HAS(thread_sanitizer) || defined(__SANITIZE_THREAD__)
  text += ", ThreadSanitizer";
#endif
#if DAXFUZZ_HAS(undefined_behavior_sanitizer)
  text += ", UndefinedBehaviorSanitizer";
#endif
  return text;
}

std::string compiler() {
#if defined(__clang__)
  return "clang " + std::to_string(__clang_major__) + "." + std::to_string(__clang_minor__) + "." +
         std::to_string(__clang_patchlevel__);
#else
  return std::string("gcc ") + __VERSION__;
#endif
}

constexpr const char* kRevision =
#include DAXFUZZ_REVISION_FILE
    ;

}  // namespace

Environment environment() {
  return {DAXFUZZ_VERSION, kRevision, flavour(), compiler(), prog::kFormatVersion, daxfs::historical_bugs().size()};
}

}  // namespace daxfuzz::report
