"""The report's first page: folders, uncovered places with their reasons. No script, nothing to fetch."""
import html
import json
import os

STYLE = """
:root { --back: #fff; --text: #1c2024; --dim: #5f6b76; --line: #c9d0d7; --bar: #0072b2; --bad: #b00020; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171a; --text: #e6e9ec; --dim: #9aa5b0; --line: #3a434c; --bar: #5ab4f0; --bad: #ff6b81; } }
body { margin: 0 auto; max-width: 1180px; padding: 24px 20px 48px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
a { color: inherit; } .dim { color: var(--dim); } .bad { color: var(--bad); font-weight: 600; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 16px 4px 0; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child, td.text { text-align: left; } tr.all td { font-weight: 600; }
.bar { display: inline-block; width: 120px; height: 9px; border: 1px solid var(--line); margin-right: 8px; }
.bar i { display: block; height: 100%; background: var(--bar); }
"""


def totals(files, measured):
    """{folder: {"lines": (covered, all), "branches": ..., "functions": ..., "orders": n}}; "fs" is all of it."""
    found = {}
    for file in files.values():
        for folder in ("fs", os.path.dirname(file.name)):
            entry = found.setdefault(folder, {"lines": (0, 0), "branches": (0, 0), "orders": 0})
            add = (sum(count > 0 for count in file.lines.values()), len(file.lines))
            entry["lines"] = tuple(a + b for a, b in zip(entry["lines"], add))
            entry["branches"] = tuple(a + b for a, b in zip(entry["branches"], file.branches))
    for entry in measured["folders"]:
        if entry["folder"] in found:
            found[entry["folder"]]["orders"] = entry["orders"]
    found["fs"]["orders"] = measured["orders"]
    return found


FILESYSTEM = ["fs/dax", "fs/ext4", "fs/io", "fs/jbd2", "fs/mm", "fs/vfs"]


def without_judges(summary):
    """(covered, all) lines of the filesystem: judges speak when something is wrong, the engine is the fuzzer's."""
    pairs = [summary[folder]["lines"] for folder in FILESYSTEM if folder in summary]
    return sum(covered for covered, _ in pairs), max(1, sum(count for _, count in pairs))


def reachable(lines, explained):
    """(covered, all) without the lines whose reason says that no program on a sound image gets there."""
    covered, _ = lines
    left = sum(len(block) for _, block, _, reason in explained if reason is None or reason.startswith("open:"))
    return covered, covered + left


def share(pair):
    covered, count = pair
    percent = 100 * covered / count if count else 0
    return f'<td><span class="bar"><i style="width: {percent:.0f}%"></i></span>{percent:.1f} %</td><td>{covered} of {count}</td>'


def folder_rows(summary):
    rows = []
    for folder in sorted(summary, key=lambda name: (name == "fs", name)):
        entry = summary[folder]
        rows.append(f'<tr{" class=all" if folder == "fs" else ""}><td>{folder}</td>{share(entry["lines"])}'
                    f'{share(entry["branches"])}<td>{entry["orders"]}</td></tr>')
    return "\n".join(rows)


def uncovered_rows(explained, sources):
    by_reason = {}
    for name, block, function, reason in explained:
        by_reason.setdefault(reason, []).append((name, block, function))
    rows = []
    for reason in sorted(by_reason, key=lambda one: (one is not None, -sum(len(b) for _, b, _ in by_reason[one]))):
        places = by_reason[reason]
        lines = sum(len(block) for _, block, _ in places)
        links = ", ".join(
            f'<a href="lines/coverage{html.escape(os.path.join(sources, name))}.html#L{block[0]}" title="{html.escape(function)}">'
            f'{html.escape(name)}:{block[0]}</a>' for name, block, function in places)
        shown = '<span class="bad">no reason given</span>' if reason is None else html.escape(reason)
        rows.append(f'<tr><td class="text">{shown}</td><td>{lines}</td><td class="text"><details><summary>{len(places)} places'
                    f'</summary>{links}</details></td></tr>')
    return "\n".join(rows)


def write(output, summary, explained, measured, count, sources):
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>daxfuzz: coverage of a corpus</title><style>{STYLE}</style></head><body>
<h1>Coverage of a corpus</h1>
<p>{count} programs, each once under its own schedule: {measured["edges"]} of {measured["edges_total"]} edges,
{measured["orders"]} orders of conflicting accesses. <a href="lines/index.html">By file and line</a>.</p>
<table><tr><th>folder</th><th colspan="2">lines</th><th colspan="2">branches</th><th>orders</th></tr>
{folder_rows(summary)}</table>
<p class="dim">An order: an operation touches an object at one place of the source, then an operation of another task does at
another, and one of the two may change it. It counts for the folder of the later one.</p>
<h2>What nothing covers, and why</h2>
<table><tr><th>reason</th><th>lines</th><th>places</th></tr>
{uncovered_rows(explained, sources)}</table>
</body></html>
"""
    with open(os.path.join(output, "index.html"), "w", encoding="utf-8") as file:
        file.write(text)
    data = {"programs": count, "edges": measured["edges"], "edges_total": measured["edges_total"], "folders": summary,
            "uncovered": [{"file": name, "lines": block, "function": function, "reason": reason}
                          for name, block, function, reason in explained]}
    with open(os.path.join(output, "coverage.json"), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
