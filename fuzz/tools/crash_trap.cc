#include "fuzz/tools/crash_trap.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "fs/base/compiler.h"
#include "fs/base/report.h"
#include "fs/base/symbols.h"
#include "fs/rt/engine.h"
#include "fuzz/exec/finding_key.h"
#include "fuzz/exec/honesty.h"

// Of the sanitizers' runtimes; absent elsewhere. Declared here because not every compiler's headers do.
extern "C" {
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());                       // NOLINT
__attribute__((weak)) void __sanitizer_set_report_fd(void* fd);                                      // NOLINT
__attribute__((weak)) void __asan_set_error_report_callback(void (*callback)(const char*));          // NOLINT
__attribute__((weak)) const char* __asan_get_report_description();                                   // NOLINT
__attribute__((weak)) void __ubsan_get_current_report_data(const char** kind, const char** message,  // NOLINT
                                                           const char** file, unsigned* line, unsigned* column,
                                                           char** address);
}
#if defined(DAXFS_TSAN)
extern "C" {
void* __tsan_get_current_report();                                                                          // NOLINT
int __tsan_get_report_data(void* report, const char** description, int* count, int* stacks, int* accesses,  // NOLINT
                           int* locations, int* mutexes, int* threads, int* thread_ids, void** sleep_trace,
                           unsigned long sleep_trace_size);
int __tsan_get_report_mop(void* report, unsigned long index, int* thread, void** address, int* size,  // NOLINT
                          int* write, int* atomic, void** trace, unsigned long trace_size);
}
#endif
// The runtime's own; there as long as it is linked statically and has such a lock.
namespace __sanitizer {  // NOLINT
class ScopedErrorReportLock {
 public:
  __attribute__((weak)) static void Unlock();
};
}  // namespace __sanitizer

