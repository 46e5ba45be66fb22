// fs/rt/fiber/system_tasks.cc - RCU, interrupts, work queues: system tasks that the schedule places.
//
// A system task exists while it has something to do, so idleness needs no bookkeeping and cannot look like a deadlock.
#include <cstdlib>

#include "fs/rt/completion.h"
#include "fs/rt/fiber/engine_state.h"
#include "fs/rt/irq.h"
#include "fs/rt/step.h"
#include "fs/rt/workqueue.h"

namespace daxfs::rt {

using internal::g_current;
using internal::g_engine;
using internal::Task;

namespace {

constexpr ObjectId kRcuObject = object_id(ObjectClass::kTask, kRcuTask);

FS_NO_TSAN TaskId claim_id(TaskId first, TaskId end, const char* what, Site site) {
  const TaskId id = internal::lowest_free(first, end);
  if (id == kNoTask) {
    daxfs::internal::report_finding(Verdict::kHarness, "RT3", site, "too many pending %s", what);
    FS_STOP_AT_FINDING();
    std::abort();
  }
  return id;
}

FS_NO_TSAN void append(RcuHead** head, RcuHead** tail, RcuHead* item) {
  item->next = nullptr;
  (*tail == nullptr ? *head : (*tail)->next) = item;
  *tail = item;
}

FS_NO_TSAN RcuHead* take_first_ready() {
  RcuHead* head = g_engine.rcu_ready_head;
  if (head != nullptr) {
    g_engine.rcu_ready_head = head->next;
    if (head->next == nullptr) { g_engine.rcu_ready_tail = nullptr; }
  }
  return head;
}

FS_NO_TSAN void run_ready_callbacks() {
  internal::announce_acquire(&g_engine.rcu_ready_head);
  while (RcuHead* head = take_first_ready()) {
    if (g_engine.active) { point(PointKind::kRcu, kRcuObject); }
    internal::announce_acquire(&g_engine.rcu_ready_head);
    head->function(head);
  }
}

FS_NO_TSAN void rcu_task_main() {
  run_ready_callbacks();
  g_engine.rcu_task_active = false;
}

// Callbacks are ready: a system task shall run them. Outside a run, at once.
FS_NO_TSAN void start_rcu_task() {
  if (!g_engine.active) {
    run_ready_callbacks();
    return;
  }
  if (g_engine.rcu_task_active) { return; }  // it looks at the list once more before it ends
  g_engine.rcu_task_active = true;
  ++g_engine.system_tasks;
  internal::start_system_task(kRcuTask, Context::kSoftirq, "rcu", [] { rcu_task_main(); });
}

// The current task's outermost section ended: whoever waited for it may be ready.
FS_NO_TSAN void end_read_section() {
  internal::Engine& e = g_engine;
  const TaskId self = g_current->id;
  e.readers.clear(self);
  const uint64_t bit = ~(uint64_t{1} << (self & 63));
  RcuHead* previous = nullptr;
  bool any_ready = false;
  for (RcuHead* head = e.rcu_waiting_head; head != nullptr;) {
    RcuHead* next = head->next;
    head->readers[self >> 6] &= bit;
    if ((head->readers[0] | head->readers[1]) == 0) {
      (previous == nullptr ? e.rcu_waiting_head : previous->next) = next;
      if (next == nullptr) { e.rcu_waiting_tail = previous; }
      append(&e.rcu_ready_head, &e.rcu_ready_tail, head);
      any_ready = true;
    } else {
      previous = head;
    }
    head = next;
  }
  if (any_ready) { start_rcu_task(); }
}

}  // namespace

namespace internal {

FS_NO_TSAN void rcu_reset() {
  g_engine.rcu_waiting_head = g_engine.rcu_waiting_tail = nullptr;
  g_engine.rcu_ready_head = g_engine.rcu_ready_tail = nullptr;
  g_engine.rcu_task_active = false;
  g_engine.drainer = kNoTask;
}

FS_NO_TSAN void system_task_ended() {
  Engine& e = g_engine;
  announce_release(&e.system_tasks);
  --e.system_tasks;
  if (e.system_tasks == 0 && e.rcu_waiting_head == nullptr && e.drainer != kNoTask) {
    make_runnable(&e.tasks[e.drainer]);
    e.drainer = kNoTask;
  }
}

}  // namespace internal

FS_NO_TSAN void run_pending_system_tasks(Site site) {
  internal::Engine& e = g_engine;
  internal::check_may_sleep(site);
  while (e.system_tasks != 0 || e.rcu_waiting_head != nullptr) {
    Task* self = internal::current();
    e.drainer = self->id;
    self->wait_object = object_id(ObjectClass::kTask, kFirstSystemTask);
    self->wait_name = "idle system tasks";
    self->wait_site = site;
    internal::block_current(internal::BlockReason::kDrain, PointKind::kTask);
  }
  internal::announce_acquire(&e.system_tasks);
}

// ---------------------------------------------------------------------------------------------------------- RCU

FS_NO_TSAN void rcu_read_lock(Site site) {
  point(PointKind::kRcu, kRcuObject, site);
  if (g_current->rcu_depth++ == 0) {
    ++g_current->no_sleep;
    ++g_current->rcu_sections;
    g_engine.readers.set(g_current->id);
  }
}

FS_NO_TSAN void rcu_read_unlock(Site site) {
  if (g_current->rcu_depth == 0) {
    internal::report_not_held("the RCU read section", kRcuObject, kNoTask, site);
    return;
  }
  if (--g_current->rcu_depth == 0) {
    --g_current->no_sleep;
    internal::announce_release(&g_engine.rcu_ready_head);
    end_read_section();
  }
  point(PointKind::kRcu, kRcuObject, site);
}

FS_NO_TSAN bool rcu_read_lock_held() { return g_current->rcu_depth != 0; }

FS_NO_TSAN uint32_t rcu_read_section() { return g_current->rcu_depth != 0 ? g_current->rcu_sections : 0; }

FS_NO_TSAN void call_rcu(RcuHead* head, void (*function)(RcuHead*), Site site) {
  internal::Engine& e = g_engine;
  internal::announce_release(&e.rcu_ready_head);
  head->function = function;
  head->readers[0] = e.readers.words[0];
  head->readers[1] = e.readers.words[1];
  if (e.readers.empty()) {
    append(&e.rcu_ready_head, &e.rcu_ready_tail, head);
    start_rcu_task();
  } else {
    append(&e.rcu_waiting_head, &e.rcu_waiting_tail, head);
  }
  point(PointKind::kRcu, kRcuObject, site);
}

namespace {

struct SynchronizeHead : RcuHead {
  Completion done{"RCU grace period"};
};

}  // namespace

void synchronize_rcu(Site site) {
  might_sleep(site);
  SynchronizeHead head;
  call_rcu(&head, [](RcuHead* self) { static_cast<SynchronizeHead*>(self)->done.complete(); }, site);
  head.done.wait(site);
}

// --------------------------------------------------------------------------------------------------- interrupts

FS_NO_TSAN void raise_irq(void (*callback)(void*), void* arg, Site site) {
  if (!g_engine.active) {
    const Context context = g_current->context;
    g_current->context = Context::kIrq;
    ++g_current->no_sleep;
    callback(arg);
    --g_current->no_sleep;
    g_current->context = context;
    return;
  }
  // As many as there are ids: whoever may sleep waits for one of them to end. Kernel: blk_mq_get_tag.
  while (internal::lowest_free(kFirstIrqTask, kFirstWorkerTask) == kNoTask && !in_atomic()) { relax(site); }
  const TaskId id = claim_id(kFirstIrqTask, kFirstWorkerTask, "interrupts", site);
  ++g_engine.system_tasks;
  internal::start_system_task(id, Context::kIrq, "irq", [callback, arg] { callback(arg); })->wait_site = site;
  point(PointKind::kTask, object_id(ObjectClass::kTask, static_cast<uint64_t>(id)), site);
}

// -------------------------------------------------------------------------------------------------- work queues

Workqueue::Workqueue(const char* name) : name_(name), flushers_(name) { daxfs::internal::order_begin(this); }
Workqueue::~Workqueue() = default;

FS_NO_TSAN bool Workqueue::queue(Work& work, Site site) {
  point(PointKind::kTask, flushers_.object(), site);
  also(PointKind::kTask, flushers_.object());  // unlike other points of tasks, this one comes before the deed
  internal::announce_acquire(this);
  internal::announce_release(this);
  if (work.pending_) { return false; }
  ++queued_;
  if (!g_engine.active) {
    work.function_(work.arg_);
    ++finished_;
    return true;
  }
  work.pending_ = true;
  work.next_ = nullptr;
  (tail_ == nullptr ? head_ : tail_->next_) = &work;
  tail_ = &work;
  if (!active_) {
    active_ = true;
    const TaskId id = claim_id(kFirstWorkerTask, kMaxTasks, "workers", site);
    also(PointKind::kTask, object_id(ObjectClass::kTask, static_cast<uint64_t>(id)));
    ++g_engine.system_tasks;
    internal::start_system_task(id, Context::kWorker, name_, [this] { worker_main(this); })->wait_site = site;
  }
  return true;
}

FS_NO_TSAN void Workqueue::worker_main(void* self_pointer) {
  Workqueue* self = static_cast<Workqueue*>(self_pointer);
  while (self->head_ != nullptr) {
    Work* work = self->head_;
    self->head_ = work->next_;
    if (self->head_ == nullptr) { self->tail_ = nullptr; }
    work->pending_ = false;
    also(PointKind::kTask, self->flushers_.object());
    internal::announce_acquire(self);
    work->function_(work->arg_);
    internal::check_nothing_held("work item", Site::current());
    internal::announce_release(self);
    ++self->finished_;
    // The last item may be followed by the queue's destruction: leave it before anybody can know.
    if (self->head_ == nullptr) { self->active_ = false; }
    const bool last = !self->active_;
    self->flushers_.wake_all();
    if (last) { return; }
  }
}

FS_NO_TSAN void Workqueue::flush(Site site) {
  might_sleep(site);
  const uint64_t target = queued_;
  Waiter waiter;
  for (;;) {
    flushers_.prepare_to_wait(waiter, false, site);
    if (finished_ >= target) { break; }
    schedule(site);
  }
  flushers_.finish_wait(waiter, site);
  internal::announce_acquire(this);
}

FS_NO_TSAN bool Workqueue::idle() const { return !active_; }

}  // namespace daxfs::rt
