"""C++ stands as .clang-format has it. One binary of one version judges, so that two machines never disagree."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess

from lint.tree import Finding

BINARY = "clang-format-19"
SUFFIXES = {".cc", ".c", ".h", ".hpp"}
FILES_PER_CALL = 40


def check_format(tree, binary=BINARY):
    names = sorted(name for name in tree.files if pathlib.PurePath(name).suffix in SUFFIXES)
    if not names:
        return []
    if shutil.which(binary) is None:
        return [Finding(".clang-format", 1, f"{binary} is not installed: ci/bootstrap installs it")]
    calls = [names[first:first + FILES_PER_CALL] for first in range(0, len(names), FILES_PER_CALL)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outputs = list(pool.map(lambda call: _violations(tree, binary, call), calls))
    findings = {}
    for output in outputs:
        for name, line in re.findall(r"^(\S+?):(\d+):\d+: warning: code should be clang-formatted", output, re.M):
            findings.setdefault(name, Finding(name, int(line), f"not formatted: {binary} -i {name}"))
    return list(findings.values())


def _violations(tree, binary, names):
    # --style=file alone would fall back on LLVM's style where .clang-format is missing.
    run = subprocess.run([binary, "--dry-run", "--style=file:.clang-format", *names], cwd=tree.root,
                         capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise RuntimeError(f"{binary}: {run.stderr.strip()}")
    return run.stderr
