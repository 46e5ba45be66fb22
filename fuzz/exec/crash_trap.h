// fuzz/exec/crash_trap.h - a crash inside a run ends the run with a finding, as a broken invariant does.
//
// Crashes are reports of ASan and UBSan, fatal signals, and a loop that goes round without a scheduling point, which no
// budget of events ends. The finding has the verdict `crash` (the loop: `livelock`) and names the innermost function
// of the library; the run has a schedule like any other, replays, and has a dedup key.
//
// A report of ASan ends the run at its next event, because ASan holds locks while it reports: that wants
// halt_on_error=0 and suppress_equal_pcs=0 of the program, and signals left to us (handle_segv=0 and its like). A
// report of UBSan ends it at once; with a runtime whose lock we do not find it is the only one: see crashed().
//
// A crash outside a run ends the process, as always. So do TSan's reports, anywhere: it keeps its locks.
//
// Locking: one thread.
// Not covered: a crash inside malloc may leave its lock held; an alarm ends the process then.
// Tested by: fuzz/exec/crash_trap_test.cc
#pragma once

namespace daxfuzz::exec {

// From now on. Replaces handlers of fatal signals and of SIGVTALRM, and callbacks of the sanitizers. A child of fork()
// inherits all but the timer, so it calls this again. `seconds`: of processor time without a scheduling point; the
// longest step, the judging of a large image under ASan, takes a tenth of one.
void catch_crashes(unsigned seconds = 3);

// Sanitizers print nothing from now on; what they report is the detail of findings. Otherwise the first report of the
// process is printed, too; TSan's, which end it, are in any case.
void print_no_reports();

// One was caught that makes further runs in this process worthless.
bool crashed();

}  // namespace daxfuzz::exec
