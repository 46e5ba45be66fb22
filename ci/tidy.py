#!/usr/bin/env python3
"""Lint of the repository as a test: prints `file:line: what to do` for each finding; exit code 1 if there is one.

  ci/tidy.py                      every check
  ci/tidy.py --only layers,words  these checks
  ci/tidy.py --deep               clang-tidy too: minutes; needs the compile commands of a build
  ci/tidy.py --deep --since main  of the files that changed since then
  ci/tidy.py --write-invariants   rewrites docs/invariants.md from the headers
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from lint import clang_tidy, documents, flags, formatting, invariants, layers, sources  # noqa: E402
from lint.tree import Tree  # noqa: E402

CHECKS = {
    "layers": layers.check_layers,
    "invariants": invariants.check_invariants,
    "targets": sources.check_targets,
    "banned": sources.check_banned,
    "headers": sources.check_headers,
    "lines": sources.check_lines,
    "format": formatting.check_format,
    "historical": sources.check_historical,
    "shared": sources.check_shared,
    "flags": flags.check_flags,
    "documents": documents.check_documents,
    "words": documents.check_words,
    "corpus": documents.check_corpus,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parent.parent, help="the repository")
    parser.add_argument("--only", default=",".join(CHECKS), help="checks to run, separated by commas")
    parser.add_argument("--daxfuzz", help="the tool that parses corpus programs (default build/release/daxfuzz)")
    parser.add_argument("--deep", action="store_true", help="clang-tidy too")
    parser.add_argument("--since", metavar="REVISION", help="with --deep: only files that changed since REVISION")
    parser.add_argument("--build", default="build/release", help="with --deep: the build (default build/release)")
    parser.add_argument("--write-invariants", action="store_true", help=f"rewrite {invariants.DOCUMENT} and stop")
    options = parser.parse_args()
    tree = Tree(options.root)
    if options.write_invariants:
        (tree.root / invariants.DOCUMENT).write_text(invariants.render(tree), encoding="utf-8")
        return 0
    findings = []
    for name in options.only.split(","):
        if name not in CHECKS:
            parser.error(f"unknown check '{name}'; expected some of {','.join(CHECKS)}")
        findings += CHECKS[name](tree, options.daxfuzz) if name == "corpus" else CHECKS[name](tree)
    if options.deep:
        findings += clang_tidy.check_clang_tidy(tree, tree.root / options.build, options.since)
    elif options.since:
        parser.error("--since is of --deep")
    for finding in sorted(findings):
        print(finding)
    print(f"tidy: {len(findings)} to fix in {len(tree.files)} files")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
