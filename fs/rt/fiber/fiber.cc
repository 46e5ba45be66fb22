// fs/rt/fiber/fiber.cc - stacks and switches, with the sanitizers' hooks.
//
// ASan and TSan hooks do not link together; each sits behind its macro. The functions here stay out of instrumented
// libc calls and are FS_NO_TSAN: TSan must not see accesses to engine state, which fibers share unsynchronised.
#include "fs/rt/fiber/fiber.h"

#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>

#if defined(DAXFS_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(DAXFS_TSAN)
extern "C" {
void* __tsan_get_current_fiber();                // NOLINT(bugprone-reserved-identifier)
void* __tsan_create_fiber(unsigned);             // NOLINT(bugprone-reserved-identifier)
void __tsan_destroy_fiber(void*);                // NOLINT(bugprone-reserved-identifier)
void __tsan_switch_to_fiber(void*, unsigned);    // NOLINT(bugprone-reserved-identifier)
void __tsan_set_fiber_name(void*, const char*);  // NOLINT(bugprone-reserved-identifier)
}
#endif

// MSan hears of arguments and results by way of thread-local notes, which belong to whoever ran last: what comes out of
// a switch is initialised, whatever they say.
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define FS_NO_MSAN __attribute__((no_sanitize("memory")))
#endif
#endif
#if !defined(FS_NO_MSAN)
#define FS_NO_MSAN
#endif

namespace daxfs::rt::internal {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr size_t kGuardSize = 4096;
#if defined(DAXFS_ASAN) || defined(DAXFS_TSAN)
constexpr size_t kStackSize = 512 * 1024;
#else
constexpr size_t kStackSize = 128 * 1024;  // untouched pages cost nothing
#endif

// The fiber that is being switched to; read on its side.
Fiber* g_switching_to = nullptr;

// The far half of a switch: `transfer` names the fiber that was left.
FS_NO_TSAN FS_NO_MSAN void arrive(transfer_t transfer, Fiber* self) {
  Fiber* previous = static_cast<Fiber*>(transfer.data);
  previous->context = transfer.fctx;
#if defined(DAXFS_ASAN)
  const void* bottom = nullptr;
  size_t size = 0;
  __sanitizer_finish_switch_fiber(self->asan_fake_stack, &bottom, &size);
  if (previous->stack_low == nullptr) {  // the host: its bounds are known only now
    previous->stack_low = static_cast<char*>(const_cast<void*>(bottom));
    previous->stack_size = size;
  }
#else
  static_cast<void>(self);
#endif
}

// The first frame of a fiber. entry() never returns.
FS_NO_TSAN FS_NO_MSAN void trampoline(transfer_t transfer) {
  Fiber* self = g_switching_to;
  arrive(transfer, self);
  self->entry();
  std::abort();
}

FS_NO_TSAN void set_up(Fiber* fiber, [[maybe_unused]] const char* name) {
  fiber->context = make_fcontext(fiber->stack_low + fiber->stack_size, fiber->stack_size, trampoline);
  fiber->asan_fake_stack = nullptr;
  fiber->dirty = false;
#if defined(DAXFS_TSAN)
  fiber->tsan_fiber = __tsan_create_fiber(0);
  __tsan_set_fiber_name(fiber->tsan_fiber, name);
#endif
}

}  // namespace

FS_NO_TSAN void fiber_create(Fiber* fiber, void (*entry)(), const char* name) {
  void* memory = mmap(nullptr, kGuardSize + kStackSize, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuardSize, PROT_NONE) != 0) {
    std::fprintf(stderr, "rt: cannot allocate a task stack\n");
    std::abort();
  }
  fiber->stack_low = static_cast<char*>(memory) + kGuardSize;
  fiber->stack_size = kStackSize;
  fiber->entry = entry;
  set_up(fiber, name);
}

FS_NO_TSAN void fiber_rebuild(Fiber* fiber, const char* name) {
#if defined(DAXFS_ASAN)
  // The abandoned frames left red zones. Their fake stack, if any, is leaked: only its own fiber could free it.
  __asan_unpoison_memory_region(fiber->stack_low, fiber->stack_size);
#endif
#if defined(DAXFS_TSAN)
  __tsan_destroy_fiber(fiber->tsan_fiber);
#endif
  set_up(fiber, name);
}

FS_NO_TSAN void fiber_adopt_host(Fiber* fiber) {
  fiber->stack_low = nullptr;
  fiber->stack_size = 0;
#if defined(DAXFS_TSAN)
  fiber->tsan_fiber = __tsan_get_current_fiber();
#endif
}

FS_NO_TSAN FS_NO_MSAN FS_NOINLINE void fiber_switch(Fiber* from, Fiber* to, [[maybe_unused]] bool synchronise) {
  g_switching_to = to;
#if defined(DAXFS_ASAN)
  __sanitizer_start_switch_fiber(&from->asan_fake_stack, to->stack_low, to->stack_size);
#endif
#if defined(DAXFS_TSAN)
  __tsan_switch_to_fiber(to->tsan_fiber, synchronise ? 0 : 1);
#endif
  arrive(jump_fcontext(to->context, from), from);
}

#if defined(DAXFS_TSAN)

FS_NO_TSAN void fiber_acquire_history(Fiber* running, Fiber* fiber) {
  __tsan_switch_to_fiber(fiber->tsan_fiber, 0);
  __tsan_switch_to_fiber(running->tsan_fiber, 0);
}

FS_NO_TSAN TsanImpersonation::TsanImpersonation(Fiber* running, Fiber* as) : running_(running) {
  __tsan_switch_to_fiber(as->tsan_fiber, 1);
}
FS_NO_TSAN TsanImpersonation::~TsanImpersonation() { __tsan_switch_to_fiber(running_->tsan_fiber, 1); }

#else

void fiber_acquire_history(Fiber* /*running*/, Fiber* /*fiber*/) {}

#endif

}  // namespace daxfs::rt::internal
