#include "fuzz/puzzles/puzzles.h"

#include "fs/rt/atomic.h"
#include "fs/rt/engine.h"
#include "fs/rt/irq.h"
#include "fs/rt/mutex.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/task.h"
#include "fs/rt/wait_queue.h"
#include "fuzz/sched/policies.h"

namespace daxfuzz::puzzles {
namespace {

namespace rt = daxfs::rt;

// Two increments that are a load and a store each: a preemption between them loses one.
void lost_update(bool broken) {
  rt::Atomic<int> counter(0);
  for (int t = 0; t < 2; ++t) {
    rt::spawn("incrementer", [&counter, broken] {
      rt::begin_op(0);
      if (broken) {
        counter.store(counter.load() + 1);
      } else {
        counter.fetch_add(1);
      }
      rt::end_op();
    });
  }
  rt::join_all_spawned();
  FS_WARN_ON(counter.load() != 2, "PZ1", "counter is %d after two increments", counter.load());
}

// Two mutexes in two orders.
void lock_inversion(bool broken) {
  rt::Mutex a(rt::Rank::kNone, "a");
  rt::Mutex b(rt::Rank::kNone, "b");
  for (int t = 0; t < 2; ++t) {
    rt::spawn("locker", [&a, &b, t, broken] {
      rt::begin_op(0);
      rt::Mutex& first = t == 1 && broken ? b : a;
      rt::Mutex& second = t == 1 && broken ? a : b;
      const rt::MutexLock outer(first);
      const rt::MutexLock inner(second);
    });
  }
  rt::join_all_spawned();
}

// The sleeper tests the flag before it queues itself: a wake-up in between is lost.
void lost_wakeup(bool broken) {
  rt::WaitQueue queue;
  rt::Atomic<int> ready(0);
  rt::spawn("sleeper", [&queue, &ready, broken] {
    rt::begin_op(0);
    if (broken) {
      if (ready.load() == 0) {
        rt::Waiter waiter;
        queue.prepare_to_wait(waiter);
        rt::schedule();
        queue.finish_wait(waiter);
      }
    } else {
      queue.wait_event([&ready] { return ready.load() != 0; });
    }
    rt::end_op();
  });
  rt::spawn("waker", [&queue, &ready] {
    rt::begin_op(0);
    ready.store(1);
    queue.wake_all();
    rt::end_op();
  });
  rt::join_all_spawned();
}

// A spinner that yields to nobody who could end it: three tasks must meet in one order (two preemptions).
void order_of_three(bool broken) {
  rt::Atomic<int> stage(0);
  for (int t = 0; t < 3; ++t) {
    rt::spawn("stage", [&stage, t] {
      rt::begin_op(0);
      int expected = 2 - t;  // the last spawned must be first
      if (stage.load() == expected) { stage.store(expected + 1); }
      rt::end_op();
    });
  }
  rt::join_all_spawned();
  FS_WARN_ON(broken && stage.load() == 3, "PZ2", "the stages met in the one order that must not be");
}

constexpr Puzzle kPuzzles[] = {
    {"lost-update", "a counter that lost an increment", daxfs::Verdict::kWarn, lost_update, 400},
    {"lock-inversion", "a deadlock of two mutexes", daxfs::Verdict::kDeadlock, lock_inversion, 400},
    {"lost-wakeup", "a sleeper that nobody wakes", daxfs::Verdict::kDeadlock, lost_wakeup, 400},
    {"order-of-three", "one order of three tasks out of many", daxfs::Verdict::kWarn, order_of_three, 2000},
};

struct Scene {
  const Puzzle* puzzle;
  bool broken;
};

}  // namespace

std::span<const Puzzle> puzzles() { return kPuzzles; }

uint32_t solve(const Puzzle& puzzle, bool broken, uint64_t seed) {
  Scene scene{&puzzle, broken};
  for (uint32_t turn = 1; turn <= puzzle.schedules_max; ++turn) {
    sched::RandomWalk walk(seed * 1000003 + turn, 1 + turn % 4);
    const auto outcome = rt::run(
        walk, {.events_max = 10000}, nullptr,
        [](void* arg) {
          const Scene& s = *static_cast<Scene*>(arg);
          s.puzzle->scene(s.broken);
        },
        &scene);
    if (outcome.finding && (!broken || outcome.finding->verdict == puzzle.verdict)) { return turn; }
  }
  return 0;
}

}  // namespace daxfuzz::puzzles
