// fs/rt/native/sync.cc - reader-writer locks, wait queues, RCU and work queues over OS primitives.
#include <shared_mutex>

#include "fs/rt/native/native_state.h"
#include "fs/rt/rcu.h"
#include "fs/rt/rwsem.h"
#include "fs/rt/wait_queue.h"
#include "fs/rt/workqueue.h"

namespace daxfs::rt {

using internal::native_current;
using internal::NativeTask;

// ------------------------------------------------------------------------------------------------------- RwSem

RwSem::RwSem(Rank /*rank*/, const char* /*name*/) {}

void RwSem::down_read_nested(unsigned /*subclass*/, Site /*site*/) {
  std::unique_lock lock(mutex_);
  readable_.wait(lock, [this] { return writer_.load() == kNoTask && writers_waiting_ == 0; });
  ++readers_;
}

bool RwSem::try_down_read(Site /*site*/) {
  const std::lock_guard lock(mutex_);
  if (writer_.load() != kNoTask || writers_waiting_ != 0) { return false; }
  ++readers_;
  return true;
}

void RwSem::up_read(Site /*site*/) {
  const std::lock_guard lock(mutex_);
  if (--readers_ == 0) { writable_.notify_one(); }
}

void RwSem::down_write_nested(unsigned /*subclass*/, Site /*site*/) {
  std::unique_lock lock(mutex_);
  ++writers_waiting_;
  writable_.wait(lock, [this] { return writer_.load() == kNoTask && readers_ == 0; });
  --writers_waiting_;
  writer_.store(current_task());
}

bool RwSem::try_down_write(Site /*site*/) {
  const std::lock_guard lock(mutex_);
  if (writer_.load() != kNoTask || readers_ != 0) { return false; }
  writer_.store(current_task());
  return true;
}

void RwSem::up_write(Site /*site*/) {
  const std::lock_guard lock(mutex_);
  writer_.store(kNoTask);
  writable_.notify_one();
  if (writers_waiting_ == 0) { readable_.notify_all(); }
}

void RwSem::downgrade_write(Site /*site*/) {
  const std::lock_guard lock(mutex_);
  writer_.store(kNoTask);
  ++readers_;
  if (writers_waiting_ == 0) { readable_.notify_all(); }
}

bool RwSem::held_read() const {
  const std::lock_guard lock(mutex_);
  return readers_ != 0;
}
bool RwSem::held_write() const { return writer_.load() == current_task(); }
bool RwSem::is_locked() const {
  const std::lock_guard lock(mutex_);
  return readers_ != 0 || writer_.load() != kNoTask;
}
void RwSem::assert_held_read(Site /*site*/) const {}
void RwSem::assert_held_write(Site /*site*/) const {}

// -------------------------------------------------------------------------------------------------- wait queues

WaitQueue::WaitQueue(const char* name) : name_(name), object_(0) {}
WaitQueue::WaitQueue(const char* name, ObjectId object) : name_(name), object_(object) {}

bool Waiter::matches(uint64_t key, const void* owner) const {
  if (wake_function_ != nullptr) { return wake_function_(*this, key, owner); }
  if (key == 0 && owner == nullptr) { return true; }
  if (key_ == 0 && owner_ == nullptr) { return true; }
  return key_ == key && owner_ == owner;
}

void WaitQueue::link(Waiter& waiter, bool exclusive) {
  waiter.queue_ = this;
  waiter.exclusive_ = exclusive;
  waiter.task_ = &native_current();
  waiter.next_ = waiter.prev_ = nullptr;
  if (head_ == nullptr) {
    head_ = tail_ = &waiter;
  } else if (exclusive) {
    waiter.prev_ = tail_;
    tail_->next_ = &waiter;
    tail_ = &waiter;
  } else {
    waiter.next_ = head_;
    head_->prev_ = &waiter;
    head_ = &waiter;
  }
}

void WaitQueue::unlink(Waiter& waiter) {
  (waiter.prev_ == nullptr ? head_ : waiter.prev_->next_) = waiter.next_;
  (waiter.next_ == nullptr ? tail_ : waiter.next_->prev_) = waiter.prev_;
  waiter.queue_ = nullptr;
}

void WaitQueue::prepare_to_wait(Waiter& waiter, bool exclusive, Site /*site*/) {
  NativeTask& task = native_current();
  const std::lock_guard lock(mutex_);
  if (waiter.queue_ == nullptr) { link(waiter, exclusive); }
  const std::lock_guard task_lock(task.mutex);
  task.sleeping = true;
}

void WaitQueue::finish_wait(Waiter& waiter, Site /*site*/) {
  NativeTask& task = native_current();
  const std::lock_guard lock(mutex_);
  if (waiter.queue_ != nullptr) { unlink(waiter); }
  const std::lock_guard task_lock(task.mutex);
  task.sleeping = false;
}

unsigned WaitQueue::wake(unsigned nr_exclusive, uint64_t key, const void* owner, Site /*site*/) {
  unsigned woken = 0;
  const std::lock_guard lock(mutex_);
  for (Waiter* waiter = head_; waiter != nullptr;) {
    Waiter* next = waiter->next_;
    if (waiter->matches(key, owner)) {
      NativeTask* task = static_cast<NativeTask*>(waiter->task_);
      const bool exclusive = waiter->exclusive_;
      unlink(*waiter);
      ++woken;
      {
        const std::lock_guard task_lock(task->mutex);
        task->sleeping = false;
        task->wake.notify_one();
      }
      if (exclusive && nr_exclusive != 0 && --nr_exclusive == 0) { break; }
    }
    waiter = next;
  }
  return woken;
}

bool WaitQueue::has_waiters() const {
  const std::lock_guard lock(mutex_);
  return head_ != nullptr;
}

void schedule(Site site) {
  might_sleep(site);
  NativeTask& task = native_current();
  std::unique_lock lock(task.mutex);
  task.wake.wait(lock, [&task] { return !task.sleeping; });
}

// ---------------------------------------------------------------------------------------------------------- RCU

namespace {

// Read sections hold it shared; a grace period is one exclusive acquisition.
std::shared_mutex& rcu_mutex() {
  static std::shared_mutex mutex;
  return mutex;
}

}  // namespace

void rcu_read_lock(Site /*site*/) {
  if (native_current().rcu_depth++ == 0) {
    rcu_mutex().lock_shared();
    ++native_current().rcu_sections;
  }
}

void rcu_read_unlock(Site /*site*/) {
  if (--native_current().rcu_depth == 0) { rcu_mutex().unlock_shared(); }
}

bool rcu_read_lock_held() { return native_current().rcu_depth != 0; }

uint32_t rcu_read_section() {
  const NativeTask& task = native_current();
  return task.rcu_depth != 0 ? task.rcu_sections : 0;
}

void call_rcu(RcuHead* head, void (*function)(RcuHead*), Site /*site*/) {
  head->function = function;
  internal::post_system(Context::kSoftirq, [head] {
    rcu_mutex().lock();
    rcu_mutex().unlock();
    head->function(head);
  });
}

void synchronize_rcu(Site site) {
  might_sleep(site);
  rcu_mutex().lock();
  rcu_mutex().unlock();
}

// -------------------------------------------------------------------------------------------------- work queues

Workqueue::Workqueue(const char* name) : name_(name), flushers_(name) {}

Workqueue::~Workqueue() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) { thread_.join(); }
}

