// fuzz/minimize/near_search.h - looks for a finding in schedules near a recorded one.
//
// After an edit of the program, or of the library, the recorded anchors may miss the race though it is still there. The
// search tries, cheapest first: the anchors as they are; the same places (landmarks); fewer of them; places visited
// earlier or later; every event of the operation that an anchor was in; then random schedules with few switches at
// objects that tasks share. What shows the finding is adopted as the program's schedule.
//
// Deterministic: random choices are seeded by the program's bytes.
//
// Tested by: fuzz/minimize/near_search_test.cc
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "fuzz/minimize/landmarks.h"
#include "fuzz/minimize/subject.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::minimize {

struct Effort {
  bool sweep = true;    // each anchor over the events of its operation
  bool wide = false;    // each anchor over the events of all tasks
  unsigned walks = 60;  // random schedules
};

class NearSearch {
 public:
  // `stopped` is asked between runs; null: never.
  explicit NearSearch(Subject& subject, std::function<bool()> stopped = nullptr)
      : subject_(subject), stopped_(std::move(stopped)) {}

  // True if a schedule was found, which is then the program's: it was replayed. `marks` belong to program->schedule,
  // one for each preemption, or are empty. Otherwise the program is as it was.
  bool find(prog::Program* program, std::span<const Landmark> marks, const Effort& effort);

  // The program's own schedule.
  bool fires(const prog::Program& program);
  // Landmarks of the program's schedule, from a run of it.
  std::vector<Landmark> landmarks(const prog::Program& program);

  bool stopped() const { return stopped_ && stopped_(); }
  uint64_t runs() const { return runs_; }
  const Trial& last() const { return trial_; }

 private:
  bool run(const prog::Program& program, daxfs::rt::Policy* policy, daxfs::rt::Observer* observer = nullptr);
  bool try_marks(prog::Program* program, std::span<const Landmark> marks);
  bool try_fewer(prog::Program* program);
  bool try_visits(prog::Program* program);
  bool sweep(prog::Program* program, bool wide);
  bool try_at(prog::Program* program, size_t i, const EventLog::Entry& entry, daxfs::rt::TaskId next);
  bool walk(prog::Program* program, unsigned count);
  bool adopt(prog::Program* program);
  size_t look(const prog::Program& program, std::span<const Landmark> marks);

  Subject& subject_;
  std::function<bool()> stopped_;
  uint64_t runs_ = 0;
  Trial trial_;
  EventLog log_;
  LandmarkPolicy by_landmarks_;
  std::vector<Landmark> marks_;
  std::vector<Landmark> tried_;
  sched::ConflictWalk conflict_;
  sched::Pct pct_{1, 2, 1};
  sched::SharedObjects shared_;
  sched::SharedObjects focus_;
};

// Seed of everything random about a program.
uint64_t seed_of(const prog::Program& program);

}  // namespace daxfuzz::minimize
