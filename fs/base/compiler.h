// fs/base/compiler.h - attributes and annotations that differ between compilers.
//
// Thread-safety annotations follow clang's capability analysis (-Wthread-safety); other compilers see nothing.
// Tested by: the compiler: every build uses it.
#pragma once

#if defined(__clang__)
#define FS_TSA(x) __attribute__((x))
#else
#define FS_TSA(x)
#endif

#define FS_CAPABILITY(name) FS_TSA(capability(name))
#define FS_SCOPED_CAPABILITY FS_TSA(scoped_lockable)
#define FS_GUARDED_BY(x) FS_TSA(guarded_by(x))
#define FS_PT_GUARDED_BY(x) FS_TSA(pt_guarded_by(x))
#define FS_ACQUIRE(...) FS_TSA(acquire_capability(__VA_ARGS__))
#define FS_ACQUIRE_SHARED(...) FS_TSA(acquire_shared_capability(__VA_ARGS__))
#define FS_RELEASE(...) FS_TSA(release_capability(__VA_ARGS__))
#define FS_RELEASE_SHARED(...) FS_TSA(release_shared_capability(__VA_ARGS__))
#define FS_RELEASE_GENERIC(...) FS_TSA(release_generic_capability(__VA_ARGS__))
#define FS_TRY_ACQUIRE(...) FS_TSA(try_acquire_capability(__VA_ARGS__))
#define FS_TRY_ACQUIRE_SHARED(...) FS_TSA(try_acquire_shared_capability(__VA_ARGS__))
#define FS_REQUIRES(...) FS_TSA(requires_capability(__VA_ARGS__))
#define FS_REQUIRES_SHARED(...) FS_TSA(requires_shared_capability(__VA_ARGS__))
#define FS_EXCLUDES(...) FS_TSA(locks_excluded(__VA_ARGS__))
#define FS_ASSERT_CAPABILITY(x) FS_TSA(assert_capability(x))
#define FS_ASSERT_SHARED_CAPABILITY(x) FS_TSA(assert_shared_capability(x))
#define FS_RETURN_CAPABILITY(x) FS_TSA(lock_returned(x))
// Needs a reason in a comment on the same line.
#define FS_NO_THREAD_SAFETY_ANALYSIS FS_TSA(no_thread_safety_analysis)

#define FS_NOINLINE __attribute__((noinline))
#define FS_COLD __attribute__((cold, noinline))
#define FS_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DAXFS_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define DAXFS_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(DAXFS_ASAN)
#define DAXFS_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(DAXFS_TSAN)
#define DAXFS_TSAN 1
#endif
#if defined(DAXFS_ASAN) || defined(DAXFS_TSAN)
#define DAXFS_SANITIZED 1  // code takes ten times as long
#else
#define DAXFS_SANITIZED 0
#endif

// For the engine's own state, which all fibers share without synchronisation because they share one OS thread.
#if defined(DAXFS_TSAN)
#define FS_NO_TSAN __attribute__((no_sanitize("thread")))
#else
#define FS_NO_TSAN
#endif
