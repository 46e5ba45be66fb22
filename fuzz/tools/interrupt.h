// fuzz/tools/interrupt.h - Ctrl-C ends a long command at its next look, with what it has so far.
//
// Locking: none needed; set by a signal handler.
// Tested by: fuzz/tools/daxfuzz_test.py
#pragma once

namespace daxfuzz::tools {

// SIGINT and SIGTERM no longer end the process; interrupted() tells of them.
void catch_interrupts();
bool interrupted();
// As if the user had.
void interrupt();

}  // namespace daxfuzz::tools
