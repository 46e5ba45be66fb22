// fuzz/exec/executor.h - runs a program under a schedule on a pristine machine and judges what
// happened.
//
// A run: restore the image, mount, set-up operations one after another, tasks concurrently, then at
// rest: audit of live memory, processes exit, unmount, image checker, frames all free, results
// judged by the model. The first finding ends it.
//
// A run is a function of (program, schedule, historical switches): same trace hash on every run and
// in every flavour (fuzz/exec/determinism_test.cc). Not covered: crash states. Tested by:
// fuzz/exec/executor_test.cc, corpus/bugs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/base/report.h"
#include "fs/rt/engine.h"
#include "fuzz/exec/finding_key.h"
#include "fuzz/exec/machine.h"
#include "fuzz/oracle/history.h"
#include "fuzz/prog/program.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::exec {

struct RunConfig {
  daxfs::rt::Policy* policy = nullptr;                      // null: the program's own schedule
  daxfs::rt::Observer* observer = nullptr;                  // sees every point
  uint64_t events_max = 5'000'000;                          // a run of the largest program takes a tenth
  daxfs::rt::Races races = daxfs::rt::Races::kReportAtEnd;  // data races of the library's own fields (O14)
  bool capture_stacks = false;                              // backtraces in deadlock reports
  std::span<const std::byte> image;             // instead of the program's template; must outlive the executor
  std::vector<std::byte>* image_out = nullptr;  // filled with the image after the unmount
  // Told of the finding where it was noticed; then the process traps there (fs/rt/engine.h, RunLimits::at_finding).
  void (*at_finding)(void* context, const daxfs::Finding& finding, uint64_t trace_hash) = nullptr;
  void* at_finding_context = nullptr;
  daxfs::rt::SwitchLog* log = nullptr;  // what the run takes, as it takes it
  bool audit_each_op = false;           // audit at every operation's end when no other operation is running
};

struct Outcome {
  std::optional<daxfs::Finding> finding;
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  uint64_t switches = 0;
  uint64_t tasks_begin = 0;  // events of the run when the first task was spawned
  uint64_t tasks_end = 0;    // and when the last had ended; 0 if that was not reached
  size_t drift = 0;          // anchors of the program that no event met
  std::vector<daxfs::rt::TakenSwitch> taken;
  oracle::History history;  // borrows from the program and the executor
  std::string mount_error;  // the image could not be mounted: no finding, nothing ran
  daxfs::Errc mount_errc = daxfs::Errc::kOk;
};

class Executor {
 public:
  Executor();
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Overwrites `outcome`, reusing its memory. `program` must outlive the use of outcome->history.
  // An unknown template name is a mount error.
  void run(const prog::Program& program, const RunConfig& config, Outcome* outcome);

 private:
  struct Run;
  struct TaskState;

  Machine* machine_for(const prog::Program& program, const RunConfig& config, Outcome* outcome);
  static void root(void* run);

  struct NamedMachine {
    std::string name;
    const std::byte* image = nullptr;
    std::unique_ptr<Machine> machine;
  };
  std::vector<NamedMachine> machines_;
  std::vector<std::unique_ptr<TaskState>> tasks_;
  sched::PreemptionList own_schedule_;
  std::vector<sched::Anchor> anchors_;
  daxfs::rt::RunOutcome engine_outcome_;
  std::vector<daxfs::check::TreeExtent> extents_;  // kept for its memory
};

// The program's schedule as the engine counts.
void to_anchors(const prog::Program& program, std::vector<sched::Anchor>* anchors);
// A recorded run as a schedule: replaces program->schedule by what the run took (the first kPreemptionsMax).
// False if there were more.
bool adopt_schedule(std::span<const daxfs::rt::TakenSwitch> taken, prog::Program* program);

}  // namespace daxfuzz::exec
