// fuzz/explore/state_check.h - is a program's state a function of the accesses that its points tell
// of?
//
// Exploration rests on that (fingerprint.h). This policy walks at random and keeps for each
// fingerprint what each task did next, who could run, and what came of the run. If another order of
// commuting accesses goes on differently, then something was read or written that no point tells
// of, and mismatch() says who stumbled over it.
//
// Not covered: what never shows in a later point or in the outcome.
// Locking: none; engine side (fs/rt/engine.h). Takes memory at each event: for tests.
// Tested by: fuzz/explore/explorer_test.cc, fuzz/tools/explore_subject_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fs/rt/engine.h"
#include "fs/rt/step.h"
#include "fuzz/explore/fingerprint.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::explore {

class StateCheck final : public daxfs::rt::Policy, public daxfs::rt::StepWatcher {
 public:
  // `first_event`: the run's first event that may be decided about.
  void next_walk(uint64_t seed, uint64_t first_event);
  // After the run, unless it ended with a finding.
  void end_run(uint64_t outcome);

  // Empty while all is well; of the first.
  const std::string& mismatch() const { return mismatch_; }
  // How often a state was met that an earlier event had led to.
  uint64_t met_again() const { return met_again_; }
  size_t states() const { return next_.size(); }

  // --- rt::Policy
  void begin_run() override;
  uint64_t budget(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override;

  // --- rt::StepWatcher
  void also(daxfs::rt::TaskId task, daxfs::rt::PointKind kind, daxfs::rt::ObjectId object) override;

 private:
  // A point that a task is at.
  struct At {
    daxfs::rt::PointKind kind = daxfs::rt::PointKind::kYield;
    daxfs::rt::ObjectId object = 0;
    uint32_t op = 0;
    uint64_t event = 0;
    daxfs::Site site;
    bool same(const At& other) const {
      return kind == other.kind && object == other.object && op == other.op && event == other.event;
    }
  };
  static std::string text(const At& at);
  void look(const daxfs::rt::SchedView& view);
  void look_at_runnable(const daxfs::rt::SchedView& view);
  daxfs::rt::TaskId switch_to(daxfs::rt::TaskId task);
  void complain(std::string text);

  Fingerprint fingerprint_;
  std::map<std::pair<uint64_t, daxfs::rt::TaskId>, At> next_;    // of a task in a state
  std::map<uint64_t, std::vector<daxfs::rt::TaskId>> runnable_;  // by state: who can run
  std::map<uint64_t, uint64_t> outcomes_;                        // by state at the end
  std::array<At, daxfs::rt::kMaxTasks> pending_{};
  std::array<bool, daxfs::rt::kMaxTasks> is_pending_{};
  sched::SmallRandom random_{1};
  std::string mismatch_;
  uint64_t met_again_ = 0;
  uint64_t first_event_ = 0;
  uint32_t one_in_ = 8;
};

}  // namespace daxfuzz::explore
