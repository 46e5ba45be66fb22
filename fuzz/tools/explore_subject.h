// fuzz/tools/explore_subject.h - runs of a program for the explorer: the executor, and what came of
// a run as a number.
//
// Locking: none; one subject runs at a time (the engine is one).
// Tested by: fuzz/tools/explore_subject_test.cc.
#pragma once

#include <cstdint>

#include "fuzz/exec/executor.h"
#include "fuzz/explore/explorer.h"

namespace daxfuzz::tools {

// What the operations of a run returned, whatever the order of records; of a finding, its key.
uint64_t outcome_of(const exec::Outcome& outcome);

class ExploreSubject final : public explore::Subject {
 public:
  // `program` must outlive it.
  explicit ExploreSubject(const prog::Program& program) : program_(program) {}

  void run(daxfs::rt::Policy& policy, explore::RunReport* report) override;

  // Of the latest run.
  const exec::Outcome& outcome() const { return outcome_; }

 private:
  // A run that spins is given up when it is so many times as long as any that came to its end: the
  // budget of a lone run lasts for seconds, and a bug that livelocks does it in run after run.
  static constexpr uint64_t kTimes = 20;
  static constexpr uint64_t kEventsMin = 100'000;

  const prog::Program& program_;
  exec::Executor executor_;
  exec::Outcome outcome_;
  uint64_t longest_ = 0;  // events of the longest run
};

}  // namespace daxfuzz::tools
