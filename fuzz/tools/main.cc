// fuzz/tools/main.cc - the `daxfuzz` command.
#include <cstdio>
#include <exception>

#include "fuzz/tools/commands.h"
#include "fuzz/tools/crash_trap.h"
#include "fuzz/tools/exit_code.h"

namespace {

int run(int argc, char** argv) {
  CLI::App app(
      "Finds races in a DAX filesystem: generates concurrent system-call programs, owns every "
      "interleaving, judges.",
      "daxfuzz");
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  daxfuzz fuzz --seconds 60                                   fuzz for a minute\n"
      "  daxfuzz fuzz --bug break-layouts-lost-retry --stop-on-finding\n"
      "  daxfuzz run corpus/bugs/break-layouts-lost-retry/program.txt --bug break-layouts-lost-retry\n"
      "Exit codes: 0 no finding, 1 usage or input error, 2 harness error, 70 livelock, 71 out of memory,\n"
      "72 interrupted, 77 finding.");
  daxfuzz::tools::Action action;
  daxfuzz::tools::add_fuzz(app, &action);
  daxfuzz::tools::add_run(app, &action);
  daxfuzz::tools::add_show(app, &action);
  daxfuzz::tools::add_pack(app, &action);
  daxfuzz::tools::add_measure(app, &action);
  daxfuzz::tools::add_minimize(app, &action);
  daxfuzz::tools::add_regress(app, &action);
  daxfuzz::tools::add_explore(app, &action);
  daxfuzz::tools::add_bench_bugs(app, &action);
  daxfuzz::tools::add_bugs(app, &action);
  daxfuzz::tools::add_explain(app, &action);
  daxfuzz::tools::add_report(app, &action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? daxfuzz::tools::kExitOk : daxfuzz::tools::kExitUsage;
  }
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  daxfuzz::tools::catch_crashes();
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "daxfuzz: out of memory\n");
    return daxfuzz::tools::kExitOutOfMemory;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "daxfuzz: %s\n", error.what());
    return daxfuzz::tools::kExitHarness;
  }
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
// Fibers: a fake stack for each frame costs 2.7 us a switch. A run that a finding ended is abandoned, and what it owned
// leaks by design; leaks of runs that end well are the tests' business. A report is a finding like others, and the
// process goes on (fuzz/tools/crash_trap.h).
extern "C" const char* __asan_default_options() {
  return "detect_stack_use_after_return=0:detect_leaks=0:exitcode=77:" DAXFUZZ_CRASH_TRAP_ASAN_OPTIONS;
}
#endif
#if __has_feature(thread_sanitizer)
extern "C" const char* __tsan_default_options() { return "exitcode=77:" DAXFUZZ_CRASH_TRAP_TSAN_OPTIONS; }
#endif
#endif
