"""Source files: each in a target, no banned names, lines that fit, headers that say what tests them."""
import fnmatch
import re

from lint.tree import Finding, is_test, strip_code

COLUMNS_MAX = 120

# (pattern, what to use instead). Outside fs/rt nothing may depend on time, threads or chance.
BANNED = [
    (r"std::(?:thread|jthread|this_thread)\b", "rt::spawn (fs/rt/task.h)"),
    (r"std::(?:\w*_)?mutex\b|std::(?:lock_guard|unique_lock|shared_lock|scoped_lock)\b|\bpthread_\w+",
     "rt::Mutex, rt::RwSem or rt::SpinLock; for the library's own bookkeeping RawLock (fs/base/raw_lock.h)"),
    (r"std::condition_variable\w*", "rt::WaitQueue (fs/rt/wait_queue.h)"),
    (r"std::atomic\w*", "rt::Atomic (fs/rt/atomic.h) or rt::RefCount"),
    (r"std::(?:promise|future|async|latch|barrier|\w*semaphore)\b", "rt::Completion (fs/rt/completion.h)"),
    (r"std::chrono\b|\b(?:clock_gettime|gettimeofday|nanosleep|usleep)\s*\(|(?<![\w.>:])time\s*\(\s*(?:nullptr|NULL|0)",
     "rt::clock_now (fs/rt/clock.h)"),
    (r"std::random_device|(?<![\w.>:])s?rand\s*\(|\b(?:getrandom|arc4random)\w*\s*\(|std::random_shuffle",
     "prog::Random (fuzz/prog/random.h), seeded by the caller"),
    (r"std::(?:uniform|normal|bernoulli|discrete)_\w+", "prog::Random: library distributions differ between libraries"),
    (r"std::mt19937\w*|std::default_random_engine", "prog::Random (fuzz/prog/random.h)"),
    (r"std::unordered_\w+", "std::map, a sorted vector or an array: hash order must not decide anything"),
    (r"\b(?:secure_)?getenv\s*\(", "an option passed in by the caller"),
]

# (path pattern, pattern of the name, reason). A new line here needs a reason that a reader accepts.
ALLOWED = [
    ("fs/rt/*", r".*", "the seam itself"),
    ("fs/base/report.cc", r"std::(mutex|lock_guard)", "message list below the seam; never held across a point"),
    ("fs/pmem/mapping.*", r"std::(mutex|lock_guard)", "serialises msync of the host's file; never held across a point"),
    ("fuzz/bench/*", r".*", "benchmarks measure real time and compare with the standard library"),
    ("fuzz/tools/*", r"clock_gettime.*|std::chrono", "budgets in seconds of real time; not part of any run"),
    ("fuzz/tools/*", r"(secure_)?getenv.*", "the command line's environment; not part of any run"),
    ("fuzz/targets/*", r"(secure_)?getenv.*", "engines pass a target's options in the environment only"),
    ("*_test.cc", r"std::mt19937.*", "a fixed seed gives the same numbers with every standard library"),
    ("*test*.h", r"std::mt19937.*", "a fixed seed gives the same numbers with every standard library"),
    ("*_test.cc", r"(secure_)?getenv.*", "widening a test by hand"),
    ("props/*", r"(secure_)?getenv.*", "widening a property by hand"),
    ("props/*guest*", r"usleep\s*\(|std::atomic\w*", "a virtual machine and the test that asks it; not part of any run"),
    ("docs/examples/*", r".*", "a program of the library's user"),
]


def check_banned(tree):
    findings = []
    for name in tree.sources():
        for number, line in enumerate(strip_code(tree.text(name)).splitlines(), 1):
            if line.lstrip().startswith("#"):
                continue
            for pattern, instead in BANNED:
                for match in re.finditer(pattern, line):
                    if not allowed(name, match.group(0)):
                        findings.append(Finding(name, number, f"{match.group(0).strip()} is banned here: use {instead}"))
    return findings


def allowed(name, text):
    return any(fnmatch.fnmatch(name, path) and re.fullmatch(pattern, text) for path, pattern, _ in ALLOWED)


# Headers for users of the library that nothing here includes; ci/package_test compiles them.
FOR_USERS = {"fs/rt/rt.h"}


