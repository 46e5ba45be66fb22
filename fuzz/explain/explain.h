// fuzz/explain/explain.h - runs a program with recording on and draws how it came to its finding.
//
// Tested by: fuzz/explain/explain_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fuzz/exec/executor.h"
#include "fuzz/explain/explanation.h"
#include "fuzz/explain/recorder.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::explain {

struct Options {
  exec::RunConfig run;          // policy null: the program's own schedule; observer is not used
  bool counterfactuals = true;  // one more run for each preemption and each bug switch
  size_t rows_max = 40;         // longer diagrams lose their least important rows
};

// RETURNS: false with *error when the program could not run; a program that runs clean gives an explanation without
// finding: everything that its tasks share. Bug switches are those of the process (set_historical).
bool explain(exec::Executor& executor, const prog::Program& program, const Options& options, Explanation* out,
             std::string* error);

// Runs it once more with recording on. Of a loop without end only a few rounds: all of them would only fill memory.
// REQUIRES: *outcome is of a run with the same config; it becomes that of the recorded run.
void record_run(exec::Executor& executor, const prog::Program& program, exec::RunConfig config, exec::Outcome* outcome,
                Recorder* recorder);

// What the program calls the files that it opened, by inode.
std::map<uint64_t, std::string> file_names(const prog::Program& program, const exec::Outcome& outcome);

// Columns "T0 | T1 | S1 irq | state", at most `width` bytes a line (72 to 200).
std::string to_text(const Explanation& explanation, size_t width = 100);
// One <svg> element that needs nothing around it.
std::string to_svg(const Explanation& explanation);

}  // namespace daxfuzz::explain
