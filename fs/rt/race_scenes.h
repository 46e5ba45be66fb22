// fs/rt/race_scenes.h - small programs with and without a data race, for both that look for them.
//
// They are the detector of shared.h (every flavour; shared_test.cc) and TSan (race_test.cc), and must agree.
//
// Tested by: fs/rt/shared_test.cc, fs/rt/race_test.cc.
#pragma once

#include <iterator>

#include "fs/rt/atomic.h"
#include "fs/rt/completion.h"
#include "fs/rt/irq.h"
#include "fs/rt/mutex.h"
#include "fs/rt/rcu.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/shared.h"
#include "fs/rt/spinlock.h"
#include "fs/rt/task.h"
#include "fs/rt/workqueue.h"

namespace daxfs::rt {

using SceneField = Shared<int, "scene field">;

// A read that no compiler leaves out.
inline void look(const SceneField& field) {
  int value = field;
  asm volatile("" : "+r"(value));
}

inline void two_tasks(void (*first)(SceneField&, Mutex&, Mutex&), void (*second)(SceneField&, Mutex&, Mutex&)) {
  auto* field = new SceneField(0);  // what TSan remembers of a stack would outlive the scene
  Mutex a(Rank::kNone, "a");
  Mutex b(Rank::kNone, "b");
  spawn("first", [=, &a, &b] { yield(), first(*field, a, b); });
  spawn("second", [=, &a, &b] { yield(), second(*field, a, b); });
  join_all_spawned();
  delete field;
}

struct RaceScene {
  const char* name;
  bool racy;
  void (*run)();
};

inline constexpr RaceScene kRaceScenes[] = {
    {"two writers without a lock", true,
     [] { two_tasks([](SceneField& f, Mutex&, Mutex&) { f = 1; }, [](SceneField& f, Mutex&, Mutex&) { f = 2; }); }},
    {"a writer with the lock, a reader without", true,
     [] {
       two_tasks(
           [](SceneField& f, Mutex& a, Mutex&) {
             const MutexLock lock(a);
             f = 1;
           },
           [](SceneField& f, Mutex&, Mutex&) { look(f); });
     }},
    {"two locks that should be one", true,
     [] {
       two_tasks(
           [](SceneField& f, Mutex& a, Mutex&) {
             const MutexLock lock(a);
             ++f;
           },
           [](SceneField& f, Mutex&, Mutex& b) {
             const MutexLock lock(b);
             ++f;
           });
     }},
    {"one lock", false,
     [] {
       const auto add = [](SceneField& f, Mutex& a, Mutex&) {
         const MutexLock lock(a);
         f += 1;
       };
       two_tasks(add, add);
     }},
    {"a peek, which is allowed to race", false,
     [] { two_tasks([](SceneField&, Mutex&, Mutex&) {}, [](SceneField& f, Mutex&, Mutex&) { f = f.peek() + 1; }); }},
    {"a writer under the shared mode of a lock", true,
     [] {
       RwSem sem;
       auto* field = new SceneField(0);
       for (int t = 0; t < 2; ++t) {
         spawn("reader", [field, &sem] {
           const ReadLock lock(sem);
           yield();
           *field = 1;
         });
       }
       join_all_spawned();
       delete field;
     }},
    {"readers shared, a writer exclusive", false,
     [] {
       RwSem sem;
       auto* field = new SceneField(0);
       for (int t = 0; t < 3; ++t) {
         spawn("reader", [field, &sem] {
           const ReadLock lock(sem);
           yield();
           look(*field);
         });
       }
       spawn("writer", [field, &sem] {
         const WriteLock lock(sem);
         *field = 1;
       });
       join_all_spawned();
       delete field;
     }},
    {"handed over by a completion", false,
     [] {
       Completion done;
       auto* field = new SceneField(0);
       spawn("maker", [field, &done] {
         *field = 1;
         done.complete();
       });
       spawn("user", [field, &done] {
         done.wait();
         ++*field;
       });
       join_all_spawned();
       delete field;
     }},
    {"published before it was written", true,
     [] {
       auto* flag = new Atomic<int>(0);
       auto* field = new SceneField(0);
       spawn("maker", [=] {
         flag->store(1);
         *field = 1;
       });
       spawn("user", [=] {
         if (flag->load() == 1) { look(*field); }
       });
       join_all_spawned();
       delete field;
       delete flag;
     }},
    {"an interrupt that does not wait for its raiser", true,
     [] {
       auto* field = new SceneField(0);
       spawn("raiser", [field] {
         raise_irq([](void* arg) { *static_cast<SceneField*>(arg) = 1; }, field);
         *field = 2;
       });
       join_all_spawned();
       run_pending_system_tasks();
       delete field;
     }},
    {"work, and its flush", false,
     [] {
       auto* field = new SceneField(0);
       Workqueue queue;
       Work work([](void* arg) { ++*static_cast<SceneField*>(arg); }, field);
       *field = 1;
       queue.queue(work);
       queue.flush();
       ++*field;
       run_pending_system_tasks();
       delete field;
     }},
    {"a grace period", false,
     [] {
       auto* field = new SceneField(0);
       spawn("reader", [field] {
         const RcuReadGuard guard;
         yield();
         look(*field);
       });
       spawn("updater", [field] {
         yield();
         yield();
         synchronize_rcu();
         *field = 1;
       });
       join_all_spawned();
       run_pending_system_tasks();
       delete field;
     }},
    {"a read section that nobody waits for", true,
     [] {
       auto* field = new SceneField(0);
       spawn("reader", [field] {
         const RcuReadGuard guard;
         yield();
         look(*field);
       });
       spawn("updater", [field] {
         yield();
         *field = 1;
       });
       join_all_spawned();
       delete field;
     }},
};

}  // namespace daxfs::rt
