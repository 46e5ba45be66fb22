// fs/rt/rcu.h - read sections that writers wait for. Kernel: rcu_read_lock, call_rcu, synchronize_rcu.
//
// A callback becomes ready when all read sections that existed at its call_rcu have ended, exactly then; a system task
// in softirq context runs it when the schedule picks that task.
//
// Invariants:
//   O13  what only a read section keeps alive is used in the section in which it was found.
// Also LD1: no sleeping inside a read section or a callback; LD6: sections end inside their operation.
// Locking: any context, except synchronize_rcu (may sleep).  Tested by: fs/rt/rcu_test.cc.
#pragma once

#include "fs/base/report.h"
#include "fs/rt/internal.h"

namespace daxfs::rt {

struct RcuHead {
  RcuHead* next = nullptr;
  void (*function)(RcuHead*) = nullptr;
  uint64_t readers[2] = {};  // tasks whose sections this callback waits for
};

void rcu_read_lock(Site site = Site::current());    // nests. YIELDS
void rcu_read_unlock(Site site = Site::current());  // YIELDS
bool rcu_read_lock_held();
// The number of this task's outermost section, which no other section of it has; 0 outside.
uint32_t rcu_read_section();

// `head` lives inside the object; `function` may free it. YIELDS.
void call_rcu(RcuHead* head, void (*function)(RcuHead*), Site site = Site::current());
// Waits for a grace period. May sleep. YIELDS.
void synchronize_rcu(Site site = Site::current());

class RcuReadGuard {
 public:
  explicit RcuReadGuard(Site site = Site::current()) : site_(site) { rcu_read_lock(site); }
  RcuReadGuard(const RcuReadGuard&) = delete;
  RcuReadGuard& operator=(const RcuReadGuard&) = delete;
  ~RcuReadGuard() { rcu_read_unlock(site_); }

 private:
  Site site_;
};

// An object found in a read section, which alone keeps it. Every use asks whether that is still the section, so that
// a use after it is found whether or not the object happens to be gone (O13). Kernel: rcu_dereference_check.
template <typename T>
class RcuBorrowed {
 public:
  explicit RcuBorrowed(T* object) : object_(object), section_(rcu_read_section()) {}
  bool null() const { return object_ == nullptr; }
  // For comparisons, which need no life.
  T* address() const { return object_; }
  // REQUIRES: not null, and the section has not ended.
  T& get() const {
    FS_BUG_ON(section_ == 0, "O13", "an object that only an RCU read section keeps was found outside of any");
    FS_BUG_ON(rcu_read_section() != section_, "O13",
              "an object that only an RCU read section keeps is used after the section in which it was found");
    return *object_;
  }

 private:
  T* object_;
  uint32_t section_;
};

// Deletes `object` after a grace period. Kernel: kfree_rcu.
template <typename T>
void rcu_delete(T* object, Site site = Site::current()) {
  struct Node : RcuHead {
    T* object;
  };
  Node* node = new Node;
  node->object = object;
  call_rcu(
      node,
      [](RcuHead* head) {
        Node* self = static_cast<Node*>(head);
        delete self->object;
        delete self;
      },
      site);
}

}  // namespace daxfs::rt
