// fuzz/explore/walker.h - the policy of one run of an exploration: follows a path, then notes what else could be done.
//
// A path is the list of decisions that differ from "go on until blocked, then the default choice". Behind its end the
// run goes on by default, and every place where another decision makes sense is an alternative to explore:
// - a preemption before a block (blocks.h) that touches a shared object, to any other task that can run (costs one of
//   the bound);
// - another task when the current one blocks, ends or spins (free).
// What was reached before in an equal state, by no more preemptions, is not noted again. Nor is a return to a task
// whose block has met nothing that conflicts with it since the task was preempted: preempted one block later, it gives
// the same.
//
// Not covered: preemptions of the set-up and of the tear-down (task root).
// Locking: none; engine side (fs/rt/engine.h). Memory is taken now and then.
// Tested by: fuzz/explore/explorer_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "fs/rt/engine.h"
#include "fs/rt/step.h"
#include "fuzz/explore/blocks.h"
#include "fuzz/explore/fingerprint.h"
#include "fuzz/explore/key_set.h"
#include "fuzz/explore/shared_objects.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::explore {

struct Step {
  uint64_t event = 0;
  uint32_t op = 0;
  int16_t task = 0;
  int16_t next = 0;
  uint32_t block = Blocks::kUnknown;  // what the preemption keeps from happening
  bool preemption = false;
};

class Walker final : public daxfs::rt::Policy, public daxfs::rt::StepWatcher {
 public:
  // `reduce` false: every point is a place to preempt, and equal states are explored again. For cross-checks.
  explicit Walker(bool reduce) : reduce_(reduce) {}

  // For the next run. `first_event`: the run's first event that may be decided about.
  void follow(std::span<const Step> path, bool may_preempt, uint64_t first_event);
  // The next run takes random decisions, and only shows which objects are shared.
  void wander(uint64_t seed, uint64_t first_event);

  // --- after the run
  void end_run();
  std::span<const Step> alternatives() const { return alternatives_; }
  bool followed() const { return at_ == path_.size() && !diverged_; }
  bool met_new_shared_object() const { return grew_; }

  SharedObjects& shared() { return shared_; }
  const SharedObjects& shared() const { return shared_; }
  KeySet& states() { return states_; }
  const KeySet& states() const { return states_; }
  Blocks& blocks() { return blocks_; }
  const Blocks& blocks() const { return blocks_; }

  // --- rt::Policy
  void begin_run() override;
  uint64_t budget(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId preempt(const daxfs::rt::SchedView& view) override;
  daxfs::rt::TaskId choose(const daxfs::rt::SchedView& view) override;

  // --- rt::StepWatcher
  void also(daxfs::rt::TaskId task, daxfs::rt::PointKind kind, daxfs::rt::ObjectId object) override;

 private:
  // A preempted task: the point that it is at, and whether somebody met the block behind it.
  struct Pending {
    daxfs::rt::ObjectId object = 0;
    daxfs::rt::PointKind kind = daxfs::rt::PointKind::kYield;
    bool set = false;
    bool done = false;  // the point's own deed came before it
    bool met = false;
    uint32_t block = Blocks::kUnknown;
  };
  // The block that the running task is in; whether preempting it was worth while is known at its end.
  struct Open {
    bool open = false;
    uint64_t fingerprint = 0;  // before it
    Step step;                 // all but where to
    std::vector<daxfs::rt::TaskId> others;
    std::vector<Touch> touches;
  };
  void happened(daxfs::rt::TaskId task, daxfs::rt::PointKind kind, daxfs::rt::ObjectId object);
  void open_block(const daxfs::rt::SchedView& view);
  void add_to_block(daxfs::rt::PointKind kind, daxfs::rt::ObjectId object);
  void close_block(bool whole);
  bool too_early(daxfs::rt::TaskId task) const;
  bool on_path(const daxfs::rt::SchedView& view, daxfs::rt::TaskId* next);
  bool fresh_state(uint64_t key);
  daxfs::rt::TaskId preempt_plainly(const daxfs::rt::SchedView& view);
  daxfs::rt::TaskId wander_on(const daxfs::rt::SchedView& view, uint32_t one_in);
  void note_choices(const daxfs::rt::SchedView& view, daxfs::rt::TaskId next);
  daxfs::rt::TaskId switch_to(daxfs::rt::TaskId task);

  const bool reduce_;
  SharedObjects shared_;
  KeySet states_;
  Fingerprint fingerprint_;
  Blocks blocks_;
  Open block_;
  std::vector<Step> path_;
  std::vector<Step> alternatives_;
  std::array<Pending, daxfs::rt::kMaxTasks> pending_{};
  sched::SmallRandom random_{1};
  uint64_t first_event_ = 0;
  size_t at_ = 0;
  uint32_t waiting_ = 0;  // of pending_, those that are set
  bool may_preempt_ = false;
  bool noting_ = false;
  bool wandering_ = false;
  bool begun_ = false;  // first_event_ was reached
  bool diverged_ = false;
  bool grew_ = false;
};

}  // namespace daxfuzz::explore
