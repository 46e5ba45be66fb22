#!/usr/bin/env python3
"""Runs every benchmark of a build directory and prints one table, with ratios of figures of the same run.

    ci/bench_table.py BUILD_DIR [--json FILE] [--min-time SECONDS] [--filter REGEX]
"""
import argparse
import json
import os
import stat
import subprocess
import sys

# name, numerator, denominator: nanoseconds of "program/benchmark", or of its counter behind a colon.
RATIOS = [
    ("OS-thread hand-off / sleep and wake", "rt_bench/BM_SleepWake:os_thread_ns", "rt_bench/BM_SleepWake"),
    ("fiber switch / point", "rt_bench/BM_FiberSwitch", "rt_bench/BM_Point"),
    ("complete run / mount and unmount", "run_bench/BM_CompleteRun", "run_bench/BM_MountAndUnmount"),
    ("observed / plain complete run", "run_bench/BM_CompleteRunObserved", "run_bench/BM_CompleteRun"),
    ("interval model / XArray, random operations", "xarray_bench/BM_RandomOpsModel", "xarray_bench/BM_RandomOps<6>"),
]
# What is asked of the release flavour: benchmark, comparison, limit, unit.
TARGETS = [
    ("rt_bench/BM_FiberSwitch", "time", "<=", 40.0, "ns"),
    ("rt_bench/BM_Point", "time", "<=", 3.0, "ns"),
    ("run_bench/BM_CompleteRun", "runs/s", ">=", 25000.0, "/s"),
]
# Programs that print a table of their own: not for Google Benchmark.
PLAIN = {"mutex_bench"}
NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def programs(build):
    found = []
    for folder, folders, names in os.walk(build):
        folders[:] = sorted(name for name in folders if name != "CMakeFiles")
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.endswith("_bench") and name not in PLAIN and os.path.isfile(path) and os.stat(path).st_mode & stat.S_IXUSR:
                found.append(path)
    return found


def run(path, options):
    command = [path, "--benchmark_format=json"]
    if options.min_time:
        command.append(f"--benchmark_min_time={options.min_time}")
    if options.filter:
        command.append("--benchmark_filter=" + options.filter)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0 or "{" not in text:
        if b"Failed to match any benchmarks" in done.stderr or (done.returncode == 0 and not text.strip()):
            return []  # the filter named others
        print(f"{path}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}", file=sys.stderr)
        return None
    rows = []
    known = {"name", "run_name", "run_type", "repetitions", "repetition_index", "threads", "iterations", "real_time",
             "cpu_time", "time_unit", "family_index", "per_family_instance_index"}
    for entry in json.loads(text[text.index("{"):])["benchmarks"]:
        name = os.path.basename(path) + "/" + entry["name"]
        if entry.get("error_occurred"):
            print(f"{name}: {entry.get('error_message')}", file=sys.stderr)
            return None
        # Threads that hand over to each other sleep meanwhile: what counts is the real time.
        base = name.split("/manual_time")[0].split("/real_time")[0]
        real = "real_time" in name or "manual_time" in name or "OsThread" in name
        counters = {key: value for key, value in entry.items() if key not in known and isinstance(value, (int, float))}
        # A benchmark whose iteration is many switches says itself what one costs.
        ns = counters.pop("ns_per_switch", entry["real_time" if real else "cpu_time"] * NANOSECONDS[entry["time_unit"]])
        rows.append({"name": base, "ns": ns, "counters": counters})
    return rows


def human(ns):
    for unit, scale in (("ns", 1.0), ("us", 1e3), ("ms", 1e6)):
        if ns < scale * 1000:
            return f"{ns / scale:.3g} {unit}" if ns < scale * 100 else f"{ns / scale:.0f} {unit}"
    return f"{ns / 1e9:.3g} s"


def per_second(ns):
    rate = 1e9 / ns if ns else 0.0
    for unit, scale in (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9)):
        if rate < scale * 1000:
            return f"{rate / scale:.3g}{unit}/s"
    return f"{rate:.3g}/s"


def figure(rows, name):
    name, _, counter = name.partition(":")
    if name not in rows:
        return None
    return rows[name]["counters"].get(counter) if counter else rows[name]["ns"]


def verdicts(rows):
    lines = []
    for name, what, sign, limit, unit in TARGETS:
        row = rows.get(name)
        if row is None:
            continue
        value = row["ns"] if what == "time" else row["counters"].get(what, 1e9 / row["ns"])
        good = value <= limit if sign == "<=" else value >= limit
        lines.append({"name": name, "value": value, "limit": limit, "unit": unit, "sign": sign, "met": good})
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--json")
    parser.add_argument("--min-time", help="seconds for each benchmark")
    parser.add_argument("--filter", help="only benchmarks that match")
    options = parser.parse_args()
    paths = programs(options.build)
    if not paths:
        print(f"{options.build}: no *_bench programs; build the target daxfuzz_bench", file=sys.stderr)
        return 1
    rows = {}
    for path in paths:
        found = run(path, options)
        if found is None:
            return 1
        rows.update((row["name"], row) for row in found)
    width = max(map(len, rows), default=20)
    print(f"{'benchmark':<{width}}  {'time':>9}  {'rate':>10}  counters")
    for row in rows.values():
        counters = "  ".join(f"{key} {value:,.4g}" for key, value in row["counters"].items() if key != "runs/s")
        print(f"{row['name']:<{width}}  {human(row['ns']):>9}  {per_second(row['ns']):>10}  {counters}".rstrip())
    ratios = []
    for name, above, below in RATIOS:
        numerator, denominator = figure(rows, above), figure(rows, below)
        if numerator and denominator:
            ratios.append({"name": name, "ratio": numerator / denominator})
    if ratios:
        print("\nratios")
        for ratio in ratios:
            print(f"  {ratio['name']:<{width}}  {ratio['ratio']:.1f} x")
    targets = verdicts(rows)
    if targets:
        print("\ntargets of the release flavour")
        for t in targets:
            state = "met" if t["met"] else "MISSED"
            print(f"  {t['name']:<{width}}  {t['value']:,.4g} {t['unit']} {t['sign']} {t['limit']:,.4g} {t['unit']}: {state}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"benchmarks": list(rows.values()), "ratios": ratios, "targets": targets}, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
