// fs/rt/fiber/fiber.h - one stack with a suspended computation, and what the sanitizers need to know of it.
//
// Fibers are pooled for the life of the process: creating TSan's half costs ~100 us. A fiber whose computation was
// abandoned is `dirty` and is rebuilt before its next use.
//
// Locking: one OS thread.  Tested by: fs/rt/engine_test.cc.
#pragma once

#include <cstddef>

#include <boost/context/detail/fcontext.hpp>

#include "fs/base/compiler.h"

namespace daxfs::rt::internal {

struct Fiber {
  boost::context::detail::fcontext_t context = nullptr;
  char* stack_low = nullptr;  // of the host: filled in when ASan first tells
  size_t stack_size = 0;
  void (*entry)() = nullptr;
  void* asan_fake_stack = nullptr;
  void* tsan_fiber = nullptr;
  bool dirty = false;
};

// Allocates the stack, with a guard page below.
void fiber_create(Fiber* fiber, void (*entry)(), const char* name);
// Makes an abandoned fiber start over at its entry.
void fiber_rebuild(Fiber* fiber, const char* name);
// Binds `fiber` to the computation that is running now.
void fiber_adopt_host(Fiber* fiber);

// Suspends `from`, which must be running, and resumes `to`. `synchronise`: in TSan's eyes, everything `from` did
// happens-before what `to` does next.
void fiber_switch(Fiber* from, Fiber* to, bool synchronise);

// Makes all that `fiber` (suspended) did happen-before what `running` does next. TSan only.
void fiber_acquire_history(Fiber* running, Fiber* fiber);

// While it lives, TSan takes `running` for `as`: for calls into code that keeps its own state across fibers.
class TsanImpersonation {
 public:
#if defined(DAXFS_TSAN)
  TsanImpersonation(Fiber* running, Fiber* as);
  ~TsanImpersonation();

 private:
  Fiber* running_;
#else
  TsanImpersonation(Fiber* /*running*/, Fiber* /*as*/) {}
  ~TsanImpersonation() {}  // NOLINT(modernize-use-equals-default): keeps the variable used
#endif
};

}  // namespace daxfs::rt::internal