namespace daxfuzz::tools {
namespace {

constexpr int kFatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
constexpr size_t kFramesMax = 64;
constexpr size_t kFramesTold = 12;
constexpr unsigned kReportSeconds = 20;
constexpr unsigned kTicksPerSecond = 4;
#if defined(DAXFS_TSAN)
constexpr bool kUnderTsan = true;
#else
constexpr bool kUnderTsan = false;
#endif

bool g_crashed = false;
daxfs::Finding g_soon;
unsigned g_ticks_max = 0;
std::string g_undefined = "undefined behaviour";  // its kind, as UBSan calls it: "null-pointer-use"
std::string g_undefined_text;

// Findings hold such text by pointer. As many as there are functions that crash.
const char* kept(const std::string& text) {
  static std::set<std::string>& all = *new std::set<std::string>;
  return all.insert(text).first->c_str();
}

struct Stack {
  std::string innermost = "?";  // function of the library, else of the harness
  std::string outermost = "?";  // the same, without the engine
  std::string text;
};

// Return addresses; the innermost is none, but is in the same function all the same.
Stack stack_of(std::span<void* const> frames) {
  Stack stack;
  std::string harness;
  size_t told = 0;
  const void* last = nullptr;
  for (void* const frame : frames) {
    if (frame == std::exchange(last, frame)) { continue; }  // inlined functions, told at once
    for (const std::string& name : daxfs::functions_at(static_cast<char*>(frame) - 1)) {
      const std::string own_name = exec::qualified_function(name);
      const bool library = own_name.starts_with("daxfs::");
      const bool trap = own_name.starts_with("daxfuzz::tools::");
      const bool ours = own_name.starts_with("daxfuzz::") && !trap;
      if (library && stack.innermost == "?") { stack.innermost = name; }
      if (library && !own_name.starts_with("daxfs::rt::")) { stack.outermost = name; }
      if (ours && harness.empty()) { harness = name; }
      if (stack.innermost != "?" && told < kFramesTold) {
        stack.text += "  " + name + "\n";
        ++told;
      }
    }
  }
  if (stack.innermost == "?" && !harness.empty()) { stack.innermost = harness; }
  if (stack.outermost == "?") { stack.outermost = stack.innermost; }
  return stack;
}

Stack stack_here() {
  std::array<void*, kFramesMax> frames;
  const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
  return stack_of(std::span(frames).first(static_cast<size_t>(count)));
}

// `tag`, `what` and the function are parts of the dedup key.
daxfs::Finding finding_of(daxfs::Verdict verdict, const char* tag, const char* what,
                          std::string Stack::* function = &Stack::innermost) {
  std::signal(SIGALRM, SIG_DFL);
  alarm(kReportSeconds);
  const Stack stack = stack_here();
  alarm(0);
  daxfs::Finding finding;
  finding.verdict = verdict;
  finding.tag = tag;
  finding.title = what;
  finding.detail = stack.text;
  finding.function = kept(stack.*function);
  finding.message = kept(what);
  return finding;
}

#if defined(DAXFS_TSAN)
// The latest report: what was accessed from where. Copied while TSan holds its locks, named afterwards.
struct Access {
  std::array<void*, kFramesTold> frames;
  int write;
  int size;
};
std::array<Access, 2> g_accesses;
int g_access_count = 0;
const char* g_report_kind = "";

daxfs::Finding tsan_finding() {
  daxfs::Finding finding;
  finding.verdict = daxfs::Verdict::kDataRace;
  finding.tag = "TSAN";
  finding.title = g_report_kind;
  finding.message = g_report_kind;
  for (int i = 0; i < g_access_count; ++i) {
    const Access& access = g_accesses[static_cast<size_t>(i)];
    const auto end = std::find(access.frames.begin(), access.frames.end(), nullptr);
    const Stack stack = stack_of(std::span(access.frames.begin(), end));
    if (i == 0) { finding.function = kept(stack.innermost); }
    finding.detail += std::string(access.write != 0 ? "write" : "read") + " of " + std::to_string(access.size) +
                      (i == 0 ? " bytes\n" : " bytes by another task, which nothing orders before that\n") + stack.text;
  }
  return finding;
}

// RETURNS: whether TSan shall not print it.
FS_NO_TSAN bool on_tsan_report() {
  if (!daxfs::rt::run_active()) { return false; }
  int counts[7];
  void* none = nullptr;
  void* const report = __tsan_get_current_report();
  __tsan_get_report_data(report, &g_report_kind, &counts[0], &counts[1], &g_access_count, &counts[2], &counts[3],
                         &counts[4], &counts[5], &none, 0);
  if (g_access_count > 2) { g_access_count = 2; }
  for (int i = 0; i < g_access_count; ++i) {
    Access& access = *(&g_accesses.front() + i);
    for (size_t k = 0; k < kFramesTold; ++k) { *(&access.frames.front() + k) = nullptr; }
    int task = 0;
    int atomic = 0;
    void* address = nullptr;
    __tsan_get_report_mop(report, static_cast<unsigned long>(i), &task, &address, &access.size, &access.write, &atomic,
                          &access.frames.front(), kFramesTold);
  }
  daxfs::rt::end_run_soon(&tsan_finding);
  return true;
}
#endif

void on_asan_report(const char* text) {
  if (!daxfs::rt::run_active()) { return; }
  daxfs::Finding finding = finding_of(daxfs::Verdict::kCrash, "ASAN", __asan_get_report_description());
  finding.detail = text;
  g_soon = std::move(finding);
  daxfs::rt::end_run_soon([] { return g_soon; });
  print_no_reports();
}

daxfs::Finding undefined() {
  daxfs::Finding finding = finding_of(daxfs::Verdict::kCrash, "UBSAN", g_undefined.c_str());
  finding.title = g_undefined + ": " + g_undefined_text;
  return finding;
}

// UBSan, which holds the lock of its reports and is left for good.
void on_death() {
  if (g_crashed || !daxfs::rt::run_active()) { return; }
  if (&__sanitizer::ScopedErrorReportLock::Unlock != nullptr) {
    __sanitizer::ScopedErrorReportLock::Unlock();
  } else {
    g_crashed = true;
  }
  print_no_reports();
  daxfs::report_finding(undefined());
}

const char* name_of(int signal) {
  switch (signal) {
    case SIGSEGV: return "SIGSEGV";
    case SIGBUS: return "SIGBUS";
    case SIGFPE: return "SIGFPE";
    case SIGILL: return "SIGILL";
    case SIGABRT: return "SIGABRT";
    default: return "SIGTRAP";
  }
}

void on_signal(int signal) {
  static volatile sig_atomic_t inside = 0;
  if (inside == 0 && daxfs::rt::run_active()) {
    inside = 1;
    daxfs::Finding finding = finding_of(daxfs::Verdict::kCrash, "SIGNAL", name_of(signal));
    inside = 0;
    daxfs::report_finding(std::move(finding));  // leaves this stack for good
  }
  std::signal(signal, SIG_DFL);
  raise(signal);
}

// Each tick of processor time.
void on_tick(int /*signal*/) {
  static uint64_t events = 0;
  static unsigned ticks = 0;
  const uint64_t now = daxfs::rt::run_active() ? daxfs::rt::run_events() : 0;
  ticks = now != 0 && now == events ? ticks + 1 : 0;
  events = now;
  if (ticks == g_ticks_max) {
    ticks = 0;
    // Where in the loop the clock strikes is chance, what was called is not.
    daxfs::report_finding(finding_of(daxfs::Verdict::kLivelock, exec::kLoopTag, "goes round without a scheduling point",
                                     &Stack::outermost));
  }
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

// Where a fiber's stack is full there is no room for a handler.
void give_signals_a_stack() {
  constexpr size_t kSize = 256 * 1024;
  stack_t stack{};
  stack.ss_sp = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack.ss_size = kSize;
  if (stack.ss_sp != MAP_FAILED) { sigaltstack(&stack, nullptr); }
}

}  // namespace

void catch_crashes(unsigned seconds) {
  g_ticks_max = seconds * kTicksPerSecond;
  if (&__asan_set_error_report_callback != nullptr) { __asan_set_error_report_callback(&on_asan_report); }
  if (kUnderTsan) { return; }
  if (&__sanitizer_set_death_callback != nullptr) { __sanitizer_set_death_callback(&on_death); }
  void* warm[1];
  backtrace(warm, 1);  // loads the unwinder, which a handler must not
  give_signals_a_stack();
  for (const int signal : kFatal) { handle(signal, &on_signal, SA_NODEFER | SA_ONSTACK); }
  handle(SIGVTALRM, &on_tick, SA_RESTART | SA_NODEFER);
  constexpr timeval kTick{.tv_sec = 0, .tv_usec = 1'000'000 / kTicksPerSecond};
  const itimerval each_tick{.it_interval = kTick, .it_value = kTick};
  setitimer(ITIMER_VIRTUAL, &each_tick, nullptr);
}

void print_no_reports() {
  static const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (&__sanitizer_set_report_fd != nullptr) {
    __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<intptr_t>(nowhere)));
  }
}

bool crashed() { return g_crashed; }

}  // namespace daxfuzz::tools

// UBSan asks whoever has such a function to look, before it prints.
extern "C" void __ubsan_on_report() {  // NOLINT
  const char* kind = nullptr;
  const char* message = nullptr;
  const char* file = nullptr;
  unsigned line = 0;
  unsigned column = 0;
  char* address = nullptr;
  __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
  daxfuzz::tools::g_undefined = kind;
  daxfuzz::tools::g_undefined_text = message;
}

#if defined(DAXFS_TSAN)
namespace __tsan {  // NOLINT: TSan asks whoever has such a function, before it prints
class ReportDesc;
// Not watched itself: a race found here would be reported under the lock of the report.
FS_NO_TSAN bool OnReport(const ReportDesc* /*report*/, bool suppressed) {
  return suppressed || daxfuzz::tools::on_tsan_report();
}
}  // namespace __tsan
#endif
