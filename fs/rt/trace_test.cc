// fs/rt/trace_test.cc - what a tracer hears, and that it changes nothing.
#include "fs/rt/trace.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fs/rt/mutex.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/testing.h"

namespace daxfs::rt {
namespace {

constexpr ObjectRef kObject = frame_ref(Pfn(7));

class Listener : public Tracer {
 public:
  Listener() { set_tracer(this); }
  ~Listener() override { set_tracer(nullptr); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void on_scope_begin(const char* name, const ObjectRef& /*subject*/) override { say(std::string(name) + "{"); }
  void on_scope_end() override { say("}"); }
  void on_read(const ObjectRef& object, uint64_t value) override {
    EXPECT_EQ(object, kObject);
    say("=" + std::to_string(value));
  }
  void on_write(const ObjectRef& /*object*/, uint64_t before, uint64_t now) override {
    say(std::to_string(before) + ">" + std::to_string(now));
  }
  void on_name(const ObjectRef& object, const char* name, const ObjectRef& /*owner*/) override {
    if (object.noun == Noun::kLock || object.noun == Noun::kSpinLock) { names.emplace_back(name); }
  }

  std::string text;
  std::vector<std::string> names;

 private:
  void say(const std::string& word) { text += std::to_string(current_task()) + word + " "; }
};

void two_tasks(bool* arguments_evaluated) {
  Mutex mutex(Rank::kLeaf, "the mutex");
  SpinLock spin(Rank::kNone, "the spinlock");
  const auto body = [&] {
    FS_TRACE_SCOPE("outer", kObject);
    const MutexLock lock(mutex);
    yield();
    FS_TRACE_READ(kObject, (*arguments_evaluated = true, 3));
    FS_TRACE_WRITE(kObject, 3, 4);
  };
  spawn("a", body);
  spawn("b", body);
  join_all_spawned();
}

#if defined(DAXFS_RT_FIBER)

TEST(Tracer, HearsScopesAndValuesInTheTaskThatActs) {
  Listener listener;
  bool evaluated = false;
  run_for_test([&] { two_tasks(&evaluated); });
  EXPECT_TRUE(evaluated);
  EXPECT_EQ(listener.text, "0outer{ 0=3 03>4 0} 1outer{ 1=3 13>4 1} ");
}

TEST(Tracer, HearsTheNamesOfLocks) {
  Listener listener;
  bool evaluated = false;
  run_for_test([&] { two_tasks(&evaluated); });
  EXPECT_EQ(listener.names, (std::vector<std::string>{"the mutex", "the spinlock"}));
}

TEST(Tracer, ChangesNeitherTraceHashNorNumberOfEvents) {
  bool evaluated = false;
  const RunOutcome plain = run_for_test([&] { two_tasks(&evaluated); });
  EXPECT_FALSE(evaluated) << "arguments are evaluated although nobody listens";
  Listener listener;
  const RunOutcome traced = run_for_test([&] { two_tasks(&evaluated); });
  EXPECT_EQ(plain.trace_hash, traced.trace_hash);
  EXPECT_EQ(plain.events, traced.events);
}

TEST(Tracer, HearsNothingOfScopesOutsideARun) {
  Listener listener;
  { FS_TRACE_SCOPE("outside", kObject); }
  FS_TRACE_READ(kObject, 1);
  EXPECT_EQ(listener.text, "");
}

TEST(HeldMode, IsHowTheCurrentTaskHoldsALock) {
  run_for_test([] {
    RwSem sem(Rank::kInode, "sem");
    SpinLock spin(Rank::kLeaf, "spin");
    EXPECT_EQ(held_mode(sem.object()), HeldMode::kNot);
    {
      const ReadLock shared(sem);
      EXPECT_EQ(held_mode(sem.object()), HeldMode::kShared);
      const SpinGuard guard(spin);
      EXPECT_EQ(held_mode(spin.object()), HeldMode::kSpin);
    }
    const WriteLock exclusive(sem);
    EXPECT_EQ(held_mode(sem.object()), HeldMode::kExclusive);
  });
}

TEST(Observer, IsToldWhatATaskBlocksOn) {
  class Blocks : public rt::Observer {
   public:
    void on_event(const Event& event) override {
      if (event.waits_for != nullptr) { names += std::string(event.waits_for) + " "; }
    }
    std::string names;
  };
  Blocks blocks;
  const RunOutcome outcome = run_lambda(
      [] {
        Mutex mutex(Rank::kLeaf, "the mutex");
        mutex.lock();
        const TaskId task = spawn("a", [&] {
          mutex.lock();
          mutex.unlock();
        });
        relax();  // lets it run into the lock
        mutex.unlock();
        join(task);
      },
      default_policy(), {.observe = true}, &blocks);
  EXPECT_FALSE(outcome.finding);
  EXPECT_EQ(blocks.names.substr(0, 10), "the mutex ");
}

#else

TEST(Tracer, IsNothingInTheNativeFlavour) {
  EXPECT_FALSE(tracing());
  bool evaluated = false;
  Listener listener;
  run_for_test([&] { two_tasks(&evaluated); });
  EXPECT_FALSE(evaluated);
  EXPECT_EQ(listener.text, "");
}

#endif

}  // namespace
}  // namespace daxfs::rt