def check_targets(tree):
    """A file that no target builds rots unseen. Headers count when something that belongs includes them."""
    belonging = {name for name in tree.listed_sources() if name in tree.files}
    pending = list(belonging)
    while pending:
        for target in re.findall(r'^\s*#\s*include\s+"([^"]+)"', tree.text(pending.pop()), flags=re.M):
            if target in tree.files and target not in belonging:
                belonging.add(target)
                pending.append(target)
    return [Finding(name, 1, "belongs to no target: list it in its folder's CMakeLists.txt, or include it")
            for name in tree.sources() if name not in belonging | FOR_USERS]


def check_headers(tree):
    findings = []
    for name in tree.sources():
        lines = tree.lines(name)
        if not name.endswith((".h", ".hpp")):
            continue
        if not lines or not lines[0].startswith(f"// {name} - "):
            findings.append(Finding(name, 1, f"begin with '// {name} - one sentence of purpose.'"))
        if name.endswith(".h") and "#pragma once" not in lines:
            findings.append(Finding(name, 1, "add #pragma once"))
        comment = " ".join(line.lstrip("/ ") for line in lines[:80] if line.startswith("//"))
        if not is_test(name) and name.endswith(".h") and "Tested by:" not in comment:
            findings.append(Finding(name, 1, "add 'Tested by: FILE.' to the header comment"))
        tested = re.search(r"Tested by:\s*(.*)", comment)
        for path in re.findall(r"\b(?:fs|fuzz|props)/[\w/]+\.cc\b", tested.group(1)) if tested else []:
            if path not in tree.files:
                findings.append(Finding(name, 1, f"'Tested by: {path}' names a file that does not exist"))
    return findings


def check_lines(tree):
    findings = []
    for name in tree.sources():
        for number, line in enumerate(tree.lines(name), 1):
            if len(line) > COLUMNS_MAX:
                findings.append(Finding(name, number, f"{len(line)} columns; break the line ({COLUMNS_MAX} at most)"))
            if line != line.rstrip():
                findings.append(Finding(name, number, "white space at the end of the line"))
    return findings


def check_historical(tree):
    """Every switch is asked somewhere in fs/: a bug that nothing models would look found by nobody."""
    table = "fs/base/historical.h"
    if table not in tree.files:
        return []
    code = "\n".join(tree.text(name) for name in tree.sources()
                     if name.startswith("fs/") and not is_test(name) and name != table)
    findings = []
    corpus = [name for name in tree.files if name.startswith("corpus/bugs/")]
    for number, line in enumerate(tree.lines(table), 1):
        row = re.match(r'\s*X\((k\w+), "([^"]+)"', line)
        if not row:
            continue
        if f"Bug::{row.group(1)}" not in code:
            findings.append(Finding(table, number, f"nothing in fs/ asks historical(Bug::{row.group(1)})"))
        bug = row.group(2)
        if corpus and not any(name.startswith(f"corpus/bugs/{bug}/") for name in corpus):
            findings.append(Finding(table, number, f"no corpus/bugs/{bug}/: add a program that replays it"))
    return findings


# Guarded members that are no data of tasks: (path, member, reason).
UNWATCHED = []


def check_shared(tree):
    """What a lock guards says so to the detector of data races, or nobody would miss the lock."""
    findings = []
    for name in tree.sources():
        if not name.startswith("fs/") or name.startswith(("fs/base/", "fs/rt/")) or is_test(name):
            continue
        code = strip_code(tree.text(name))
        raw = set(re.findall(r"\bRawLock\s+(\w+)", code))
        for number, line in enumerate(code.splitlines(), 1):
            member = re.search(r"(\w+)(?:\[\w+\])?\s+FS_GUARDED_BY\(([\w.>-]+)\)", line)
            if not member or "rt::Shared<" in line or member.group(2) in raw:
                continue
            if not any(name == path and member.group(1) == field for path, field, _ in UNWATCHED):
                findings.append(Finding(name, number, f"{member.group(1)} is guarded by {member.group(2)}: make it an "
                                                      "rt::Shared<T, \"name\"> (fs/rt/shared.h), which finds data races"))
    return findings
