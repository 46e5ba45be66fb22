// fs/base/report.h - broken invariants and bad media: the words every layer uses, and where they go.
//
//   FS_BUG_ON(cond, "TAG", "fmt", ...)   cannot go on: memory state is a lie.  Verdict BUG.
//   FS_WARN_ON(cond, "TAG", "fmt", ...)  wrong, but we could go on; evaluates to cond.  Verdict WARN.
//   FS_CORRUPT("where fmt", ...)         media is inconsistent: records and yields Errc::kCorrupted.  Never aborts.
//   FS_FINDING(verdict, "TAG", ...)      any other verdict (deadlock, lock misuse, ...).
//
// TAG is the invariant's name as declared in a header's `Invariants:` paragraph (DE1, XA3, O1...); dedup keys use
// it, so it must not carry numbers that vary between runs. Each use expands to its own non-inlined function, and where
// findings end the process (fs/rt/engine.h, RunLimits::at_finding) it ends in that very function: services that bucket
// crashes by their top frames tell invariants apart.
//
// A finding goes to the installed handler. In the fiber engine the handler ends the run and does not return; without
// a handler the finding is printed and the process aborts with exit code 77's signal semantics (SIGABRT).
//
// Before the format, any of them takes about(...): the objects that the assertion looked at (object_ref.h), so that an
// explanation starts from them and not from the words of the message. about(...).came(how) says in a fixed phrase how
// they came to be so, if that is known (mm/frame_history.h): bugs that break one invariant at one place differ there.
//
// Locking: none; may be called in any context.  Tested by: fs/base/base_test.cc.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/errc.h"
#include "fs/base/object_ref.h"
#include "fs/base/site.h"

namespace daxfs {

enum class Verdict : uint8_t {
  kOk,
  kBug,           // FS_BUG_ON
  kWarn,          // FS_WARN_ON
  kCorruptMedia,  // the image checker or e2fsck objects
  kWrongResult,   // a system call returned what no order of the operations allows
  kNotDurable,
  kDeadlock,
  kLivelock,    // step budget exceeded
  kLeak,        // references, pins, locks, memory left at the end
  kLockMisuse,  // recursion, rank inversion, sleep in atomic, unbalanced release
  kDataRace,    // two accesses to shared data, one a write, that nothing orders (rt/shared.h)
  kCrash,       // a sanitizer's report, or a fatal signal
  kHarness,     // the harness itself is wrong
};

// "BUG", "WARNING", "corrupt media", ...: the first word of a title.
const char* verdict_name(Verdict verdict);

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string tag;            // invariant tag; part of the dedup key
  std::string title;          // one line, stable between runs except for numbers
  std::string detail;         // free text, many lines: graphs, dumps
  const char* function = "";  // innermost fs function (pretty name)
  const char* file = "";
  uint32_t line = 0;
  const char* message = "";  // the title's format: tells assertions of one function apart, part of the dedup key
  int task = -1;             // who noticed, as the engine counts (rt::TaskId); -1 outside a run
  std::string during =
      {};         // kind of system call that it was in; part of the dedup key. Set by who knows of system calls
  About about{};  // the objects that broke the invariant; Noun::kNone where there are none. Their `how`
                  // ends the title
};

// Called on every finding, before anything else happens. May not return (the engine abandons the run); if it
// returns, the caller of FS_BUG_ON aborts and the caller of FS_WARN_ON goes on.
using FindingHandler = void (*)(void* context, Finding&& finding);

// Installs a handler for the process; returns the previous one through the out parameters.
void set_finding_handler(FindingHandler handler, void* context, FindingHandler* previous_handler = nullptr,
                         void** previous_context = nullptr);

// Bad media seen by FS_CORRUPT: kept in a bounded list that tools print beside an EUCLEAN.
// Returns and clears the messages recorded since the last call.
std::vector<std::string> take_corruption_messages();

namespace internal {
FS_COLD void report_finding(Verdict verdict, const char* tag, Site site, const char* format, ...) FS_PRINTF(4, 5);
FS_COLD void report_finding(Verdict verdict, const char* tag, Site site, About about, const char* format, ...)
    FS_PRINTF(5, 6);
// While true, whoever reported a finding traps as soon as report_finding returns.
extern bool g_stop_at_findings;
FS_COLD void report_corruption(const char* format, ...) FS_PRINTF(1, 2);
}  // namespace internal

// Reports a finding whose text was built by the caller.
FS_COLD void report_finding(Finding&& finding);
FS_COLD void report_finding(Verdict verdict, const char* tag, std::string title, std::string detail, Site site,
                            const About& about = {});

}  // namespace daxfs

// A macro, because an inlined function would be the top of the crash's stack: that place belongs to whoever noticed.
#define FS_STOP_AT_FINDING()                                                              \
  do {                                                                                    \
    if (__builtin_expect(::daxfs::internal::g_stop_at_findings, 0)) { __builtin_trap(); } \
  } while (0)

#define FS_BUG_ON(cond, tag, ...)                                                                  \
  do {                                                                                             \
    if (__builtin_expect(!!(cond), 0)) {                                                           \
      [&]() FS_COLD {                                                                              \
        ::daxfs::internal::report_finding(::daxfs::Verdict::kBug, tag, FS_SITE_HERE, __VA_ARGS__); \
        FS_STOP_AT_FINDING();                                                                      \
        std::abort();                                                                              \
      }();                                                                                         \
    }                                                                                              \
  } while (0)

#define FS_WARN_ON(cond, tag, ...)                                                                         \
  (__builtin_expect(!!(cond), 0)                                                                           \
       ? (                                                                                                 \
             [&]() FS_COLD {                                                                               \
               ::daxfs::internal::report_finding(::daxfs::Verdict::kWarn, tag, FS_SITE_HERE, __VA_ARGS__); \
               FS_STOP_AT_FINDING();                                                                       \
             }(),                                                                                          \
             true)                                                                                         \
       : false)

#define FS_FINDING(verdict, tag, ...)                                           \
  [&]() FS_COLD {                                                               \
    ::daxfs::internal::report_finding(verdict, tag, FS_SITE_HERE, __VA_ARGS__); \
    FS_STOP_AT_FINDING();                                                       \
  }()

#define FS_CORRUPT(...) (::daxfs::internal::report_corruption(__VA_ARGS__), ::daxfs::Errc::kCorrupted)

#define FS_SITE_HERE ::daxfs::Site::current()
