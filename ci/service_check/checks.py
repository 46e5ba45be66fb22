"""The checks: each takes a Build and returns nothing, or raises Failed with the reason, or Skipped."""
import configparser
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import zipfile

from . import engines, service
from .report import Failed, Skipped, need, tail

EXPECTED = {"", "_seed_corpus.zip", ".dict", ".options"}
SHARED = re.compile(r"^(linux-vdso|ld-linux|libc\.|libm\.|libdl\.|libpthread\.|librt\.|libresolv\.|libgcc_s\.|"
                    r"libc\+\+|libunwind|libstdc\+\+)")  # shared in Debian's packages, static in the services' image
PLANTED_BUG = "no-break-layouts-at-all/punch"


PROJECT_KEYS = set("""architectures auto_ccs blackbox builds_per_day coverage_extra_args disabled fuzzing_engines help_url homepage
    labels language main_repo primary_contact run_tests sanitizers selective_unpack vendor_ccs view_restrictions
    file_github_issue indexer base_os_version""".split())


def check_integration(build):
    """project.yaml, Dockerfile and build.sh of both services: keys, licence, the same packages and base."""
    def read(path):
        with open(os.path.join(build.tree, path), encoding="utf-8") as file:
            return file.read()

    def keys(path):
        return dict(re.findall(r"^(\w+):[ ]*(.*)$", read(path), re.M))

    ours, lite = keys("ci/oss-fuzz/project.yaml"), keys(".clusterfuzzlite/project.yaml")
    unknown = set(ours) - PROJECT_KEYS
    need(not unknown, f"ci/oss-fuzz/project.yaml: services do not know {', '.join(sorted(unknown))}")
    need({"language", "main_repo"} <= set(ours), "ci/oss-fuzz/project.yaml lacks language or main_repo")
    for key, value in lite.items():
        need(ours.get(key) == value, f".clusterfuzzlite/project.yaml has another {key} than ci/oss-fuzz/project.yaml")
    for name in ("Dockerfile", "build.sh"):
        need("Licensed under the Apache License, Version 2.0" in read(f"ci/oss-fuzz/{name}"), f"ci/oss-fuzz/{name} has no licence")
    recipes = [re.sub(r"^(#|COPY|WORKDIR|RUN git).*\n|\n", "", read(path), flags=re.M)
               for path in ("ci/oss-fuzz/Dockerfile", ".clusterfuzzlite/Dockerfile")]
    need(recipes[0] == recipes[1], "the Dockerfiles of ci/oss-fuzz and .clusterfuzzlite differ in base or packages")
    need(f"base-builder:{ours.get('base_os_version')}" in recipes[0], "the Dockerfiles' base is not base_os_version's")


