// fuzz/minimize/test_scene.h - a tiny machine for tests: programs whose race moves when operations go away.
//
// lseek F N         passes N points (padding)
// fsync F           in the set-up: warms up, which makes every later ftruncate five points shorter
// ftruncate F N     passes N points (5 less if warm), then a window of one point in which it holds what it should not
// fdatasync F       looks into the window: that is the finding
//
// Tested by: fuzz/minimize/minimizer_test.cc
#pragma once

#include "fs/base/raw_lock.h"
#include "fs/rt/atomic.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"
#include "fuzz/minimize/landmarks.h"
#include "fuzz/minimize/subject.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::minimize {

class TestScene final : public Subject {
 public:
  void run(const prog::Program& program, daxfs::rt::Policy* policy, daxfs::rt::Observer* observer,
           Trial* trial) override {
    ++runs;
    sched::PreemptionList own;
    std::vector<sched::Anchor> anchors;
    for (const prog::Preemption& p : program.schedule) { anchors.push_back({p.task, p.op, p.event, p.next}); }
    own.set(anchors);
    *trial = {};
    window_ = fired_ = warm_ = false;
    const auto outcome = daxfs::rt::run_lambda([&] { root(program, trial); }, policy != nullptr ? *policy : own,
                                               {.observe = observer != nullptr}, observer);
    trial->fires = fired_;
    trial->trace_hash = outcome.trace_hash;
    trial->drift = policy == nullptr ? own.drift() : 0;
    for (const auto& s : outcome.taken) {
      prog::Preemption p;
      p.task = static_cast<prog::TaskId>(s.from);
      p.op = static_cast<uint16_t>(s.op);
      p.event = static_cast<uint32_t>(s.event_in_op);
      p.next = static_cast<prog::TaskId>(s.to);
      trial->taken.push_back(p);
    }
  }

  uint64_t runs = 0;

 private:
  void root(const prog::Program& program, Trial* trial) {
    daxfs::rt::Atomic<int> shared(0);
    for (const auto& process : program.processes) {
      for (const prog::Op& op : process.init) { step(op, shared); }
    }
    trial->tasks_begin = daxfs::rt::run_events();
    for (const prog::Task& task : program.tasks) {
      daxfs::rt::spawn("task", [&] {
        for (size_t i = 0; i < task.ops.size(); ++i) {
          daxfs::rt::begin_op(static_cast<uint32_t>(i));
          step(task.ops[i], shared);
          daxfs::rt::end_op();
        }
      });
    }
    daxfs::rt::join_all_spawned();
    trial->tasks_end = daxfs::rt::run_events();
  }

  void step(const prog::Op& op, daxfs::rt::Atomic<int>& shared) {
    switch (op.code) {
      case prog::OpCode::kLseek: pass(op.offset); break;
      case prog::OpCode::kFsync: note(&warm_, true); break;
      case prog::OpCode::kFtruncate:
        pass(op.length - (seen(warm_) ? 5 : 0));
        note(&window_, true);
        shared.fetch_add(1);
        note(&window_, false);
        break;
      case prog::OpCode::kFdatasync:
        shared.fetch_add(1);
        if (seen(window_)) { note(&fired_, true); }
        break;
      default: break;
    }
  }

  static void pass(int64_t points) {
    daxfs::rt::Atomic<int> own(0);
    for (int64_t i = 0; i < points; ++i) { own.fetch_add(1); }
  }

  // Under a lock for TSan's sake alone: the race between the tasks is what the scene is for.
  void note(bool* flag, bool value) {
    const daxfs::RawGuard guard(notes_);
    *flag = value;
  }
  bool seen(const bool& flag) {
    const daxfs::RawGuard guard(notes_);
    return flag;
  }

  daxfs::RawLock notes_;
  bool window_ = false;
  bool fired_ = false;
  bool warm_ = false;
};

}  // namespace daxfuzz::minimize
