#include "fuzz/tools/crash_trap.h"

#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fs/base/compiler.h"
#include "fs/base/report.h"
#include "fs/base/symbols.h"
#include "fs/rt/engine.h"

// Of the sanitizers' runtimes; absent elsewhere. Declared here because not every compiler's headers do.
extern "C" {
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());            // NOLINT
__attribute__((weak)) void __sanitizer_set_report_fd(void* fd);                           // NOLINT
__attribute__((weak)) void __asan_set_error_report_callback(void (*callback)(const char*));  // NOLINT
__attribute__((weak)) const char* __asan_get_report_description();                        // NOLINT
__attribute__((weak)) void __ubsan_get_current_report_data(const char** kind, const char** message,  // NOLINT
                                                           const char** file, unsigned* line, unsigned* column,
                                                           char** address);
}
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
#if defined(DAXFS_TSAN)
constexpr bool kUnderTsan = true;  // its reports end the process
#else
constexpr bool kUnderTsan = false;
#endif

bool g_crashed = false;
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
  std::string text;
};

Stack stack_here() {
  std::array<void*, kFramesMax> frames;
  const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
  Stack stack;
  std::string harness;
  size_t told = 0;
  for (int i = 0; i < count; ++i) {
    // Behind a call; the innermost is not, but is in the same function all the same.
    for (const std::string& name : daxfs::functions_at(static_cast<char*>(frames[static_cast<size_t>(i)]) - 1)) {
      const bool library = name.starts_with("daxfs::") || name.find(" daxfs::") != std::string::npos;
      const bool ours = name.find("daxfuzz::") != std::string::npos && name.find("crash_trap") == std::string::npos;
      if (library && stack.innermost == "?") { stack.innermost = name; }
      if (ours && harness.empty()) { harness = name; }
      if (stack.innermost != "?" && told < kFramesTold) {
        stack.text += "  " + name + "\n";
        ++told;
      }
    }
  }
  if (stack.innermost == "?" && !harness.empty()) { stack.innermost = harness; }
  return stack;
}

// `tag` and `what` are parts of the dedup key.
daxfs::Finding finding_of(daxfs::Verdict verdict, const char* tag, const char* what) {
  std::signal(SIGALRM, SIG_DFL);
  alarm(kReportSeconds);
  const Stack stack = stack_here();
  alarm(0);
  daxfs::Finding finding;
  finding.verdict = verdict;
  finding.tag = tag;
  finding.title = what;
  finding.detail = stack.text;
  finding.function = kept(stack.innermost);
  finding.message = kept(what);
  return finding;
}

void on_asan_report(const char* text) {
  if (!daxfs::rt::run_active()) { return; }
  daxfs::Finding finding = finding_of(daxfs::Verdict::kCrash, "ASAN", __asan_get_report_description());
  finding.detail = text;
  daxfs::rt::end_run_soon(std::move(finding));
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

// Each second of processor time.
void on_tick(int /*signal*/) {
  static uint64_t events = 0;
  static unsigned ticks = 0;
  const uint64_t now = daxfs::rt::run_active() ? daxfs::rt::run_events() : 0;
  ticks = now != 0 && now == events ? ticks + 1 : 0;
  events = now;
  if (ticks == g_ticks_max) {
    ticks = 0;
    daxfs::report_finding(finding_of(daxfs::Verdict::kLivelock, "LOOP", "goes round without a scheduling point"));
  }
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
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
  g_ticks_max = seconds;
  if (&__asan_set_error_report_callback != nullptr) { __asan_set_error_report_callback(&on_asan_report); }
  if (!kUnderTsan && &__sanitizer_set_death_callback != nullptr) { __sanitizer_set_death_callback(&on_death); }
  void* warm[1];
  backtrace(warm, 1);  // loads the unwinder, which a handler must not
  give_signals_a_stack();
  for (const int signal : kFatal) { handle(signal, &on_signal, SA_NODEFER | SA_ONSTACK); }
  handle(SIGVTALRM, &on_tick, SA_RESTART | SA_NODEFER);
  const itimerval each_second{.it_interval = {1, 0}, .it_value = {1, 0}};
  setitimer(ITIMER_VIRTUAL, &each_second, nullptr);
}

void print_no_reports() {
  static const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (!kUnderTsan && &__sanitizer_set_report_fd != nullptr) {
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