def check_flags(build):
    """No instrumentation and no processor but the caller's; every file of the target has the caller's flags."""
    with open(os.path.join(build.work, "build/compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    callers = build.environment["CXXFLAGS"].split()
    for entry in entries:
        words = shlex.split(entry["command"])
        name = os.path.relpath(entry["file"], build.tree)
        for flag in callers:
            need(flag in words, f"{name} is compiled without {flag} of $CXXFLAGS")
        for word in words:
            added = re.match(r"-(fsanitize|O|march|mtune|fprofile|fcoverage|stdlib)", word) and word not in callers
            need(not added, f"{name} is compiled with {word}, which is not in $CXXFLAGS")


def check_contents(build):
    """$OUT has targets with what belongs to each, and nothing else that is executable or calls itself a target."""
    need(build.targets, "$OUT has no target")
    for name in sorted(os.listdir(build.out)):
        path = os.path.join(build.out, name)
        with open(path, "rb") as file:
            start = file.read(4)
        runs = os.access(path, os.X_OK) or start == b"\x7fELF"
        need(not runs or name in build.targets, f"{name} in $OUT is executable and no target: services would run it as one")
        owner = next((target for target in build.targets if name.startswith(target)), None)
        need(owner is not None and name[len(owner):] in EXPECTED, f"{name} in $OUT belongs to no target")
    for target in build.targets:
        need(re.fullmatch(r"[A-Za-z0-9_-]+_fuzzer", target), f"{target}: services want [A-Za-z0-9_-]+_fuzzer")
        missing = [target + end for end in EXPECTED if not os.path.exists(os.path.join(build.out, target + end))]
        need(not missing, f"$OUT lacks {', '.join(missing)}")
        options = configparser.ConfigParser()
        options.read(os.path.join(build.out, target + ".options"))
        unknown = set(options.sections()) - {"libfuzzer", "asan", "msan", "ubsan"}
        need(not unknown, f"{target}.options: services do not read {unknown}")
        with zipfile.ZipFile(os.path.join(build.out, target + "_seed_corpus.zip")) as seeds:
            need(len(seeds.namelist()) > 5, f"{target}_seed_corpus.zip has {len(seeds.namelist())} seeds")
            limit = options.getint("libfuzzer", "max_len")
            large = [seed.filename for seed in seeds.infolist() if seed.file_size > limit]
            need(not large, f"{target}: seeds longer than max_len = {limit}: {large}")


def check_architecture(build):
    """x86-64, and no shared library that the services' machines lack."""
    for target in build.targets:
        path = os.path.join(build.out, target)
        with open(path, "rb") as file:
            head = file.read(20)
        need(head[:5] == b"\x7fELF\x02" and head[18:20] == b"\x3e\x00", f"{target} is not built for x86-64")
        libraries = re.findall(r"^\s*(\S+)", subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True,
                                                            check=False).stdout, re.M)
        strange = [name for name in libraries if not SHARED.match(os.path.basename(name))]
        need(not strange, f"{target} needs {', '.join(strange)}, which the services' machines lack")


def check_instrumentation(build):
    """Counts of calls, as bad_build_check has them: the right sanitizer and no other."""
    for target in build.targets:
        listing = subprocess.Popen(["objdump", "-d", "--no-show-raw-insn", os.path.join(build.out, target)],
                                   stdout=subprocess.PIPE, text=True)
        counts = dict.fromkeys(service.CALLS[build.sanitizer], 0)
        for line in listing.stdout:
            called = re.search(r"callq?\s+[0-9a-f]+\s+<(__[a-z]+)", line)
            if called and called.group(1) in counts:
                counts[called.group(1)] += 1
        need(listing.wait() == 0, "objdump failed")
        for name, (least, most) in service.CALLS[build.sanitizer].items():
            need(counts[name] >= least, f"{target}: {counts[name]} calls of {name} in the {build.sanitizer} build, at least "
                                        f"{least} wanted: is it compiled with $CXXFLAGS?")
            need(most is None or counts[name] <= most, f"{target}: {counts[name]} calls of {name} in the "
                 f"{build.sanitizer} build, at most {most} allowed: another sanitizer got in")
        build.say(", ".join(f"{count} {name}" for name, count in counts.items()))


def check_startup(build):
    """Four runs from seed 1337 without seeds, with use-after-return on: no crash, no exit, instrumented."""
    for target in build.targets:
        code, output = build.jail.run(target, "--", *service.FUZZER_ARGS, "-seed=1337", "-runs=4", more={"SKIP_SEED_CORPUS": "1"})
        need("no interesting inputs were found" not in output, f"{target} has no coverage instrumentation")
        need("Done 4 runs" in output, f"{target} did not say 'Done 4 runs' (exit code {code}): {tail(output)}")
        edges = re.search(r"INFO: Loaded \d+ module.*\(\d+ .*(?:counters|guards)\):\s+(\d+)", output)
        edges = int((edges or re.search(r"\((\d+) inline 8-bit counters\)", output)).group(1))
        need(edges >= service.EDGES, f"{target} has {edges} edges: only a part is instrumented")
        build.say(f"{edges} edges")


def check_empty(build):
    """The empty input."""
    here, shown = build.jail.path("empty")
    open(here, "wb").close()
    for target in build.targets:
        code, output = build.jail.run(target, *service.FUZZER_ARGS, shown)
        need(code == 0, f"{target} does not survive the empty input (exit code {code}): {tail(output)}")


def check_seeds(build):
    """Every seed once, in 25 s and 2,560 MB each; with the target's options, and with the services' alone."""
    for target in build.targets:
        for options in (build.options, ""):
            code, output = build.jail.run(target, *service.FUZZER_ARGS, "-runs=0", build.seeds(target), options=options)
            need(code == 0, f"{target} fails on its seed corpus with {options or 'the options of services alone'} "
                            f"(exit code {code}): {tail(output)}")


def traces_of(output):
    """The trace hashes that each input's runs printed, by the input's name."""
    found = {}
    for part in re.split(r"^Running: ", output, flags=re.M)[1:]:
        found[os.path.basename(part.split("\n", 1)[0].strip())] = re.findall(r"^trace=(\w+)$", part, re.M)
    return found


def check_replays(build):
    """A hundred replays of each seed in one process are the same run, and the same in a process with another past."""
    more = {"DAXFUZZ_TRACES": "1"}
    for target in build.targets:
        names = sorted(os.listdir(build.seeds_here(target)))
        paths = [os.path.join(build.seeds(target), name) for name in names]
        code, output = build.jail.run(target, *service.FUZZER_ARGS, "-runs=100", *paths, more=more, options=build.options)
        need(code == 0, f"{target} fails when its seeds are replayed (exit code {code}): {tail(output)}")
        found = traces_of(output)
        code, output = build.jail.run(target, *service.FUZZER_ARGS, *reversed(paths), more=more)
        need(code == 0, f"{target} fails on its seeds in reverse order (exit code {code}): {tail(output)}")
        backwards = traces_of(output)
        for name in names:
            runs = found.get(name, [])
            need(len(runs) >= 100, f"{target}: {len(runs)} of 100 replays of seed {name} ran")
            need(len(set(runs)) == 1, f"{target}: replays of seed {name} in one process differ: state is left between runs")
            need(set(backwards.get(name, [])) == set(runs), f"{target}: runs of seed {name} differ with what ran before")
        build.say(f"{len(names)} seeds")


def check_files(build):
    """Nothing outside /tmp is written, removed or renamed, and /dev is not opened: system calls are watched."""
    if shutil.which("strace") is None:
        raise Skipped("no strace here: apt-get install strace")
    for target in build.targets:
        here, shown = build.jail.path("calls")
        wrap = ["strace", "-f", "-qq", "-e", "trace=%file", "-o", shown]
        # Not LeakSanitizer: it cannot work beside strace.
        code, output = build.jail.run(target, *service.FUZZER_ARGS, "-seed=1337", "-runs=20", options="detect_leaks=0", wrap=wrap)
        need(code == 0, f"{target} fails under strace (exit code {code}): {tail(output)}")
        with open(here, encoding="utf-8", errors="replace") as file:
            for line in file:
                changes = re.search(r"(O_WRONLY|O_RDWR|O_CREAT|\b(?:creat|mkdir|unlink|rename|link|symlink|chmod|truncate|mknod)(?:at2?|at)?\()",
                                    line)
                for path in re.findall(r'"([^"]*)"', line):
                    need(not path.startswith("/dev/"), f"{target} opens {path}: services have no /dev")
                    inside = path.startswith(build.jail.shown + "/") and not path.startswith(build.jail.shown_out)
                    need(not changes or inside, f"{target} writes {path}: only /tmp is writable in services")


def check_merge(build):
    """-merge=1, which services prune corpora and make coverage reports with."""
    for target in build.targets:
        here, shown = build.jail.path("merged")
        os.makedirs(here, exist_ok=True)
        code, output = build.jail.run(target, "-merge=1", "-timeout=100", shown, build.seeds(target), options=build.options)
        kept = len(os.listdir(here))
        need(code == 0 and kept > 0, f"{target} -merge=1 kept {kept} inputs (exit code {code}): {tail(output)}")
        build.say(f"{kept} of {len(os.listdir(build.seeds_here(target)))} seeds kept")


def check_minimize(build):
    """-minimize_crash on a planted finding: smaller, and still a finding."""
    target = "syscalls_fuzzer"
    bug = {"DAXFUZZ_BUGS": PLANTED_BUG}
    here, shown = build.jail.path("finding")
    shutil.copy(build.bug_program(PLANTED_BUG), here)
    small_here, small = build.jail.path("small")
    build.jail.run(target, "-minimize_crash=1", "-runs=200", "-seed=1", f"-exact_artifact_path={small}", shown, more=bug,
                   options="symbolize=0")
    need(os.path.exists(small_here), f"{target} -minimize_crash wrote nothing")
    need(os.path.getsize(small_here) < os.path.getsize(here), f"{target} -minimize_crash made nothing smaller")
    code, output = build.jail.run(target, small, more=bug, options="symbolize=0")
    need(code != 0 and "FINDING" in output, f"{target}: what -minimize_crash left is no finding (exit code {code})")
    build.say(f"{os.path.getsize(here)} -> {os.path.getsize(small_here)} bytes")


def check_cleanse(build):
    """-cleanse_crash on the minimised finding: bytes that do not matter are replaced, it is still a finding."""
    target = "syscalls_fuzzer"
    bug = {"DAXFUZZ_BUGS": PLANTED_BUG}
    here, shown = build.jail.path("small")
    need(os.path.exists(here), "there is no minimised finding")
    clean_here, clean = build.jail.path("clean")
    code, output = build.jail.run(target, "-cleanse_crash=1", f"-exact_artifact_path={clean}", shown, more=bug,
                                  options="symbolize=0", seconds=600)
    need(code == 0, f"{target} -cleanse_crash failed (exit code {code}): {tail(output)}")
    if not os.path.exists(clean_here):  # every byte matters
        raise Skipped(f"nothing to cleanse: {tail(output, 1)}")
    code, output = build.jail.run(target, clean, more=bug, options="symbolize=0")
    need(code != 0 and "FINDING" in output, f"{target}: what -cleanse_crash left is no finding (exit code {code})")


def check_profile(build):
    """What the services' coverage job does: -merge=1 writes a profile, from which llvm-cov makes the report."""
    for target in build.targets:
        here, shown = build.jail.path("dumps")
        os.makedirs(here, exist_ok=True)
        merged = build.jail.path("merged_for_profile")
        os.makedirs(merged[0], exist_ok=True)
        code, output = build.jail.run(target, "-merge=1", "-timeout=100", merged[1], build.seeds(target),
                                      more={"LLVM_PROFILE_FILE": os.path.join(shown, target + ".%1m.profraw")})
        raw = glob.glob(os.path.join(here, "*.profraw"))
        need(code == 0 and raw, f"{target} -merge=1 wrote no profile (exit code {code}): {tail(output)}")
        profile = os.path.join(here, "merged.profdata")
        subprocess.run(["llvm-profdata-19", "merge", "-sparse", *raw, "-o", profile], check=True)
        shown_as = subprocess.run(["llvm-cov-19", "export", "-summary-only", "-instr-profile", profile, os.path.join(build.out, target)],
                                  stdout=subprocess.PIPE, check=True)
        files = json.loads(shown_as.stdout)["data"][0]["files"]
        lines = [file["summary"]["lines"] for file in files if file["filename"].startswith(os.path.join(build.tree, "fs/"))]
        need(lines, f"{target}: the report has no file of fs/ under its path in the tree")
        covered, count = sum(line["covered"] for line in lines), sum(line["count"] for line in lines)
        least = service.COVERED[target]
        need(covered > least * count, f"{target}: the seeds cover {covered} of {count} lines of fs/, less than {least:.0%}")
        build.say(f"{covered} of {count} lines of fs/ by the seeds")


def check_afl(build):
    """AFL++ from the seeds, for a minute."""
    for target in build.targets:
        engines.run_afl(build, target, build.engine_seconds)


def check_loop(build):
    """A driver like honggfuzz's."""
    for target in build.targets:
        engines.run_loop(build, target, build.engine_seconds)


# In the order in which they run; the name is what --only takes.
CHECKS = {
    "integration": check_integration,
    "contents": check_contents,
    "architecture": check_architecture,
    "instrumentation": check_instrumentation,
    "flags": check_flags,
    "startup": check_startup,
    "empty": check_empty,
    "replays": check_replays,
    "files": check_files,
    "seeds": check_seeds,
    "merge": check_merge,
    "minimize": check_minimize,
    "cleanse": check_cleanse,
    "profile": check_profile,
    "afl": check_afl,
    "loop": check_loop,
}
OF_BUILD = ["integration", "contents", "architecture", "instrumentation", "flags"]
OF_BEHAVIOUR = ["startup", "empty", "replays", "files", "seeds", "merge", "minimize"]


def applicable(sanitizer, engine):
    """Names of the checks for a build."""
    if engine == "afl":
        return OF_BUILD + ["afl"]
    if engine == "honggfuzz":
        return OF_BUILD + ["loop"]
    if sanitizer == "memory" and not service.msan_library():  # a C++ library without MSan: it can be built, not run
        return OF_BUILD
    if sanitizer == "coverage":
        return [name for name in OF_BUILD if name != "instrumentation"] + ["empty", "profile"]
    return OF_BUILD + OF_BEHAVIOUR + ["cleanse"]
