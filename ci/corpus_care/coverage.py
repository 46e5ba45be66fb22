"""The coverage report of a corpus: HTML by folder, and whether each uncovered line has a reason."""
import fnmatch
import glob
import json
import os
import re
import subprocess
import tempfile

from . import page
from .programs import Broken, packed
from service_check.build import Build
from service_check.report import Failed

LEAST = 90  # percent of the lines of fs/ that a program on a sound image could reach
TARGETS = ("syscalls_fuzzer", "image_fuzzer", "xarray_fuzzer")  # the first runs programs; the others have inputs of their own
REASONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "uncovered.txt")


class File:
    """Coverage of one source, from llvm-cov's lcov output."""

    def __init__(self, name):
        self.name = name       # from fs/ on
        self.lines = {}        # number: count
        self.branches = [0, 0]  # covered, all
        self.functions = []    # (first line, name)

    def function_at(self, line):
        return max((entry for entry in self.functions if entry[0] <= line), default=(0, ""))[1]

    def uncovered_blocks(self):
        """Runs of lines that nothing covered, without a covered line between."""
        blocks = []
        open_block = []
        for number in sorted(self.lines):
            if self.lines[number] == 0:
                open_block.append(number)
            elif open_block:
                blocks.append(open_block)
                open_block = []
        return blocks + ([open_block] if open_block else [])


def command(*arguments):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"{arguments[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def parse_lcov(text, top):
    """{name: File} of the sources below `top`/fs."""
    found = {}
    file = None
    for line in text.splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            name = os.path.relpath(rest, top)
            file = found.setdefault(name, File(name)) if name.startswith("fs/") else None
        elif file is None:
            continue
        elif kind == "DA":
            number, count = rest.split(",")[:2]
            file.lines[int(number)] = max(file.lines.get(int(number), 0), int(count))
        elif kind == "FN":
            number, name = rest.split(",", 1)
            file.functions.append((int(number), name))
        elif kind == "BRDA":
            file.branches[0] += rest.rsplit(",", 1)[1] not in ("-", "0")
            file.branches[1] += 1
    names = sorted({name for file in found.values() for _, name in file.functions})
    plain = subprocess.run(["llvm-cxxfilt-19"], input="\n".join(name.rsplit(":", 1)[-1] for name in names), text=True,
                           stdout=subprocess.PIPE, check=True).stdout.split("\n")
    readable = dict(zip(names, plain))
    for file in found.values():
        file.functions = sorted((number, readable[name]) for number, name in file.functions)
    return found


def read_reasons(path=REASONS):
    """[(glob of files, (where to look, expression), reason, line number)]"""
    rules = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.startswith("#"):
                parts = [part.strip() for part in line.split(" | ")]
                if len(parts) != 3:
                    raise Broken(f"{path}:{number}: expected FILES | EXPRESSION | REASON")
                after = parts[1].startswith("after ")
                rules.append((parts[0], (after, re.compile(parts[1][6:] if after else parts[1])), parts[2], number))
    return rules


def explain(files, rules, text_of):
    """[(file, block, function, reason or None)], and the numbers of the rules that explained nothing."""
    explained, used = [], set()
    for file in sorted(files.values(), key=lambda one: one.name):
        source = text_of(file.name)
        for block in file.uncovered_blocks():
            function = file.function_at(block[0])
            shown = "\n".join(source[number - 1] for number in block[:2] if number <= len(source))
            before = "\n".join(source[max(0, block[0] - 3):block[0] - 1])

            def fits(rule):
                after, expression = rule[1]
                if not fnmatch.fnmatch(file.name, rule[0]):
                    return False
                return bool(expression.search(before) if after else expression.search(shown) or expression.search(function))

            rule = next((rule for rule in rules if fits(rule)), None)
            if rule:
                used.add(rule[3])
            explained.append((file.name, block, function, rule[2] if rule else None))
    return explained, [rule[3] for rule in rules if rule[3] not in used]


