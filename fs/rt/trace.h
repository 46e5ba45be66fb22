// fs/rt/trace.h - what the library tells a tracer beside its points: which function runs on what, which values it reads
// and writes, what objects are called.
//
//   FS_TRACE_SCOPE("dax_disassociate_entry", entry_ref(ino, index));   until the end of the block; the kernel's name
//   FS_TRACE_READ(frame_ref(pfn), count);                              a value that decides
//   FS_TRACE_WRITE(frame_ref(pfn), before, now);
//   trace_bytes(bytes_ref(pfn, first, count), before, now);            contents of the medium, if tracing()
//   FS_TRACE_NAME(lock_ref(object), "i_rwsem", inode_ref(ino));        and whose it is
//
// None of them is a scheduling point, and a tracer changes nothing: a traced run has the trace hash of an untraced one.
// Without a tracer each costs one predictable branch and its arguments are not evaluated; see
// docs/decisions/0020-trace-scopes.md for why there are names in the source and no walk of the stack.
//
// Locking: any context.  Native flavour: nothing.  Tested by: fs/rt/trace_test.cc, fuzz/explain/slice_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "fs/base/compiler.h"
#include "fs/base/object_ref.h"
#include "fs/rt/point.h"

namespace daxfs::rt {

enum class HeldMode : uint8_t { kNot, kShared, kExclusive, kSpin };

// Called in the task that acts, on its stack, right after the point of the access. Same duties as Observer.
class Tracer {
 public:
  virtual ~Tracer() = default;
  virtual void on_scope_begin(const char* name, const ObjectRef& subject) = 0;
  virtual void on_scope_end() = 0;
  virtual void on_read(const ObjectRef& object, uint64_t value) = 0;
  virtual void on_write(const ObjectRef& object, uint64_t before, uint64_t now) = 0;
  // Contents of the medium (Noun::kBytes), about to change; `before` is empty when they are read.
  virtual void on_bytes(const ObjectRef& /*object*/, std::span<const std::byte> /*before*/,
                        std::span<const std::byte> /*now*/) {}
  // `name` is a literal. `owner`: what it belongs to; for a Noun::kPte: the file pages that appear there.
  virtual void on_name(const ObjectRef& object, const char* name, const ObjectRef& owner) = 0;
};

#if defined(DAXFS_RT_FIBER)

namespace internal {
extern Tracer* g_tracer __attribute__((visibility("hidden")));
FS_COLD bool trace_begin(const char* name, ObjectRef subject);
FS_COLD void trace_end();
}  // namespace internal

// Null switches tracing off. Not inside a run.
void set_tracer(Tracer* tracer);
// How the current task holds a lock. For observers.
HeldMode held_mode(ObjectId lock);
FS_COLD void trace_read(ObjectRef object, uint64_t value);
FS_COLD void trace_write(ObjectRef object, uint64_t before, uint64_t now);
FS_COLD void trace_bytes(ObjectRef object, std::span<const std::byte> before, std::span<const std::byte> now);
FS_COLD void trace_name(ObjectRef object, const char* name, ObjectRef owner = {});

FS_NO_TSAN inline bool tracing() { return __builtin_expect(internal::g_tracer != nullptr, 0); }

class TraceScope {
 public:
  explicit TraceScope(bool open) : open_(open) {}
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;
  ~TraceScope() {
    if (__builtin_expect(open_, 0)) { internal::trace_end(); }
  }

 private:
  const bool open_;
};

#define FS_TRACE_SCOPE(name, ...)                                        \
  const ::daxfs::rt::TraceScope fs_trace_scope(::daxfs::rt::tracing() && \
                                               ::daxfs::rt::internal::trace_begin(name, __VA_ARGS__))

#else

inline void set_tracer(Tracer* /*tracer*/) {}
constexpr HeldMode held_mode(ObjectId /*lock*/) { return HeldMode::kNot; }
constexpr bool tracing() { return false; }
inline void trace_read(ObjectRef, uint64_t) {}
inline void trace_write(ObjectRef, uint64_t, uint64_t) {}
inline void trace_bytes(ObjectRef, std::span<const std::byte>, std::span<const std::byte>) {}
inline void trace_name(ObjectRef, const char*, ObjectRef = {}) {}

#define FS_TRACE_SCOPE(name, ...) static_assert(true)

#endif

#define FS_TRACE_READ(...)                                                \
  do {                                                                    \
    if (::daxfs::rt::tracing()) { ::daxfs::rt::trace_read(__VA_ARGS__); } \
  } while (0)
#define FS_TRACE_WRITE(...)                                                \
  do {                                                                     \
    if (::daxfs::rt::tracing()) { ::daxfs::rt::trace_write(__VA_ARGS__); } \
  } while (0)
#define FS_TRACE_NAME(...)                                                \
  do {                                                                    \
    if (::daxfs::rt::tracing()) { ::daxfs::rt::trace_name(__VA_ARGS__); } \
  } while (0)

}  // namespace daxfs::rt
