// fuzz/minimize/subject.h - what a minimizer minimises against: a predicate on runs, given by the caller.
//
// Nothing in this folder knows how a program runs. A caller says whether a run showed what it looks for (usually: a
// finding with one dedup key) and what its schedule did.
//
// Tested by: fuzz/minimize/minimizer_test.cc (a scene on the engine), fuzz/tools/minimize_test.cc (the real one).
#pragma once

#include <cstdint>
#include <vector>

#include "fs/rt/engine.h"
#include "fuzz/prog/program.h"

namespace daxfuzz::minimize {

struct Trial {
  bool fires = false;
  uint64_t trace_hash = 0;
  uint64_t tasks_begin = 0;             // events of the run when the first task was spawned
  uint64_t tasks_end = 0;               // and when the last had ended; 0 if that was not reached
  size_t drift = 0;                     // anchors of the program that no event met
  bool complete = true;                 // `taken` is all that the run did
  std::vector<prog::Preemption> taken;  // replays the run as the schedule of its program
};

class Subject {
 public:
  virtual ~Subject() = default;
  // One run, a function of program and policy. Null policy: the program's own schedule. `observer` may be null.
  virtual void run(const prog::Program& program, daxfs::rt::Policy* policy, daxfs::rt::Observer* observer,
                   Trial* trial) = 0;
};

}  // namespace daxfuzz::minimize
