"""Invariant tags: a header declares one, an assertion enforces it, a test names it; docs/invariants.md lists them."""
import dataclasses
import re

from lint.tree import Finding, folder_of, is_test, strip_comments

DOCUMENT = "docs/invariants.md"
TAG = r"(?:[A-Z]{2,3}[0-9]+|O[0-9]+)"
# Words that begin another paragraph of a header comment.
KEYWORD = re.compile(r"\b(Kernel|Locking|Not covered|Tested by|Lifetime|Errors|Mount errors|Covers|Source|YIELDS|"
                     r"Stricter[^:]*|Historical bugs)\s*:")
# Oracles and lock discipline are project-wide; any folder may declare that it keeps one.
SHARED = re.compile(r"O[0-9]+|LD[0-9]+")

# What no single place can observe may be left to a judge in the tests; the header says so with these words.
JUDGED = "(judged in tests)"


@dataclasses.dataclass
class Tag:
    tag: str
    meaning: str
    path: str
    line: int
    asserted: list
    tests: list


def leading_comment(lines):
    for number, line in enumerate(lines, 1):
        if line.startswith("//"):
            yield number, line[2:].strip()
        elif line.strip():
            return


def declared_in(tree, name):
    """(tag, line, meaning) of every tag in the header's `Invariants` paragraph."""
    words = []  # (line, text) inside the paragraph
    inside = False
    for number, text in leading_comment(tree.lines(name)):
        start = re.search(r"\bInvariants\b[^:]*:", text)
        if start:
            inside = True
            text = text[start.end():]
        if inside:
            stop = KEYWORD.search(text)
            if stop:
                text = text[:stop.start()]
            words.append((number, text.strip()))
            if stop:
                inside = False
    flat = "\n".join(text for _, text in words)
    starts = list(re.finditer(rf"(?<![\w.(])({TAG})(?=\s+[^\s).,;])", flat))
    found = []
    for start, after in zip(starts, starts[1:] + [None]):
        meaning = flat[start.end():after.start() if after else len(flat)]
        line = words[flat.count("\n", 0, start.start())][0]
        meaning = " ".join(meaning.split()).rstrip(" ;.")
        if not meaning.startswith(".."):
            found.append((start.group(1), line, meaning))
    return found


def collect(tree):
    """Every declared tag once, in the header that says it best: the lowest layer first, check/audit for oracles."""
    headers = [n for n in tree.sources() if n.endswith((".h", ".hpp")) and not is_test(n)]
    declarations = {}
    for name in headers:
        for tag, line, meaning in declared_in(tree, name):
            declarations.setdefault(tag, []).append((name, line, meaning))
    used = uses(tree)
    result = []
    for tag, places in declarations.items():
        places.sort(key=lambda place: (not place[0].startswith("fs/check/audit"), place[0]))
        asserted, tests = used.get(tag, ([], []))
        result.append((Tag(tag, places[0][2], places[0][0], places[0][1], asserted, tests), places))
    result.sort(key=lambda item: (re.sub(r"[0-9]", "", item[0].tag), int(re.sub(r"[^0-9]", "", item[0].tag))))
    return result


def uses(tree):
    """tag -> (non-test files with the tag as a string literal, test files that name it)."""
    used = {}
    for name in tree.sources():
        if is_test(name):
            for tag in set(re.findall(rf"\b{TAG}\b", tree.text(name))):
                used.setdefault(tag, ([], []))[1].append(name)
        else:
            for tag in set(re.findall(rf'"({TAG})"', strip_comments(tree.text(name)))):
                used.setdefault(tag, ([], []))[0].append(name)
    return used


def catalogue_ids(tree):
    """'A01' and the like look like short tags; they are ids of the table of historical bugs."""
    name = "fs/base/historical.h"
    return set(re.findall(rf'"({TAG})"', tree.text(name))) if name in tree.files else set()


def check_invariants(tree):
    findings = []
    tags = collect(tree)
    for tag, places in tags:
        if not tag.asserted and JUDGED not in tag.meaning:
            findings.append(Finding(tag.path, tag.line, f'{tag.tag} has no assertion: add FS_BUG_ON, FS_WARN_ON or '
                                                        f'FS_FINDING with "{tag.tag}", or make it plain prose'))
        if not tag.tests:
            findings.append(Finding(tag.path, tag.line, f"{tag.tag} is named by no test: write one that would fail "
                                                        "without it and name the tag in its comment"))
        folders = {folder_of(place[0]): place for place in places}
        if len(folders) > 1 and not SHARED.fullmatch(tag.tag):
            (name, line, _) = places[-1]
            findings.append(Finding(name, line, f"{tag.tag} is declared by {' and '.join(sorted(folders))}: "
                                                "choose another tag"))
    declared = {tag.tag for tag, _ in tags} | catalogue_ids(tree)
    for name in tree.sources():
        if is_test(name) or name.startswith("fuzz/"):
            continue
        for number, line in enumerate(strip_comments(tree.text(name)).splitlines(), 1):
            for tag in re.findall(rf'"({TAG})"', line):
                if tag not in declared:
                    findings.append(Finding(name, number, f"{tag} is asserted and declared nowhere: add it to the "
                                                          "Invariants paragraph of a header"))
    if DOCUMENT not in tree.files or tree.text(DOCUMENT) != render(tree):
        findings.append(Finding(DOCUMENT, 1, "stale: run ci/tidy.py --write-invariants"))
    return findings


def render(tree):
    out = ["# Invariants",
           "",
           "Every tag that a header declares: what always holds, where it is said, and where it is enforced. A finding's",
           "title and dedup key carry the tag. `O…` are the oracles of a run, checked by `fs/check` and at the place where they",
           "would break. Generated by `ci/tidy.py --write-invariants`; the tidy test fails when it is stale.",
           "",
           "| tag | what holds | declared in | asserted in |",
           "|---|---|---|---|"]
    for tag, _ in collect(tree):
        meaning = tag.meaning.replace("|", "\\|")
        asserted = ", ".join(f"`{name}`" for name in tag.asserted) or "-"
        out.append(f"| {tag.tag} | {meaning} | [{tag.path}](../{tag.path}) | {asserted} |")
    return "\n".join(out) + "\n"
