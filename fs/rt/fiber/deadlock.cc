// fs/rt/fiber/deadlock.cc - who waits for whom, in words. Cold: runs once, when a run is over.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "fs/base/symbols.h"
#include "fs/rt/fiber/engine_state.h"

namespace daxfs::rt::internal {
namespace {

std::string place(Site site) {
  if (site.line() == 0) { return "start"; }
  return std::string(site.function_name()) + " (" + site.file_name() + ":" + std::to_string(site.line()) + ")";
}

std::string task_label(const Task& task) {
  std::string label = task.id == kRootTask ? "root" : "T" + std::to_string(task.id);
  if (task.id != kRootTask && task.name[0] != '\0') { label += std::string(" (") + task.name + ")"; }
  return label;
}

bool alive(const Task& task) { return task.state == TaskState::kRunnable || task.state == TaskState::kBlocked; }

// Ids in an order that puts the program's tasks first and the root last.
constexpr TaskId ordered(TaskId i) { return i < kRootTask ? i : i == kMaxTasks - 1 ? kRootTask : i + 1; }

// Whether `holder` is (one of) those that `task` waits for.
bool waits_for(const Task& task, const Task& holder) {
  if (task.state != TaskState::kBlocked || !alive(holder)) { return false; }
  switch (task.reason) {
    case BlockReason::kLock:
      for (unsigned i = 0; i < holder.held_count; ++i) {
        if (holder.held[i].lock == task.wait_lock) { return &holder != &task; }
      }
      return false;
    case BlockReason::kJoin: return task.wait_task == holder.id;
    case BlockReason::kDrain: return holder.id >= kFirstSystemTask;
    default: return false;
  }
}

// Depth-first search for a cycle from `start`; `path` gets its tasks.
bool find_cycle(TaskId start, TaskId at, bool* seen, TaskId* path, unsigned* length) {
  path[(*length)++] = at;
  seen[at] = true;
  for (TaskId i = 0; i < kMaxTasks; ++i) {
    const TaskId next = ordered(i);
    if (!waits_for(g_engine.tasks[at], g_engine.tasks[next])) { continue; }
    if (next == start) { return true; }
    if (!seen[next] && find_cycle(start, next, seen, path, length)) { return true; }
  }
  --*length;
  return false;
}

const char* what_it_waits_for(const Task& task) {
  switch (task.reason) {
    case BlockReason::kNone: return "nothing";
    case BlockReason::kLock: return "lock";
    case BlockReason::kWaitQueue: return "wake-up on";
    case BlockReason::kJoin: return "end of task";
    case BlockReason::kDrain: return "drain of";
  }
  return "?";
}

}  // namespace

std::string describe_task_line(const Task& task) {
  std::string text = task_label(task);
  if (task.op != kNoOp) { text += " op " + std::to_string(task.op); }
  text += " event " + std::to_string(task.event_in_op) + ", " + context_name(task.context) + " context";
  if (task.state == TaskState::kBlocked) {
    text += std::string(", waits for ") + what_it_waits_for(task) + " \"" + task.wait_name + "\" at " +
            place(task.wait_site);
  } else if (task.state == TaskState::kRunnable) {
    text += ", runnable";
  }
  text += "\n";
  for (unsigned i = 0; i < task.held_count; ++i) {
    const HeldLock& held = task.held[i];
    text += std::string("    holds ") + held.name + (held.mode == LockMode::kShared ? " (shared)" : "") + " [" +
            rank_name(held.rank) + "], taken at " + place(held.site) + "\n";
  }
  if (task.rcu_depth != 0) { text += "    inside an RCU read section\n"; }
  return text;
}

std::string describe_tasks() {
  settle();
  std::string text;
  for (TaskId i = 0; i < kMaxTasks; ++i) {
    const Task& task = g_engine.tasks[ordered(i)];
    if (!alive(task)) { continue; }
    text += describe_task_line(task);
    for (TaskId j = 0; j < kMaxTasks; ++j) {
      const Task& holder = g_engine.tasks[ordered(j)];
      if (waits_for(task, holder)) { text += "    -> " + task_label(holder) + "\n"; }
    }
    for (unsigned frame = 0; frame < task.frame_count; ++frame) {
      text += "      #" + std::to_string(frame) + " " + describe_code(task.frames[frame]) + "\n";
    }
  }
  return text;
}

void report_deadlock() {
  std::string title;
  std::string detail;
  const Task* subject = nullptr;
  for (TaskId i = 0; i < kMaxTasks && subject == nullptr; ++i) {
    bool seen[kMaxTasks] = {};
    TaskId path[kMaxTasks];
    unsigned length = 0;
    const TaskId start = ordered(i);
    if (g_engine.tasks[start].state != TaskState::kBlocked || !find_cycle(start, start, seen, path, &length)) {
      continue;
    }
    subject = &g_engine.tasks[start];
    title = "circular wait:";
    detail = "cycle: ";
    for (unsigned k = 0; k < length; ++k) {
      const Task& task = g_engine.tasks[path[k]];
      title += std::string(k == 0 ? " " : ", ") + task.wait_name;
      detail += task_label(task) + " -> " + task.wait_name + " -> ";
    }
    detail += task_label(*subject) + "\n";
  }
  for (TaskId i = 0; i < kMaxTasks && subject == nullptr; ++i) {
    const Task& task = g_engine.tasks[ordered(i)];
    if (task.state == TaskState::kBlocked && task.reason == BlockReason::kWaitQueue) {
      subject = &task;
      title = std::string("nobody left to wake: ") + task.wait_name;
    }
  }
  for (TaskId i = 0; i < kMaxTasks && subject == nullptr; ++i) {
    const Task& task = g_engine.tasks[ordered(i)];
    if (task.state == TaskState::kBlocked) {
      subject = &task;
      title = std::string("no runnable task: waits for ") + task.wait_name;
    }
  }
  if (subject == nullptr) { std::abort(); }  // the root at least is blocked
  detail += describe_tasks();
  About about{};
  unsigned count = 0;
  for (TaskId i = 0; i < kMaxTasks && count < About::kMax; ++i) {
    const Task& task = g_engine.tasks[ordered(i)];
    if (task.state != TaskState::kBlocked || task.reason == BlockReason::kJoin || task.reason == BlockReason::kDrain) {
      continue;
    }
    about.refs[count++] = task.reason == BlockReason::kLock ? lock_ref(task.wait_object) : wait_ref(task.wait_object);
  }
  daxfs::report_finding(Verdict::kDeadlock, "RT1", std::move(title), std::move(detail), subject->wait_site, about);
  FS_STOP_AT_FINDING();
}

// Walks frame pointers within the task's own stack; we build with -fno-omit-frame-pointer everywhere.
FS_NO_TSAN __attribute__((no_sanitize("address"))) void capture_stack(Task* task) {
  task->frame_count = 0;
  auto frame = static_cast<void**>(__builtin_frame_address(0));
  char* low = task->fiber.stack_low;
  char* high = low + task->fiber.stack_size;
  while (reinterpret_cast<char*>(frame) >= low && reinterpret_cast<char*>(frame + 2) <= high &&
         task->frame_count < kMaxStackFrames) {
    void* return_address = frame[1];
    if (return_address == nullptr) { break; }
    task->frames[task->frame_count++] = static_cast<char*>(return_address) - 1;
    auto next = static_cast<void**>(frame[0]);
    if (next <= frame) { break; }
    frame = next;
  }
}

}  // namespace daxfs::rt::internal
