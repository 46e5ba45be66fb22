#!/usr/bin/env python3
"""Compares traces and diagrams between flavours: a run must not depend on compiler or sanitizer.

    ci/compare_traces.py [FLAVOUR...]       reads build/FLAVOUR/bug_traces.txt (written by corpus/bugs_test)
                                            and, where there is one, bug_diagrams.txt (fuzz_explain_test)
                                            and random_traces.txt (fuzz_exec_test: hundreds of random programs)

Without names: every flavour that has the file. Each (program, switch on or off) that all flavours agree on counts as
passed. Last line: "N passed, N failed".
"""
import glob
import hashlib
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(path):
    traces = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                bug, on, off = line.split()
                traces[bug, "on"] = on
                traces[bug, "off"] = off
    diagrams = os.path.join(os.path.dirname(path), "bug_diagrams.txt")
    if os.path.exists(diagrams):
        with open(diagrams, encoding="utf-8") as file:
            for part in file.read().split("=== ")[1:]:
                bug, _, text = part.partition("\n")
                traces[bug, "diagram"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    programs = os.path.join(os.path.dirname(path), "random_traces.txt")
    if os.path.exists(programs):
        with open(programs, encoding="utf-8") as file:
            for line in file:
                last, digest = line.split()
                traces[f"{last} random programs", "traces"] = digest
    return traces


def main(names):
    failed = 0
    files = {}
    if names:
        for name in names:
            path = os.path.join(ROOT, "build", name, "bug_traces.txt")
            if os.path.exists(path):
                files[name] = path
            else:
                print(f"FAILED {name}: no build/{name}/bug_traces.txt; run corpus/bugs_test there")
                failed += 1
    else:
        for path in sorted(glob.glob(os.path.join(ROOT, "build", "*", "bug_traces.txt"))):
            files[os.path.basename(os.path.dirname(path))] = path
    traces = {name: read(path) for name, path in files.items()}
    passed = 0
    if len(traces) >= 2:
        for key in sorted(set().union(*traces.values())):
            # A flavour that does not build fuzz/explain has no diagrams at all, a slow one ran fewer random programs.
            seen = {name: found.get(key, "missing") for name, found in traces.items()
                    if key in found or key[1] in ("on", "off")
                    or (key[1] == "diagram" and any(kind == "diagram" for _, kind in found))}
            if len(set(seen.values())) == 1:
                passed += 1
            else:
                failed += 1
                print(f"FAILED {key[0]} {key[1]}: " + " ".join(f"{name}={trace}" for name, trace in seen.items()))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if "--help" in sys.argv:
        print(__doc__.strip())
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
