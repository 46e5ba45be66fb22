// fuzz/explore/explorer.h - every interleaving of a program with at most so many preemptions.
//
// Level by level: runs with no preemption, with one, and so on; a run is a path of decisions and
// the default behind it (walker.h). The number of runs of a level is known when the level before
// has ended, so progress is "done of known". A level without a finding is a proof within that
// bound, for this program, its arguments and this build.
//
// Reduction: preemptions only before accesses to shared objects, and no state twice
// (fingerprint.h). Objects become shared as runs show them; when a pass ends and the set has grown,
// the exploration starts again with the larger set. Checked against plain enumeration: the same
// outcomes (explorer_test.cc). Source: iterative context bounding, Musuvathi, Qadeer, "Iterative
// context bounding for systematic testing of multithreaded programs", PLDI 2007.
//
// Locking: none; one exploration a thread.  Tested by: fuzz/explore/explorer_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fs/base/report.h"
#include "fs/rt/engine.h"
#include "fuzz/explore/walker.h"

namespace daxfuzz::explore {

// What one run was.
struct RunReport {
  uint64_t tasks_begin = 0;  // events of the run when its tasks were spawned
  uint64_t outcome = 0;      // hash of all that the run's operations returned
  std::optional<daxfs::Finding> finding;
  uint64_t trace_hash = 0;
  std::vector<daxfs::rt::TakenSwitch> taken;
};

// What is explored: runs from the same state under any policy.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual void run(daxfs::rt::Policy& policy, RunReport* report) = 0;
};

struct Options {
  unsigned preemptions = 2;
  bool reduce = true;  // false: plain enumeration
  bool stop_at_finding = true;
  bool collect_outcomes = false;  // Result::outcomes
};

struct Progress {
  unsigned level = 0;  // preemptions of the runs of now
  uint64_t done = 0;   // runs of this level
  uint64_t known = 0;  // of so many; grows while tasks block in new ways
  uint64_t runs = 0;   // in all
  unsigned pass = 1;
};

// Asked after each run; false stops.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual bool go_on(const Progress& progress) = 0;
};

struct Result {
  bool complete = false;  // all interleavings up to the bound; with stop_at_finding only if there was no finding
  bool unstable = false;  // a path could not be followed again: a harness defect
  Progress progress;
  uint64_t explored = 0;  // runs of the last pass: what "explored X of X" counts
  size_t shared_objects = 0;
  std::optional<RunReport> finding;  // the first: of the fewest preemptions
  std::set<uint64_t> outcomes;
};

class Explorer {
 public:
  Explorer(Subject& subject, const Options& options);

  // From where it stands until the end, a finding (stop_at_finding), or the watcher's no.
  Result run(Watcher* watcher = nullptr);

  // What it takes to go on in another process. `what` names program, switches and bound: a file of another is refused.
  bool save(const std::string& path, const std::string& what, std::string* error) const;
  bool load(const std::string& path, const std::string& what, std::string* error);

 private:
  struct Node {
    uint32_t parent;
    Step step;
  };
  static constexpr uint32_t kNoParent = UINT32_MAX;

  void warm_up();
  void start_pass();
  void sort_next_level();
  bool run_node(uint32_t node, Result* result);
  std::vector<Step> path_to(uint32_t node) const;

  Subject& subject_;
  const Options options_;
  Walker walker_;
  std::vector<Node> nodes_;
  std::vector<uint32_t> now_;   // nodes of this level that are not run yet
  std::vector<uint32_t> next_;  // of the next
  Progress progress_;
  uint64_t pass_runs_ = 0;
  uint64_t tasks_begin_ = 0;
  bool started_ = false;
  bool grown_ = false;
};

}  // namespace daxfuzz::explore