def run_target(target, folders, dumps):
    """Every input of the folders once, for the profile."""
    environment = dict(os.environ, LLVM_PROFILE_FILE=os.path.join(dumps, "%m-%p.profraw"))
    done = subprocess.run([target, "-runs=0", "-timeout=100", *folders], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise Broken(f"{target} ended with {done.returncode}: {done.stdout[-500:]}")


def run_bugs(target, root, dumps):
    """The program of each historical bug with its switch on: what speaks of findings speaks. RETURNS: how many did."""
    spoke = 0
    folder = os.path.join(root, "corpus/bugs")
    for where, _, names in sorted(os.walk(folder)):
        if "program.txt" not in names:
            continue
        environment = dict(os.environ, LLVM_PROFILE_FILE=os.path.join(dumps, "bugs-%8m.profraw"), DAXFUZZ_GO_ON="1",
                           DAXFUZZ_BUGS=os.path.relpath(where, folder))
        done = subprocess.run([target, "-timeout=100", os.path.join(where, "program.txt")], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        spoke += done.returncode == 0 and "FINDING " in done.stdout
    return spoke


def merged_profile(dumps):
    profile = os.path.join(dumps, "merged.profdata")
    command("llvm-profdata-19", "merge", "-sparse", *glob.glob(os.path.join(dumps, "*.profraw")), "-o", profile)
    return profile


def built_target(root):
    build = Build(root, "coverage", "libfuzzer", 0, None, os.path.join(root, "build/oss-fuzz"))
    try:
        build.build()
        return os.path.join(build.out, TARGETS[0]), build.tree
    except Failed as failed:
        raise Broken(str(failed)) from failed
    finally:
        build.close()


def report(root, tools, options):
    target, sources = (options.target, options.sources or root) if options.target else built_target(root)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as dumps:
        count = packed(tools, options.folders, folder)
        run_target(target, [folder], dumps)
        which = [target]
        for name, inputs in zip(TARGETS[1:], (options.images, options.sequences)):
            beside = os.path.join(os.path.dirname(target), name)
            if os.path.exists(beside):
                run_target(beside, inputs, dumps)
                which += ["-object", beside]
        where = [*which, os.path.join(sources, "fs")]
        sound = parse_lcov(command("llvm-cov-19", "export", "-format=lcov", "-instr-profile", merged_profile(dumps), *where), sources)
        spoke = run_bugs(target, root, dumps)
        which = ["-instr-profile", merged_profile(dumps), *where]
        files = parse_lcov(command("llvm-cov-19", "export", "-format=lcov", *which), sources)
        os.makedirs(options.output, exist_ok=True)
        command("llvm-cov-19", "show", "-format=html", "-show-branches=count", "-output-dir", options.output + "/lines", *which)
        measured = json.loads(tools.run("daxfuzz", "measure", "--json", folder))

    def text_of(name):
        with open(os.path.join(sources, name), encoding="utf-8") as source:
            return source.read().split("\n")

    explained, unused = explain(files, read_reasons(), text_of)
    sound_summary, summary = page.totals(sound, measured), page.totals(files, measured)
    page.write(options.output, summary, explained, measured, count, os.path.abspath(sources))
    covered, lines = summary["fs"]["lines"]
    reached = page.reachable(summary["fs"]["lines"], explained)
    without = [entry for entry in explained if entry[3] is None]
    sound_covered = sound_summary["fs"]["lines"][0]
    print(f"{count} programs: {sound_covered} of {lines} lines of fs/ ({100 * sound_covered / lines:.1f} %), {measured['orders']} orders")
    print(f"and {spoke} programs of historical bugs with their switches on: {covered} of {lines} lines ({100 * covered / lines:.1f} %)")
    plain = page.without_judges(sound_summary)
    print(f"of the filesystem alone, without judges and engine ({', '.join(page.FILESYSTEM)}): {plain[0]} of {plain[1]} lines "
          f"({100 * plain[0] / plain[1]:.1f} %)")
    print(f"of what a program on a sound image could reach (reasons in {os.path.relpath(REASONS, root)}): {reached[0]} of {reached[1]} "
          f"lines ({100 * reached[0] / reached[1]:.1f} %)")
    by_kind = {}
    for _, block, _, reason in explained:
        kind = reason.split(":")[0] if reason else "no reason"
        by_kind[kind] = by_kind.get(kind, 0) + len(block)
    print(f"uncovered: {lines - covered} lines in {len(explained)} places; lines by reason: " +
          ", ".join(f"{kind} {count}" for kind, count in sorted(by_kind.items(), key=lambda item: -item[1])))
    for name, block, function, _ in without[:20]:
        print(f"  {name}:{block[0]}: {function}: no reason in {os.path.relpath(REASONS, root)}")
    print(f"{os.path.join(options.output, 'index.html')}")
    if options.check and (without or 100 * reached[0] < LEAST * reached[1]):
        print(f"--check wants {LEAST} % of what a program could reach, and a reason for every other line")
        return 2
    for number in unused:
        print(f"{os.path.relpath(REASONS, root)}:{number}: explains nothing in this run")
    return 0
