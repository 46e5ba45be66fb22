"""clang-tidy over what a build compiled: minutes, so not among the checks that every test run makes."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from lint.tree import Finding

BINARY = "clang-tidy-19"


def check_clang_tidy(tree, build, since=None):
    database = pathlib.Path(build) / "compile_commands.json"
    if shutil.which(BINARY) is None:
        return [Finding(".clang-tidy", 1, f"{BINARY} is not installed: ci/bootstrap installs it")]
    if not database.is_file():
        return [Finding(".clang-tidy", 1, f"no {database}: cmake --preset release")]
    names = compiled(tree, database)
    if since is not None:
        names = [name for name in names if name in changed(tree, since)]
    findings = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, output in enumerate(pool.map(lambda name: _run(tree, database.parent, name), names), 1):
            print(f"\rclang-tidy: {done} of {len(names)} files", end="", file=sys.stderr, flush=True)
            for finding in parse(tree, output):
                findings[str(finding)] = finding  # headers are met by many files
    if names:
        print(file=sys.stderr)
    return list(findings.values())


def compiled(tree, database):
    names = {os.path.relpath(command["file"], tree.root) for command in json.loads(database.read_text())}
    return sorted(names.intersection(tree.files))


def changed(tree, since):
    run = subprocess.run(["git", "-C", str(tree.root), "diff", "--name-only", since], capture_output=True, text=True,
                         check=False)
    if run.returncode != 0:
        raise SystemExit(f"ci/tidy.py: --since {since}: {run.stderr.strip()}")
    return set(run.stdout.splitlines())


def parse(tree, output):
    root = re.escape(str(tree.root.resolve()))
    pattern = rf"^(?:{root}/)?([^/\s][^:\s]*):(\d+):\d+: (?:warning|error): (.*)$"
    return [Finding(name, int(line), message) for name, line, message in re.findall(pattern, output, re.M)]


def _run(tree, build, name):
    return subprocess.run([BINARY, "--quiet", "-p", str(build), name], cwd=tree.root, capture_output=True, text=True,
                          check=False).stdout
