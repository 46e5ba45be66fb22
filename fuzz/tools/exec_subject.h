// fuzz/tools/exec_subject.h - runs for the minimizer: the executor, and "the same finding" by its dedup key.
//
// Tested by: fuzz/tools/minimize_test.cc
#pragma once

#include <string>

#include "fuzz/exec/executor.h"
#include "fuzz/minimize/subject.h"

namespace daxfuzz::tools {

class ExecSubject final : public minimize::Subject {
 public:
  // `key`: the finding that counts. Empty: any, the first that shows. Runs with more events than `events_max` are
  // livelocks.
  explicit ExecSubject(std::string key, uint64_t events_max = exec::RunConfig().events_max)
      : key_(std::move(key)), events_max_(events_max) {}

  void run(const prog::Program& program, daxfs::rt::Policy* policy, daxfs::rt::Observer* observer,
           minimize::Trial* trial) override;

  // Of the latest run.
  const exec::Outcome& outcome() const { return outcome_; }

 private:
  std::string key_;
  uint64_t events_max_;
  exec::Executor executor_;
  exec::Outcome outcome_;
  prog::Program taken_;  // scratch
};

}  // namespace daxfuzz::tools
