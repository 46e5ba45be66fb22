// props/schedule_props.cc - schedules as values: recorded ones replay, anchors survive unrelated operations,
// exploration leaves out nothing, the minimizer keeps what it was given.
//
// Seen to fail on: the plants of docs/properties.md, made by hand and undone.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "fs/rt/atomic.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"
#include "fuzz/exec/executor.h"
#include "fuzz/explore/explorer.h"
#include "fuzz/minimize/cost.h"
#include "fuzz/minimize/minimizer.h"
#include "fuzz/minimize/test_scene.h"
#include "fuzz/prog/edit.h"
#include "fuzz/prog/generate.h"
#include "fuzz/prog/text.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::props {
namespace {

using prog::Op;
using prog::OpCode;
using prog::Program;

// --- a machine of three cells: `lseek F N W` loads, stores to or adds to cell N % 3, several times

constexpr uint8_t kPadding = 7;  // with this descriptor it only passes points of its own
constexpr size_t kCells = 3;

class CellMachine final : public explore::Subject {
 public:
  explicit CellMachine(const Program& program) : program_(program) {}

  void run(daxfs::rt::Policy& policy, explore::RunReport* report) override {
    log_.clear();
    const auto outcome = daxfs::rt::run_lambda([&] { play(); }, policy, {.events_max = 100000});
    report->tasks_begin = 0;
    report->finding = outcome.finding;
    report->trace_hash = outcome.trace_hash;
    report->taken = outcome.taken;
    report->outcome = 0xcbf29ce484222325;
    for (const auto& seen : seen_) {
      for (const int value : seen) { mix(&report->outcome, static_cast<uint64_t>(value)); }
      mix(&report->outcome, ~uint64_t{0});
    }
    for (const int value : final_) { mix(&report->outcome, static_cast<uint64_t>(value)); }
  }
  // Under the program's own schedule.
  void replay(explore::RunReport* report, size_t* drift) {
    sched::PreemptionList own;
    std::vector<sched::Anchor> anchors;
    exec::to_anchors(program_, &anchors);
    own.set(anchors);
    run(own, report);
    *drift = own.drift();
  }
  // Task and operation of each access, in order; padding left out.
  const std::vector<uint32_t>& log() const { return log_; }

 private:
  static void mix(uint64_t* hash, uint64_t value) { *hash = (*hash ^ value) * 0x100000001b3; }

  void play() {
    auto cells = std::make_unique<daxfs::rt::Atomic<int>[]>(kCells);
    seen_.assign(program_.tasks.size(), {});
    for (size_t t = 0; t < program_.tasks.size(); ++t) {
      daxfs::rt::spawn("task", [this, t, &cells] {
        const auto& ops = program_.tasks[t].ops;
        daxfs::rt::Atomic<int> own(0);
        uint32_t number = 0;
        for (size_t i = 0; i < ops.size(); ++i) {
          daxfs::rt::begin_op(static_cast<uint32_t>(i));
          if (ops[i].fd == kPadding) {
            for (int64_t n = 0; n < ops[i].offset; ++n) { own.fetch_add(1); }
          } else {
            act(ops[i], t, ++number, cells.get());
          }
          daxfs::rt::end_op();
        }
      });
    }
    daxfs::rt::join_all_spawned();
    for (size_t i = 0; i < kCells; ++i) { final_[i] = cells[i].load(); }
  }

  void act(const Op& op, size_t t, uint32_t number, daxfs::rt::Atomic<int>* cells) {
    auto& cell = cells[static_cast<size_t>(op.offset) % kCells];
    const int64_t times = 1 + op.offset / static_cast<int64_t>(kCells) % 2;
    for (int64_t n = 0; n < times; ++n) {
      switch (op.flags % 3) {
        case 0: seen_[t].push_back(cell.load()); break;
        case 1: cell.store(static_cast<int>(10 * t + number)); break;
        default: cell.store(cell.load() + 1);  // an update that can be lost
      }
      log_.push_back(static_cast<uint32_t>(t) << 16 | number);
    }
  }

