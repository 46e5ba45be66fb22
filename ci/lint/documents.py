"""Documents: one H1 each, links that resolve, no words that belong to somebody's machine; corpus programs that parse."""
import pathlib
import re
import subprocess

from lint.tree import Finding, normalise

# Split so that this file does not find itself.
MACHINE_WORDS = [
    (r"(?<![\w.$}])/(?:wo" + r"rk|ro" + r"ot|home/\w+)(?:/|\b)", "a path of one machine: use a path from the repository root"),
    (r"\b(?:pypi|pythonhosted|npmjs|crates|rubygems|proxy\.golang|deb\.debian)\.(?:o" + r"rg|io|com)\b",
     "name of a package registry: name the package instead"),
]
BINARY_SUFFIXES = {".bin", ".img", ".gz", ".png", ".zst"}


def check_documents(tree):
    findings = []
    for name in [n for n in tree.files if n.endswith(".md")]:
        lines = without_fences(tree.lines(name))
        titles = [number for number, line in lines if re.match(r"# \S", line)]
        if len(titles) != 1:
            findings.append(Finding(name, titles[1] if titles[1:] else 1,
                                    f"{len(titles)} first-level headings; a document has one"))
        for number, line in lines:
            for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
                findings += check_link(tree, name, number, target)
    return findings


def without_fences(lines):
    kept = []
    inside = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            kept.append((number, line))
    return kept


def check_link(tree, name, number, target):
    if re.match(r"[a-z]+:", target):
        return []
    path, _, anchor = target.partition("#")
    full = normalise(str(pathlib.PurePath(name).parent), path) if path else name
    if not (tree.root / full).exists():
        return [Finding(name, number, f"link to {target}: {full} does not exist")]
    if anchor and full.endswith(".md") and anchor not in anchors(tree.lines(full)):
        return [Finding(name, number, f"link to {target}: {full} has no heading #{anchor}")]
    return []


def anchors(lines):
    found = set()
    for _, line in without_fences(lines):
        heading = re.match(r"#+\s+(.*)", line)
        if heading:
            text = re.sub(r"[^\w\- ]", "", heading.group(1).lower())
            found.add(text.strip().replace(" ", "-"))
    return found


def check_words(tree):
    findings = []
    for name in tree.files:
        if pathlib.PurePath(name).suffix in BINARY_SUFFIXES or name == "LICENSE":
            continue
        for number, line in enumerate(tree.lines(name), 1):
            for pattern, what in MACHINE_WORDS:
                match = re.search(pattern, line)
                if match:
                    findings.append(Finding(name, number, f"'{match.group(0)}': {what}"))
    return findings


def check_corpus(tree, daxfuzz=None):
    """Programs of the corpus parse, when the tool is built."""
    tool = pathlib.Path(daxfuzz) if daxfuzz else tree.root / "build/release/daxfuzz"
    programs = [name for name in tree.files if name.startswith("corpus/") and is_program(tree, name)]
    if not programs or not tool.is_file():
        return []
    findings = []
    for name in programs:
        shown = subprocess.run([str(tool), "show", str(tree.root / name)], capture_output=True, check=False, timeout=60)
        if shown.returncode != 0:
            message = shown.stderr.decode(errors="replace").strip().splitlines()
            findings.append(Finding(name, 1, f"daxfuzz show refuses it: {message[-1] if message else shown.returncode}"))
    return findings


def is_program(tree, name):
    if pathlib.PurePath(name).suffix in BINARY_SUFFIXES:
        return False
    code = [line for line in tree.lines(name) if line.strip() and not line.lstrip().startswith("#")]
    return bool(code) and code[0].startswith("daxfuzz program")
