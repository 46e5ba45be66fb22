"""What OSS-Fuzz sets: variables and flags of a build, options of a run, thresholds of its bad-build check."""
import os

BASE = ("-O1 -fno-omit-frame-pointer -gline-tables-only -Wno-error=enum-constexpr-conversion "
        "-Wno-error=incompatible-function-pointer-types -Wno-error=int-conversion -Wno-error=deprecated-declarations "
        "-Wno-error=implicit-function-declaration -Wno-error=implicit-int "
        "-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION")
UNDEFINED = ("array-bounds,bool,builtin,enum,function,integer-divide-by-zero,null,object-size,return,"
             "returns-nonnull-attribute,shift,signed-integer-overflow,unreachable,vla-bound,vptr")
SANITIZERS = {
    "address": "-fsanitize=address -fsanitize-address-use-after-scope",
    "undefined": f"-fsanitize={UNDEFINED},unsigned-integer-overflow -fno-sanitize-recover={UNDEFINED}",
    "memory": "-fsanitize=memory -fsanitize-memory-track-origins",
    "coverage": "",
}
COVERAGE_BUILD = ("-fprofile-instr-generate -fcoverage-mapping -pthread -Wl,--no-as-needed -Wl,-ldl -Wl,-lm "
                  "-Wno-unused-command-line-argument")
# Calls that objdump must find: (least, most), None for no bound.
CALLS = {
    "address": {"__asan": (1000, None), "__ubsan": (0, 200), "__msan": (0, 3), "__dfsan": (0, 0)},
    "undefined": {"__asan": (0, 0), "__ubsan": (168, None), "__msan": (0, 3), "__dfsan": (0, 0)},
    "memory": {"__asan": (0, 0), "__ubsan": (0, 200), "__msan": (1000, None), "__dfsan": (0, 0)},
}
EDGES = 100
# Of the lines of fs/ that are linked in, by the seeds alone; ours, to see that a report means something.
COVERED = {"syscalls_fuzzer": 0.5, "xarray_fuzzer": 0.1, "image_fuzzer": 0.3}
FUZZER_ARGS = ["-rss_limit_mb=2560", "-timeout=25"]
RUN = {
    "ASAN_OPTIONS": "alloc_dealloc_mismatch=0:allocator_may_return_null=1:allocator_release_to_os_interval_ms=500:"
                    "check_malloc_usable_size=0:detect_container_overflow=1:detect_odr_violation=0:detect_leaks=1:"
                    "detect_stack_use_after_return=1:fast_unwind_on_fatal=0:handle_abort=1:handle_segv=1:handle_sigill=1:"
                    "max_uar_stack_size_log=16:print_scariness=1:quarantine_size_mb=10:strict_memcmp=1:"
                    "strip_path_prefix=/workspace/:symbolize=1:use_sigaltstack=1:dedup_token_length=3",
    "UBSAN_OPTIONS": "print_stacktrace=1:print_summary=1:silence_unsigned_overflow=1:strip_path_prefix=/workspace/:"
                     "symbolize=1:dedup_token_length=3",
    "MSAN_OPTIONS": "print_stats=1:strip_path_prefix=/workspace/:symbolize=1:dedup_token_length=3:"
                    "allocator_release_to_os_interval_ms=500:handle_abort=1:handle_segv=1:handle_sigill=1",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
}


def msan_library():
    """The folder that ci/msan-libcxx made, or None: services' images have such a library, distributions have not."""
    folder = os.environ.get("DAXFUZZ_MSAN_LIBCXX", "")
    return os.path.abspath(folder) if folder and os.path.exists(os.path.join(folder, "lib/libc++.a")) else None


def build_environment(sanitizer, src, work, out, engine, engine_name, library):
    """The variables of `compile`; compiler and engine are this machine's."""
    added = COVERAGE_BUILD if sanitizer == "coverage" else engine.flags
    if sanitizer == "memory" and msan_library():
        added += f" -L{msan_library()}/lib"
    flags = " ".join(part for part in (BASE, SANITIZERS[sanitizer], added) if part)
    kept = {name: value for name, value in os.environ.items() if name.startswith("CCACHE_")}
    kept["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    kept["HOME"] = os.environ.get("HOME", "/")
    return dict(kept, SRC=src, WORK=work, OUT=out, SANITIZER=sanitizer, FUZZING_ENGINE=engine_name, ARCHITECTURE="x86_64",
                FUZZING_LANGUAGE="c++", PROJECT_NAME="daxfuzz", CC=engine.compilers[0], CXX=engine.compilers[1],
                CFLAGS=flags, CXXFLAGS=f"{flags} -stdlib=libc++", LIB_FUZZING_ENGINE=library, **engine.variables)