  const Program& program_;
  std::vector<uint32_t> log_;
  std::vector<std::vector<int>> seen_;
  int final_[kCells] = {};
};

Op cell_op(uint8_t fd, int64_t number, uint32_t whence) {
  Op op;
  op.code = OpCode::kLseek;
  op.fd = fd;
  op.offset = number;
  op.flags = whence;
  return op;
}

Program cell_program(size_t tasks_max, int ops_max) {
  Program program = Program::minimal();
  const auto tasks = *rc::gen::inRange<size_t>(2, tasks_max + 1);
  while (program.tasks.size() < tasks) { RC_ASSERT(prog::add_task(program, 0)); }
  for (prog::Task& task : program.tasks) {
    const int count = 1 + *rc::gen::inRange(0, ops_max);
    for (int i = 0; i < count; ++i) {
      task.ops.push_back(cell_op(0, *rc::gen::inRange<int64_t>(0, 6), *rc::gen::inRange<uint32_t>(0, 3)));
    }
  }
  RC_ASSERT(prog::validate(program) == std::string());
  return program;
}

void recorded_schedules_replay_with_unrelated_points() {
  Program program = cell_program(4, 6);
  sched::RandomWalk walk(*rc::gen::arbitrary<uint64_t>(), *rc::gen::inRange<uint32_t>(1, 9));
  explore::RunReport recorded;
  CellMachine first(program);
  first.run(walk, &recorded);
  RC_ASSERT(exec::adopt_schedule(recorded.taken, &program));

  explore::RunReport again;
  size_t drift = 0;
  CellMachine second(program);
  second.replay(&again, &drift);
  RC_ASSERT(drift == 0u);
  RC_ASSERT(again.trace_hash == recorded.trace_hash);
  RC_ASSERT(second.log() == first.log());

  // Operations that touch nothing of what the others touch, before any of them.
  const int paddings = *rc::gen::inRange(1, 6);
  Program padded = program;
  for (int i = 0; i < paddings; ++i) {
    prog::Place place;
    place.list = *rc::gen::inRange<uint8_t>(0, static_cast<uint8_t>(padded.tasks.size()));
    place.op = *rc::gen::inRange<uint8_t>(0, static_cast<uint8_t>(padded.tasks[place.list].ops.size()));
    RC_ASSERT(prog::insert_op(padded, place, cell_op(kPadding, *rc::gen::inRange<int64_t>(0, 9), 0)));
  }
  CellMachine third(padded);
  third.replay(&again, &drift);
  if (drift != 0 || third.log() != first.log()) { RC_FAIL("other preemptions:\n" + prog::print(padded)); }
  RC_ASSERT(again.outcome == recorded.outcome);
}

// The same of whole runs of the filesystem.
void runs_of_the_filesystem_replay() {
  static exec::Executor& executor = *new exec::Executor;
  prog::Random random(*rc::gen::arbitrary<uint64_t>());
  Program program = prog::generate(random);
  program.schedule.clear();
  sched::RandomWalk walk(random.next(), 8);
  exec::RunConfig config;
  config.policy = &walk;
  exec::Outcome first;
  executor.run(program, config, &first);
  RC_ASSERT(first.events > 0u);
  Program own = program;
  RC_PRE(exec::adopt_schedule(first.taken, &own));
  exec::Outcome second;
  executor.run(own, {}, &second);
  if (second.trace_hash != first.trace_hash || second.drift != 0 || second.events != first.events) {
    RC_FAIL("its recorded schedule gives another run:\n" + prog::print(own) + "replay: daxfuzz run FILE");
  }
}

void exploration_leaves_out_nothing() {
  const Program program = cell_program(3, 4);
  CellMachine machine(program);
  explore::Options options;
  options.preemptions = *rc::gen::inRange<unsigned>(0, 3);
  options.stop_at_finding = false;
  options.collect_outcomes = true;
  const explore::Result reduced = explore::Explorer(machine, options).run();
  options.reduce = false;
  const explore::Result plain = explore::Explorer(machine, options).run();
  RC_ASSERT(reduced.complete);
  RC_ASSERT(plain.complete);
  RC_ASSERT(reduced.explored <= plain.explored);
  if (reduced.outcomes != plain.outcomes) {
    RC_FAIL(std::to_string(reduced.outcomes.size()) + " outcomes of " + std::to_string(plain.outcomes.size()) + ", " +
            std::to_string(options.preemptions) + " preemptions:\n" + prog::print(program));
  }
}

// --- the minimizer's own scene: a window that another task looks into

void the_minimizer_keeps_the_finding() {
  Program program = Program::minimal();
  const auto op = [](OpCode code, int64_t number) {
    Op made;
    made.code = code;
    (code == OpCode::kFtruncate ? made.length : made.offset) = number;
    return made;
  };
  if (*rc::gen::arbitrary<bool>()) { program.processes[0].init.push_back(op(OpCode::kFsync, 0)); }
  const auto tasks = *rc::gen::inRange<size_t>(2, 5);
  while (program.tasks.size() < tasks) { RC_ASSERT(prog::add_task(program, 0)); }
  for (size_t t = 0; t < tasks; ++t) {
    const int count = *rc::gen::inRange(0, 4);
    for (int i = 0; i < count; ++i) {
      program.tasks[t].ops.push_back(op(OpCode::kLseek, *rc::gen::inRange<int64_t>(0, 12)));
    }
    if (t == 0) { program.tasks[t].ops.push_back(op(OpCode::kFtruncate, *rc::gen::inRange<int64_t>(0, 20))); }
    if (t == 1) { program.tasks[t].ops.push_back(op(OpCode::kFdatasync, 0)); }
  }
  minimize::TestScene scene;
  minimize::Trial trial;
  for (uint64_t seed = 1; seed <= 60 && !trial.fires; ++seed) {
    sched::RandomWalk walk(seed, 3);
    scene.run(program, &walk, nullptr, &trial);
  }
  RC_PRE(trial.fires);
  program.schedule = trial.taken;
  minimize::Options options;
  options.walks = 20;
  options.walks_last = 40;
  const minimize::Result result = minimize::minimize(scene, program, options);
  RC_ASSERT(result.end == minimize::End::kMinimal);
  RC_ASSERT(prog::validate(result.program) == std::string());
  scene.run(result.program, nullptr, nullptr, &trial);
  if (!trial.fires || trial.trace_hash != result.trace_hash) {
    RC_FAIL("the result does not show it:\n" + prog::print(result.program) + "minimized from\n" + prog::print(program));
  }
  RC_ASSERT(!(minimize::cost_of(program) < minimize::cost_of(result.program)));
}

}  // namespace
}  // namespace daxfuzz::props

int main() {
  using namespace daxfuzz::props;  // NOLINT: the main file
  bool ok = rc::check("a recorded schedule takes the same preemptions again, also among unrelated operations",
                      recorded_schedules_replay_with_unrelated_points);
  ok &= rc::check("a run of the filesystem replays from what it took", runs_of_the_filesystem_replay);
  ok &= rc::check("exploration sees the outcomes of plain enumeration", exploration_leaves_out_nothing);
  ok &= rc::check("the minimizer keeps the finding and makes nothing larger", the_minimizer_keeps_the_finding);
  return ok ? 0 : 1;
}
