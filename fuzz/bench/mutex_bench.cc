// fuzz/bench/mutex_bench.cc - whole schedules a second of one small mutex program: our engine, OS threads that hand a
// token on, and Relacy if its headers are installed.
//
// The program: two tasks, three times each: lock, add to a counter, unlock; the sum is checked. A schedule is
// everything from the start of the tasks to that check. All three choose the next task at random before each lock and
// after each unlock, and run in this process one after the other, in wall time (a hand-off is not a matter of processor
// time).
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "fs/rt/mutex.h"
#include "fs/rt/task.h"
#include "fs/rt/testing.h"
#include "fuzz/sched/policies.h"

#if defined(DAXFUZZ_WITH_RELACY)
double relacy_seconds(unsigned schedules);  // relacy_mutex.cc
#endif

namespace {

constexpr int kTasks = 2;
constexpr int kTimes = 3;
namespace rt = daxfs::rt;
using daxfuzz::sched::SmallRandom;

[[noreturn]] void wrong(const char* who) {
  std::fprintf(stderr, "mutex_bench: %s lost an update\n", who);
  std::exit(1);
}

template <typename F>
double seconds_of(F&& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// --- ours

void engine_program(void* /*arg*/) {
  rt::Mutex mutex;
  int counter = 0;
  for (int t = 0; t < kTasks; ++t) {
    rt::spawn("task", [&] {
      for (int i = 0; i < kTimes; ++i) {
        const rt::MutexLock lock(mutex);
        ++counter;
      }
    });
  }
  rt::join_all_spawned();
  if (counter != kTasks * kTimes) { wrong("the engine"); }
}

double engine_seconds(unsigned schedules) {
  daxfuzz::sched::RandomWalk walk(1, 1);
  rt::RunOutcome outcome;
  return seconds_of([&] {
    for (unsigned i = 0; i < schedules; ++i) {
      walk.reseed(i, 1);
      rt::run_into(walk, {}, nullptr, engine_program, nullptr, &outcome);
    }
  });
}

// --- OS threads: one has the token; at each point it may go to another

class Token {
 public:
  explicit Token(uint64_t seed) : random_(seed) {}

  // Waits for the token, at a thread's start.
  void begin(int me) {
    std::unique_lock guard(host_);
    changed_[me].wait(guard, [&] { return turn_ == me; });
  }
  void point(int me) {
    std::unique_lock guard(host_);
    pass(me, guard);
  }
  void lock(int me) {
    std::unique_lock guard(host_);
    pass(me, guard);
    while (owner_ != kNobody) {
      blocked_[me] = true;
      pass(me, guard);
    }
    owner_ = me;
  }
  void unlock(int me) {
    std::unique_lock guard(host_);
    owner_ = kNobody;
    for (bool& blocked : blocked_) { blocked = false; }
    pass(me, guard);
  }
  void end(int me) {
    const std::unique_lock guard(host_);
    ended_[me] = true;
    turn_ = draw();
    if (turn_ != kNobody) { changed_[turn_].notify_one(); }
  }
  void start() {
    const std::unique_lock guard(host_);
    turn_ = draw();
    changed_[turn_].notify_one();
  }

 private:
  static constexpr int kNobody = -1;
  int draw() {
    int ready[kTasks];
    uint32_t count = 0;
    for (int t = 0; t < kTasks; ++t) {
      if (!ended_[t] && !blocked_[t]) { ready[count++] = t; }
    }
    return count == 0 ? kNobody : ready[random_.below(count)];
  }
  void pass(int me, std::unique_lock<std::mutex>& guard) {
    turn_ = draw();
    if (turn_ == me) { return; }
    changed_[turn_].notify_one();
    changed_[me].wait(guard, [&] { return turn_ == me; });
  }

  SmallRandom random_;
  std::mutex host_;
  std::condition_variable changed_[kTasks];
  int turn_ = kNobody;
  int owner_ = kNobody;
  bool blocked_[kTasks] = {};
  bool ended_[kTasks] = {};
};

void thread_program(uint64_t seed) {
  Token token(seed);
  int counter = 0;
  std::thread threads[kTasks];
  for (int t = 0; t < kTasks; ++t) {
    threads[t] = std::thread([&, t] {
      token.begin(t);
      for (int i = 0; i < kTimes; ++i) {
        token.lock(t);
        ++counter;
        token.unlock(t);
      }
      token.end(t);
    });
  }
  token.start();
  for (std::thread& thread : threads) { thread.join(); }
  if (counter != kTasks * kTimes) { wrong("the threads"); }
}

double thread_seconds(unsigned schedules) {
  return seconds_of([&] {
    for (unsigned i = 0; i < schedules; ++i) { thread_program(i); }
  });
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::strcmp(argv[1], "--json") == 0;
  constexpr unsigned kEngine = 300'000;
  constexpr unsigned kThreads = 2'000;
  engine_seconds(1000);
  thread_seconds(50);
  // The best of five: a neighbour on the machine only ever makes a figure worse.
  double ours = 0;
  double threads = 0;
  double relacy = 0;
  for (int turn = 0; turn < 5; ++turn) {
    ours = std::max(ours, kEngine / engine_seconds(kEngine));
    threads = std::max(threads, kThreads / thread_seconds(kThreads));
#if defined(DAXFUZZ_WITH_RELACY)
    relacy = std::max(relacy, kEngine / relacy_seconds(kEngine));
#endif
  }
  if (json) {
    std::printf("{\"engine\": %.0f, \"threads\": %.0f, \"relacy\": %.0f}\n", ours, threads, relacy);
    return 0;
  }
  std::printf("schedules a second of the mutex program (2 tasks, 3 times: lock, add, unlock)\n");
  std::printf("  our engine         %10.0f\n", ours);
  std::printf("  OS threads, token  %10.0f   ours is %.1f times as fast\n", threads, ours / threads);
  if (relacy > 0) {
    std::printf("  Relacy             %10.0f   ours is %.2f times as fast\n", relacy, ours / relacy);
  } else {
    std::printf("  Relacy             not built in: its headers (Debian: relacy-dev) were not there\n");
  }
  return 0;
}
