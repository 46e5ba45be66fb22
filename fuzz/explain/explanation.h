// fuzz/explain/explanation.h - how a run came to its finding, as a kernel developer would draw it: a value.
//
// One column a task, rows in the order of time, one of them acting in each row: nested calls by depth, below them what
// was read and written. Only what matters to the finding is in here; see slice.h for what that is.
//
// Tested by: fuzz/explain/explain_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/prog/program.h"

namespace daxfuzz::explain {

struct Column {
  int task = 0;      // as the engine counts
  std::string name;  // "T0", "S1 irq"
};

struct Row {
  enum class Kind : uint8_t {
    kOp,       // a system call begins
    kCall,     // a function of the library
    kAccess,   // a value was read or written
    kLock,     // a lock was taken or given back
    kBlocks,   // the task cannot go on
    kSwitch,   // preempted: an arrow from `column` to `to`
    kFinding,  // where it was noticed
  };
  Kind kind = Kind::kCall;
  int column = 0;  // index into columns; -1: the whole width (noticed at rest)
  int to = 0;      // kSwitch: index into columns: who acts next
  int depth = 0;
  std::string text;   // "dax_layout_busy_page()", "page 0 is busy"
  std::string state;  // "page 0: refs 2", "page 0: refs 1 -> 2"; "" where nothing was looked at
  unsigned repeat = 1;
  // Where it is: operation, and the event in it that comes next or was just passed.
  uint32_t op = 0;
  uint64_t event = 0;
};

// The run without one of its preemptions, or without one bug switch.
struct Counterfactual {
  std::string change;  // "T1 op 1 event 39 -> S1"
  bool passes = false;
  bool same = false;    // fails all the same
  std::string verdict;  // title of what happens instead, "" when it passes
};

struct Explanation {
  bool finding = false;
  std::string title;  // as in reports
  std::string key;
  std::string tag;                 // of the invariant
  std::string trace;               // trace hash, 16 hex digits
  std::vector<std::string> facts;  // "f0 is inode 13", "at the start: page 0 mapped, refs 1"
  std::vector<Column> columns;
  std::vector<Row> rows;
  std::vector<Counterfactual> counterfactuals;
  std::vector<std::string> bugs;  // switches that were on
  size_t rows_left_out = 0;       // that would have mattered, but made the diagram too long
};

}  // namespace daxfuzz::explain
