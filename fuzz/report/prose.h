// fuzz/report/prose.h - sentences and blocks that several formats share.
//
// Tested by: fuzz/report/formats_test.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/report/report.h"

namespace daxfuzz::report {

// What comes together in the finding: system calls, interrupts, preemptions.
std::string what_it_takes(const Report& report);
// Which historical bugs were switched on, or which are known by the same key. "" if there is
// nothing to say.
std::string about_bugs(const Report& report);
// "WARNING in dax::f(), FILE:LINE", or who judged what the library did not notice itself.
std::string noticed(const Report& report);
// That this is a model and no kernel.
std::string about_model(const Report& report);

// What happens without one preemption or switch: change, outcome, and the moment of a preemption.
struct Without {
  std::string change;   // "T1 op 1 event 39 -> S1", "bug break-layouts-lost-retry"
  std::string moment;   // "(1) after: page 0 is busy (refs 2)", ""
  std::string outcome;  // "passes", "fails all the same", or another title
  bool passes = false;
};
std::vector<Without> withouts(const Report& report);

// The diagram alone, in lines of at most `width`; its columns are processors.
std::string diagram(const Report& report, size_t width);
// "daxfuzz run FILE --bug ID" and the other commands for this finding, with what each is for.
struct Command {
  std::string text, purpose;
};
std::vector<Command> commands(const Report& report, const std::string& file);
// Name and value, one a line of a table.
std::vector<std::pair<std::string, std::string>> environment_lines(const Report& report);

// markup::wrap as one text; each line ends in "\n".
std::string wrap(std::string_view text, size_t width, std::string_view first = "", std::string_view hang = "");

}  // namespace daxfuzz::report
