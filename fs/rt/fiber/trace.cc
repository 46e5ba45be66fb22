// fs/rt/fiber/trace.cc - hands what the library tells to the tracer, in the host's name.
#include "fs/rt/trace.h"

#include "fs/rt/fiber/engine_state.h"

namespace daxfs::rt {

namespace internal {

Tracer* g_tracer = nullptr;

FS_NO_TSAN bool trace_begin(const char* name, ObjectRef subject) {
  // A scope that begins outside a run (mkfs, a test's set-up) belongs to no task.
  if (!g_engine.active) { return false; }
  const TsanImpersonation host(&current()->fiber, &g_engine.host);
  g_tracer->on_scope_begin(name, subject);
  return true;
}

FS_NO_TSAN void trace_end() {
  if (!g_engine.active || g_tracer == nullptr) { return; }
  const TsanImpersonation host(&current()->fiber, &g_engine.host);
  g_tracer->on_scope_end();
}

}  // namespace internal

using internal::current;
using internal::g_engine;
using internal::g_tracer;
using internal::TsanImpersonation;

FS_NO_TSAN void set_tracer(Tracer* tracer) { g_tracer = tracer; }

FS_NO_TSAN HeldMode held_mode(ObjectId lock) {
  const internal::TaskCore& core = *internal::g_current;
  for (unsigned i = core.held_count; i-- > 0;) {
    const internal::HeldLock& held = core.held[i];
    if (held.object != lock || held.mode == internal::LockMode::kRank) { continue; }
    if (held.mode == internal::LockMode::kShared) { return HeldMode::kShared; }
    return held.mode == internal::LockMode::kSpin ? HeldMode::kSpin : HeldMode::kExclusive;
  }
  return HeldMode::kNot;
}

FS_NO_TSAN void trace_read(ObjectRef object, uint64_t value) {
  if (!g_engine.active) { return; }
  const TsanImpersonation host(&current()->fiber, &g_engine.host);
  g_tracer->on_read(object, value);
}

FS_NO_TSAN void trace_write(ObjectRef object, uint64_t before, uint64_t now) {
  if (!g_engine.active) { return; }
  const TsanImpersonation host(&current()->fiber, &g_engine.host);
  g_tracer->on_write(object, before, now);
}

FS_NO_TSAN void trace_bytes(ObjectRef object, std::span<const std::byte> before, std::span<const std::byte> now) {
  if (!g_engine.active) { return; }
  const TsanImpersonation host(&current()->fiber, &g_engine.host);
  g_tracer->on_bytes(object, before, now);
}

// Also outside a run: locks of the machine are made before it begins.
FS_NO_TSAN void trace_name(ObjectRef object, const char* name, ObjectRef owner) {
  if (!g_engine.active) {
    g_tracer->on_name(object, name, owner);
    return;
  }
  const TsanImpersonation host(&current()->fiber, &g_engine.host);
  g_tracer->on_name(object, name, owner);
}

}  // namespace daxfs::rt
