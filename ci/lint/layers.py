"""Layers: what a folder includes is what its DEPS allow, and docs/architecture.md says the same."""
import re

from lint.tree import Finding, folder_of, is_test

TABLE_DOCUMENT = "docs/architecture.md"

# Stricter than the folder's DEPS: (prefix of the path, folders it may include beside its own, why).
STRICTER = [("fs/check/media", {"fs/base"}, "the image checker shares no code with what it checks")]


def closure(name, deps):
    seen = set()
    pending = [name]
    while pending:
        folder = pending.pop()
        if folder not in seen:
            seen.add(folder)
            pending += deps.get(folder, [])
    return seen


def check_layers(tree):
    modules = tree.modules()
    deps = {}
    for module in modules:
        deps.setdefault(module.name, []).extend(module.deps)
    owner = {}  # file -> modules that list it
    for module in modules:
        for name in module.sources + module.tests:
            owner.setdefault(name, []).append(module)
    findings = check_table(tree, deps)
    for name in tree.sources():
        findings += check_file(tree, name, deps, owner, modules)
    return findings


def check_file(tree, name, deps, owner, modules):
    folder = folder_of(name)
    if folder not in deps:
        return []  # props, bench and the like sit above everything
    allowed = closure(folder, deps)
    if is_test(name):
        for module in owner.get(name, []) + [m for m in modules if m.name == folder]:
            allowed |= closure(module.name, deps)
            for dep in module.test_deps:
                allowed |= closure(dep, deps)
    reason = ""
    for prefix, strict, why in STRICTER:
        if name.startswith(prefix):
            allowed = strict | {folder}
            reason = f" ({why})"
    findings = []
    for number, line in enumerate(tree.lines(name), 1):
        include = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not include:
            continue
        target = include.group(1)
        if not target.startswith(("fs/", "fuzz/", "props/")):
            findings.append(Finding(name, number, f'#include "{target}": paths start at the repository root'))
            continue
        into = folder_of(target)
        if into not in allowed:
            findings.append(Finding(name, number, f'{folder} may not include {into}{reason}: add it to DEPS if the '
                                                  "layer table allows, otherwise move the code"))
        elif any(target.startswith(p) and folder_of(p) == into and not name.startswith(into + "/") for p, _, _ in
                 STRICTER) and not is_test(name) and target.endswith("_context.h"):
            findings.append(Finding(name, number, f"{target} is internal to {into}"))
    return findings


def read_table(tree):
    """The fenced block ```layers of the architecture page: folder -> (line, folders it may include)."""
    table = {}
    inside = False
    for number, line in enumerate(tree.lines(TABLE_DOCUMENT), 1):
        if line.startswith("```"):
            inside = line.strip() == "```layers"
        elif inside and ":" in line:
            folder, rest = line.split(":", 1)
            table[folder.strip()] = (number, rest.split())
    return table


def check_table(tree, deps):
    if TABLE_DOCUMENT not in tree.files:
        return [Finding(TABLE_DOCUMENT, 1, "missing: it holds the layer table")]
    table = read_table(tree)
    if not table:
        return [Finding(TABLE_DOCUMENT, 1, "no ```layers block: list every folder and what it may include")]
    findings = []
    for folder, (number, listed) in table.items():
        if folder not in deps:
            findings.append(Finding(TABLE_DOCUMENT, number, f"no daxfs_module({folder}): remove the line"))
        elif set(listed) != set(deps[folder]):
            missing = " ".join(sorted(set(deps[folder]) - set(listed)))
            extra = " ".join(sorted(set(listed) - set(deps[folder])))
            findings.append(Finding(TABLE_DOCUMENT, number,
                                    f"{folder}: CMake's DEPS differ: only in CMake [{missing}], only here [{extra}]"))
    for folder in deps:
        if folder not in table:
            findings.append(Finding(TABLE_DOCUMENT, 1, f"the ```layers block lacks {folder}: {' '.join(deps[folder])}"))
    return findings