bool Workqueue::queue(Work& work, Site /*site*/) {
  {
    const std::lock_guard lock(mutex_);
    if (work.pending_) { return false; }
    work.pending_ = true;
    work.next_ = nullptr;
    (tail_ == nullptr ? head_ : tail_->next_) = &work;
    tail_ = &work;
    ++queued_;
    active_ = true;
    internal::system_work_started();
    if (!thread_.joinable()) { thread_ = std::thread(worker_main, this); }
  }
  changed_.notify_all();
  return true;
}

void Workqueue::worker_main(void* self_pointer) {
  Workqueue* self = static_cast<Workqueue*>(self_pointer);
  NativeTask& task = native_current();
  task.context = Context::kWorker;
  task.id = kFirstWorkerTask;
  task.name = self->name_;
  std::unique_lock lock(self->mutex_);
  for (;;) {
    self->changed_.wait(lock, [self] { return self->stop_ || self->head_ != nullptr; });
    if (self->head_ == nullptr) { return; }
    Work* work = self->head_;
    self->head_ = work->next_;
    if (self->head_ == nullptr) { self->tail_ = nullptr; }
    work->pending_ = false;
    const auto function = work->function_;
    void* arg = work->arg_;
    lock.unlock();
    function(arg);
    lock.lock();
    ++self->finished_;
    self->active_ = self->head_ != nullptr;
    self->changed_.notify_all();
    internal::system_work_finished();
  }
}

void Workqueue::flush(Site site) {
  might_sleep(site);
  std::unique_lock lock(mutex_);
  const uint64_t target = queued_;
  changed_.wait(lock, [this, target] { return finished_ >= target; });
}

bool Workqueue::idle() const {
  const std::lock_guard lock(mutex_);
  return !active_;
}

}  // namespace daxfs::rt
