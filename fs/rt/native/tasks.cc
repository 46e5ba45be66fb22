// fs/rt/native/tasks.cc - tasks as OS threads; runs as plain calls.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <utility>

#include "fs/rt/clock.h"
#include "fs/rt/engine.h"
#include "fs/rt/irq.h"
#include "fs/rt/native/native_state.h"

namespace daxfs::rt {
namespace internal {
namespace {

struct ThreadSlot {
  bool used = false;
  std::thread thread;
  const char* name = "";
};

std::mutex g_slots_mutex;
std::array<ThreadSlot, kMaxProgramTasks> g_slots;

// Threads that execute interrupts and softirqs: one of each kind, started when first needed.
class SystemThreads {
 public:
  ~SystemThreads() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (Lane& lane : lanes_) {
      if (lane.thread.joinable()) { lane.thread.join(); }
    }
  }

  void post(Context context, std::function<void()> function) {
    Lane& lane = lanes_[context == Context::kIrq ? 0 : 1];
    {
      const std::lock_guard lock(mutex_);
      ++busy_;
      lane.queue.push_back(std::move(function));
      if (!lane.thread.joinable()) {
        lane.thread = std::thread([this, &lane, context] { serve(&lane, context); });
      }
    }
    changed_.notify_all();
  }
  void started() {
    const std::lock_guard lock(mutex_);
    ++busy_;
  }
  void finished() {
    {
      const std::lock_guard lock(mutex_);
      --busy_;
    }
    changed_.notify_all();
  }
  void drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  struct Lane {
    std::deque<std::function<void()>> queue;
    std::thread thread;
  };

  void serve(Lane* lane, Context context) {
    NativeTask& task = native_current();
    task.context = context;
    task.id = context == Context::kIrq ? kFirstIrqTask : kRcuTask;
    task.name = context_name(context);
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stop_ || !lane->queue.empty(); });
      if (lane->queue.empty()) { return; }
      std::function<void()> function = std::move(lane->queue.front());
      lane->queue.pop_front();
      lock.unlock();
      function();
      lock.lock();
      --busy_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Lane lanes_[2];
  unsigned busy_ = 0;
  bool stop_ = false;
};

SystemThreads& system_threads() {
  static SystemThreads threads;
  return threads;
}

std::atomic<bool> g_run_active{false};

}  // namespace

NativeTask& native_current() {
  thread_local NativeTask task;
  return task;
}

void post_system(Context context, std::function<void()> function) {
  system_threads().post(context, std::move(function));
}
void system_work_started() { system_threads().started(); }
void system_work_finished() { system_threads().finished(); }
void drain_system() { system_threads().drain(); }

TaskId spawn_callable(const char* name, const TaskCallable& callable, void* from, Site site) {
  struct Storage {
    alignas(std::max_align_t) unsigned char bytes[kTaskCallableSize];
  };
  auto storage = std::make_unique<Storage>();
  callable.construct(storage->bytes, from);
  const std::lock_guard lock(g_slots_mutex);
  for (TaskId id = 0; id < kMaxProgramTasks; ++id) {
    ThreadSlot& slot = g_slots[static_cast<size_t>(id)];
    if (slot.used) { continue; }
    slot.used = true;
    slot.name = name;
    slot.thread = std::thread([id, name, invoke = callable.invoke, owned = std::move(storage)] {
      native_current().id = id;
      native_current().name = name;
      invoke(owned->bytes);
    });
    return id;
  }
  daxfs::internal::report_finding(Verdict::kHarness, "RT3", site, "too many tasks");
  std::abort();
}

}  // namespace internal

using internal::native_current;

TaskId current_task() { return native_current().id; }
Context current_context() { return native_current().context; }
uint32_t current_op() { return native_current().op; }
bool in_atomic() {
  const internal::NativeTask& task = native_current();
  return task.rcu_depth != 0 || task.context == Context::kIrq || task.context == Context::kSoftirq;
}
void might_sleep(Site site) {
  if (in_atomic()) {
    daxfs::internal::report_finding(Verdict::kLockMisuse, "LD1", site, "sleep in atomic context: %s",
                                    context_name(current_context()));
  }
}
void begin_op(uint32_t op_index, Site /*site*/) { native_current().op = op_index; }
void end_op(Site /*site*/) {}
void yield(Site /*site*/) { std::this_thread::yield(); }
void relax(Site /*site*/) { std::this_thread::yield(); }
void cond_resched(Site site) { might_sleep(site); }
void set_task_name(const char* name) { native_current().name = name; }
const char* task_name(TaskId task) {
  if (task < 0 || task >= kMaxProgramTasks) { return ""; }
  const std::lock_guard lock(internal::g_slots_mutex);
  return internal::g_slots[static_cast<size_t>(task)].name;
}

void join(TaskId task, Site site) {
  std::thread thread;
  {
    const std::lock_guard lock(internal::g_slots_mutex);
    if (task < 0 || task >= kMaxProgramTasks || !internal::g_slots[static_cast<size_t>(task)].used) {
      daxfs::internal::report_finding(Verdict::kHarness, "RT3", site, "join of a task that was not spawned");
      std::abort();
    }
    thread = std::move(internal::g_slots[static_cast<size_t>(task)].thread);
  }
  thread.join();
  const std::lock_guard lock(internal::g_slots_mutex);
  internal::g_slots[static_cast<size_t>(task)].used = false;
}

void join_all_spawned(Site site) {
  for (;;) {
    TaskId next = kNoTask;
    {
      const std::lock_guard lock(internal::g_slots_mutex);
      for (TaskId id = 0; id < kMaxProgramTasks && next == kNoTask; ++id) {
        if (internal::g_slots[static_cast<size_t>(id)].thread.joinable()) { next = id; }
      }
    }
    if (next == kNoTask) { return; }
    join(next, site);
  }
}

void run_pending_system_tasks(Site /*site*/) { internal::drain_system(); }

void raise_irq(void (*callback)(void*), void* arg, Site /*site*/) {
  internal::post_system(Context::kIrq, [callback, arg] { callback(arg); });
}

uint64_t clock_realtime_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}
uint64_t clock_monotonic_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}
void clock_advance(uint64_t /*ns*/) {}

void run_into(Policy& /*policy*/, const RunLimits& /*limits*/, Observer* /*observer*/, void (*root)(void*), void* arg,
              RunOutcome* outcome) {
  *outcome = RunOutcome{};
  internal::g_run_active = true;
  root(arg);
  join_all_spawned();
  run_pending_system_tasks();
  internal::g_run_active = false;
}

bool run_active() { return internal::g_run_active; }
void end_run_soon(Finding (*describe)()) { daxfs::report_finding(describe()); }  // findings abort
uint64_t run_events() { return 0; }
void trace_mix(uint64_t /*value*/) {}

ObjectId new_object_id(ObjectClass cls) {
  static std::atomic<uint64_t> next{1};
  return object_id(cls, next.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace daxfs::rt
