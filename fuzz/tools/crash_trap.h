// fuzz/tools/crash_trap.h - a crash inside a run ends the run with a finding, as a broken invariant does.
//
// Crashes are reports of sanitizers, fatal signals, and a loop that goes round without a scheduling point, which no
// budget of events ends. The finding has the verdict `crash` (the loop: `livelock`, of TSan: `data-race`) and names the
// innermost function of the library (of the loop: the outermost); the run has a schedule like any other, replays, and
// has a dedup key.
//
// A report of ASan or TSan ends the run at its next event, because they hold locks while they report: they must go on
// then, and ASan must leave signals to us. A report of UBSan ends it at once; with a runtime whose lock we do not find
// it is the only one: see crashed().
//
// A crash outside a run ends the process, as always; but a report of TSan there is printed, and seen in the exit code.
//
// Locking: one thread.
// Not covered: a crash inside malloc may leave its lock held; an alarm ends the process then. In builds with TSan its
// reports are all that is caught: it does not let a signal's handler leave the stack.
// Tested by: fuzz/tools/crash_trap_test.cc
#pragma once

namespace daxfuzz::tools {

// What they must be told for that (__asan_default_options, or ASAN_OPTIONS; the same for TSan).
#define DAXFUZZ_CRASH_TRAP_ASAN_OPTIONS                                 \
  "halt_on_error=0:suppress_equal_pcs=0:handle_segv=0:handle_sigbus=0:" \
  "handle_sigfpe=0:handle_sigill=0:handle_abort=0:handle_sigtrap=0"
#define DAXFUZZ_CRASH_TRAP_TSAN_OPTIONS "halt_on_error=0:suppress_equal_stacks=0:suppress_equal_addresses=0"

// From now on. Replaces handlers of fatal signals and of SIGVTALRM, and callbacks of the sanitizers. A child of fork()
// inherits all but the timer, so it calls this again. `seconds`: of processor time without a scheduling point; the
// longest step, the judging of a large image under ASan, takes a tenth of one.
void catch_crashes(unsigned seconds = 2);

// Sanitizers print nothing from now on; what they report is the detail of findings. Otherwise the first report of the
// process is printed, too; but TSan's never inside runs.
void print_no_reports();

// One was caught that makes further runs in this process worthless.
bool crashed();

}  // namespace daxfuzz::tools
