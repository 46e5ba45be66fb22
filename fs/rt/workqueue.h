// fs/rt/workqueue.h - deferred work in process context. Kernel: struct work_struct, ordered workqueue.
//
// A queue runs its items one at a time, first come, first served, in a worker task that exists while there is work.
//
// Locking: queue() in any context; flush() and work functions may sleep.  Tested by: fs/rt/system_task_test.cc.
#pragma once

#include "fs/rt/internal.h"
#include "fs/rt/wait_queue.h"

#if defined(DAXFS_RT_NATIVE)
#include <condition_variable>
#include <mutex>
#include <thread>
#endif

namespace daxfs::rt {

class Workqueue;

class Work {
 public:
  Work(void (*function)(void*), void* arg) : function_(function), arg_(arg) {}
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  bool pending() const { return pending_; }  // queued and not yet started

 private:
  friend class Workqueue;
  void (*function_)(void*);
  void* arg_;
  Work* next_ = nullptr;
  bool pending_ = false;
};

class Workqueue {
 public:
  explicit Workqueue(const char* name = "worker");
  ~Workqueue();  // waits for the items in native; REQUIRES: idle in fiber
  Workqueue(const Workqueue&) = delete;
  Workqueue& operator=(const Workqueue&) = delete;

  // False when the item was pending already. The item may be freed by its own function. YIELDS.
  bool queue(Work& work, Site site = Site::current());
  // Waits until all items queued before the call have run. May sleep. YIELDS.
  void flush(Site site = Site::current());
  bool idle() const;

 private:
  static void worker_main(void* self);
  const char* name_;
  Work* head_ = nullptr;
  Work* tail_ = nullptr;
  uint64_t queued_ = 0;    // items ever queued
  uint64_t finished_ = 0;  // items ever run
  bool active_ = false;    // a worker exists
  WaitQueue flushers_;
#if defined(DAXFS_RT_NATIVE)
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::thread thread_;
  bool stop_ = false;
#endif
};

}  // namespace daxfs::rt
