"""The fuzzing engines: what each sets in a build, and a run of each. libFuzzer's runs are in checks.py."""
import os
import re
import subprocess
import time

from . import service
from .report import Failed, Skipped, need, tail

HERE = os.path.dirname(os.path.abspath(__file__))


class Engine:
    """compilers, flags that it adds to every compilation, variables of its compiler, and what it links as engine."""

    def __init__(self, compilers, flags, library, variables=None):
        self.compilers = compilers
        self.flags = flags
        self.library = library
        self.variables = variables or {}


# Debian's libFuzzer is made for libstdc++, that of the services' image for libc++. By its file name: clang reads -lstdc++ as
# "the C++ library". AFL++'s compiler is told to use our clang, whose own guards take the place of its plug-in (made for
# another clang).
ENGINES = {
    "libfuzzer": Engine(("clang-19", "clang++-19"), "-fsanitize=fuzzer-no-link", "-fsanitize=fuzzer -l:libstdc++.so.6"),
    "afl": Engine(("afl-clang-fast", "afl-clang-fast++"), "", "/usr/lib/afl/libAFLDriver.a",
                  {"AFL_CC": "clang-19", "AFL_CXX": "clang++-19", "AFL_LLVM_INSTRUMENT": "LLVM-NATIVE", "AFL_QUIET": "1",
                   "CCACHE_DISABLE": "1"}),
    "honggfuzz": Engine(("clang-19", "clang++-19"), "-fsanitize-coverage=trace-pc-guard,indirect-calls,trace-cmp",
                        "loop_driver.a"),
}


def library(engine, folder):
    """What LIB_FUZZING_ENGINE says. honggfuzz is not packaged: a driver that calls targets as its library does stands in."""
    if engine != "honggfuzz":
        return ENGINES[engine].library
    archive = os.path.join(folder, ENGINES[engine].library)
    made = os.path.join(folder, "loop_driver.o")
    subprocess.run(["clang-19", "-O2", "-c", os.path.join(HERE, "loop_driver.c"), "-o", made], check=True)
    subprocess.run(["llvm-ar-19", "rcs", archive, made], check=True)
    return archive


def run_afl(build, target, seconds):
    """AFL++ from the seeds: it must get going within 35 seconds, find no crash, and keep something."""
    here, shown = build.jail.path("afl")
    # afl-fuzz wants /dev; the target under it is the same that ran without, under libFuzzer.
    more = {"AFL_NO_UI": "1", "AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_AFFINITY": "1",
            "AFL_FAST_CAL": "1",
            "AFL_IGNORE_SEED_PROBLEMS": "1", "ASAN_OPTIONS": service.RUN["ASAN_OPTIONS"] + ":abort_on_error=1:symbolize=0",
            "MSAN_OPTIONS": "exit_code=86:abort_on_error=1:symbolize=0"}  # AFL++ refuses others, whatever is built
    command = ["-i", build.seeds(target), "-o", shown, "-m", "none", "-t", "5000+", "-V", str(seconds), "-s", "1337",
               "-x", os.path.join(build.jail.shown_out, target + ".dict"), "--", os.path.join(build.jail.shown_out, target)]
    code, output = build.jail.run("/usr/bin/afl-fuzz", *command, more=more, seconds=seconds + 240, dev=True)
    need("All set and ready to roll" in output, f"{target} does not start under AFL++ (exit code {code}): {tail(output)}")
    with open(os.path.join(here, "default/fuzzer_stats"), encoding="utf-8") as file:
        stats = dict(re.findall(r"^(\w+)\s*: (.*)$", file.read(), re.M))
    need(stats["saved_crashes"] == "0" and stats["saved_hangs"] == "0",
         f"{target} under AFL++: {stats['saved_crashes']} crashes, {stats['saved_hangs']} hangs")
    need(int(stats["execs_done"]) > 10 * seconds, f"{target} under AFL++: {stats['execs_done']} runs in {seconds} s")
    need(int(stats["corpus_found"]) > 0, f"{target} under AFL++ found nothing new in {stats['execs_done']} runs")
    # Its guards see pools of the harness grow, in code that libFuzzer's build does not count: 83 % here. Runs are equal all
    # the same, which the check "replays" looks at.
    need(float(stats["stability"].rstrip("%")) >= 60, f"{target} under AFL++: stability {stats['stability']}")
    build.say(f"{stats['execs_done']} runs in {seconds} s, {stats['corpus_found']} inputs found beside "
              f"{int(stats['corpus_count']) - int(stats['corpus_found'])} seeds, stability {stats['stability']}")


def run_loop(build, target, seconds):
    """The stand-in for honggfuzz: each seed a hundred times, then changed bytes, all in one process."""
    names = sorted(os.listdir(build.seeds_here(target)))
    paths = [os.path.join(build.seeds(target), name) for name in names]
    started = time.monotonic()
    code, output = build.jail.run(target, f"--seconds={seconds}", "--replays=100", *paths, options=build.options,
                                  seconds=seconds + 120)
    last = re.search(r"^Sz:\d+ Tm:\d+us runs:(\d+) guards:(\d+) of (\d+)$", output, re.M)
    need(code == 0 and last, f"{target} fails under a driver like honggfuzz's (exit code {code}): {tail(output)}")
    need(int(last[2]) >= service.EDGES, f"{target}: a driver like honggfuzz's sees {last[2]} edges only")
    build.say(f"{last[1]} runs in {time.monotonic() - started:.0f} s, {last[2]} of {last[3]} edges")


def missing(engine):
    """Raises Skipped when this machine lacks the engine."""
    if engine == "afl" and not all(os.path.exists(path) for path in ("/usr/bin/afl-fuzz", "/usr/bin/afl-clang-fast++")):
        raise Skipped("no AFL++ here: apt-get install afl++")
    if engine not in ENGINES:
        raise Failed(f"unknown engine {engine}")
