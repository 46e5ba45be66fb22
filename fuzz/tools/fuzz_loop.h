// fuzz/tools/fuzz_loop.h - the coverage-guided loop of `daxfuzz fuzz`: one worker, no input or output.
//
// A step takes a program (new, or a mutant of the corpus), runs it under a few schedules and keeps what showed
// something new: edges of fs/, pairs of sites that met on one object, pairs of operation and errno. A program found
// under a random schedule is kept with what that schedule did, so that mutation goes on from there.
//
// Locking: none; one loop a process.  Tested by: fuzz/tools/fuzz_loop_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fs/base/historical.h"
#include "fuzz/exec/executor.h"
#include "fuzz/exec/interleaving.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/mutate.h"
#include "fuzz/residual/orders.h"
#include "fuzz/sched/policies.h"
#include "fuzz/sched/pos.h"

namespace daxfuzz::tools {

enum class PolicyKind : uint8_t {
  kCoverage,  // random, pct, conflict and directed in turn
  kRandom,
  kPct,
  kPos,
  kConflict,  // switches where tasks met before
  kDirected,  // one or two preemptions more, at accesses that met (fuzz/sched/touches.h)
  kReplay,    // only what is in the program
};
// "coverage", "random", "pct", "pos", "conflict", "directed", "replay"; nullopt for anything else.
std::optional<PolicyKind> parse_policy(std::string_view name);

struct LoopOptions {
  uint64_t seed = 1;
  PolicyKind policy = PolicyKind::kCoverage;
  bool feedback = true;                    // false: no corpus, every program is new
  std::vector<std::string> mounts = {};    // mount options of new programs; empty: what generation has by itself
  residual::OrderTable* orders = nullptr;  // filled from one run in `orders_every`; null: no run is sampled
  uint64_t orders_every = 128;             // not 0 where `orders` is given
  std::function<void(const prog::Program&)> before_run = nullptr;  // for whoever must explain the death of this process
  daxfs::rt::SwitchLog* log = nullptr;                             // and what the run took until then
  std::function<void(unsigned)> before_replay = nullptr;  // for tests of the honesty gate (fuzz/exec/honesty.h)
};

struct LoopFinding {
  daxfs::Finding finding;
  std::string key;
  std::string title;
  prog::Program program;  // with the schedule that shows it
  uint64_t trace_hash = 0;
  bool replayed = false;  // the same finding and trace came again from the program alone, 20 times of 20
  unsigned replays = 0;   // how often it did
  bool crashed = false;   // nothing can be replayed in this process (fuzz/tools/crash_trap.h)
};

struct LoopStats {
  uint64_t runs = 0;
  uint64_t events = 0;
  uint64_t edges = 0;
  uint64_t interleavings = 0;
  uint64_t corpus = 0;
  uint64_t findings = 0;  // runs that ended with one
};

class FuzzLoop {
 public:
  explicit FuzzLoop(const LoopOptions& options);

  // One program, a few runs. A finding, if a run had one whose key is new to this loop.
  std::optional<LoopFinding> step();

  // Adds a program to the corpus if it shows something new. RETURNS: whether it did; findings are as in step().
  bool offer(const prog::Program& program, std::optional<LoopFinding>* finding);

  const LoopStats& stats() const { return stats_; }
  const std::vector<prog::Program>& corpus() const { return corpus_; }

 private:
  const prog::Program& pick();
  unsigned next_candidate();
  daxfs::rt::Policy* choose_policy(unsigned turn);
  bool watches() const;
  bool run_once(daxfs::rt::Policy* policy, sched::Touches* touches = nullptr);
  void add_preemption(const sched::Anchor& anchor);
  bool add_directed_preemptions(bool awaited);
  daxfs::rt::Policy* anchored_walk();
  bool merge_features();
  std::optional<LoopFinding> take_finding();
  void describe_from_cold(LoopFinding* found);
  void keep(bool random_schedule);

  // Mostly small files: what races do to a page they do to a megabyte, a hundred times slower.
  const prog::Options& shape();

  LoopOptions options_;
  std::vector<std::string_view> mounts_;  // views of options_.mounts
  prog::Options any_files_;
  prog::Options small_files_;
  prog::Random random_;
  exec::Executor executor_;
  exec::InterleavingCoverage coverage_;
  sched::RandomWalk walk_{1, 1};
  sched::AnchoredWalk anchored_walk_;
  std::vector<sched::Anchor> anchors_;
  sched::ConflictWalk conflict_walk_;
  sched::SharedObjects focus_;
  sched::Pct pct_{1, 1, 1};
  sched::Pos pos_{1};
  std::unique_ptr<residual::OrderRecorder> orders_;  // null: nothing is sampled
  sched::Touches touches_;                           // of the candidate under its own schedule
  std::vector<prog::Preemption> own_schedule_;       // the candidate's, while directed preemptions are tried
  prog::Program candidate_;
  bool revisited_ = false;  // the candidate is a program of the corpus, unchanged
  exec::Outcome outcome_;
  std::vector<prog::Program> corpus_;
  std::vector<std::string> known_keys_;
  LoopStats stats_;
  std::vector<uint8_t> edge_classes_;                   // classes seen, one bit each
  std::vector<uint8_t> pair_classes_;                   // as edge_classes_, by order
  std::vector<uint32_t> orders_seen_;                   // in how many runs, by order
  std::array<uint64_t, prog::kOpCount * 3> answers_{};  // bits: errno values seen by operation
};

}  // namespace daxfuzz::tools
