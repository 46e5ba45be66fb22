#!/usr/bin/env python3
"""Tests of the lint: every check must object to a tree with exactly that mistake, and be silent without it."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True

from lint import clang_tidy, documents, flags, formatting, invariants, layers, sources  # noqa: E402
from lint.tree import Tree, strip_code  # noqa: E402

HEADER = """// fs/up/thing.h - a thing.
//
// Locking: none.
// Invariants:
//   TH1  it never
//   shrinks (see TH9).
//   TH2  two.
// Tested by: fs/up/thing_test.cc.
#pragma once
#include "fs/low/base.h"
"""

CLEAN = {
    "docs/architecture.md": "# Map\n\n```layers\nfs/low:\nfs/up: fs/low\n```\n",
    "fs/low/CMakeLists.txt": "daxfs_module(NAME fs/low SOURCES base.cc)\n",
    "fs/low/base.h": "// fs/low/base.h - basics.  Tested by: its users.\n#pragma once\n",
    "fs/low/base.cc": '#include "fs/low/base.h"\n',
    "fs/up/CMakeLists.txt": "set(tests thing_test.cc)\n"
                            "daxfs_module(NAME fs/up DEPS fs/low\n  SOURCES thing.cc  # a comment\n  TESTS ${tests})\n",
    "fs/up/thing.h": HEADER,
    "fs/up/thing.cc": '#include "fs/up/thing.h"\nvoid f() { FS_BUG_ON(x, "TH1", "m"); FS_WARN_ON(y, "TH2", "m"); }\n',
    "fs/up/thing_test.cc": '#include "fs/up/thing.h"\n// TH1, TH2.\nstd::mt19937 random(7);\n',
}


class LintTest(unittest.TestCase):
    def findings(self, check, changes=None):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            files = {**CLEAN, **(changes or {})}
            for name, text in files.items():
                if text is not None:
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                    (root / name).write_text(text)
            subprocess.run(["git", "-C", folder, "init", "-q"], check=False)
            if "docs/invariants.md" not in files:
                (root / "docs/invariants.md").write_text(invariants.render(Tree(root)))
            return [str(finding) for finding in check(Tree(root))]

    def assert_one(self, check, changes, part):
        found = self.findings(check, changes)
        self.assertEqual(1, len(found), found)
        self.assertIn(part, found[0])

    def test_clean_tree_is_silent(self):
        for check in (layers.check_layers, invariants.check_invariants, sources.check_targets, sources.check_banned,
                      sources.check_headers, sources.check_lines, flags.check_flags, documents.check_documents,
                      documents.check_words):
            self.assertEqual([], self.findings(check), check.__name__)

    def test_include_against_the_layers(self):
        self.assert_one(layers.check_layers, {"fs/low/base.cc": '#include "fs/up/thing.h"\n'},
                        "fs/low/base.cc:1: fs/low may not include fs/up")

    def test_a_test_may_include_what_test_deps_name(self):
        more = {"fs/low/base_test.cc": '#include "fs/up/thing.h"\n',
                "fs/low/CMakeLists.txt": "daxfs_module(NAME fs/low SOURCES base.cc TESTS base_test.cc)\n"}
        self.assert_one(layers.check_layers, more, "fs/low may not include fs/up")
        more["fs/low/CMakeLists.txt"] = more["fs/low/CMakeLists.txt"].replace(")", " TEST_DEPS fs/up)")
        self.assertEqual([], self.findings(layers.check_layers, more))

    def test_image_checker_may_include_base_only(self):
        more = {"fs/check/CMakeLists.txt": "daxfs_module(NAME fs/check DEPS fs/low SOURCES media.cc)\n",
                "fs/check/media.cc": '#include "fs/low/base.h"\n',
                "docs/architecture.md": CLEAN["docs/architecture.md"].replace("fs/up:", "fs/check: fs/low\nfs/up:")}
        self.assert_one(layers.check_layers, more, "shares no code")

    def test_table_differs_from_cmake(self):
        wrong = CLEAN["docs/architecture.md"].replace("fs/up: fs/low", "fs/up:")
        self.assert_one(layers.check_layers, {"docs/architecture.md": wrong}, "only in CMake [fs/low]")

    def test_tag_without_assertion(self):
        code = CLEAN["fs/up/thing.cc"].replace('"TH2"', '"TH1"') + '// "TH2" in a comment does not count\n'
        self.assert_one(invariants.check_invariants, {"fs/up/thing.cc": code}, "fs/up/thing.h:7: TH2 has no assertion")

    def test_tag_judged_in_tests_needs_no_assertion(self):
        more = {"fs/up/thing.h": HEADER.replace("TH2  two", "TH2  (judged in tests) two"),
                "fs/up/thing.cc": CLEAN["fs/up/thing.cc"].replace('"TH2"', '"TH1"')}
        self.assertEqual([], self.findings(invariants.check_invariants, more))

    def test_tag_without_test(self):
        code = CLEAN["fs/up/thing_test.cc"].replace("TH1, ", "")
        self.assert_one(invariants.check_invariants, {"fs/up/thing_test.cc": code}, "TH1 is named by no test")

    def test_tag_asserted_and_not_declared(self):
        code = CLEAN["fs/up/thing.cc"] + 'void g() { FS_BUG_ON(z, "TH7", "m"); }\n'
        self.assert_one(invariants.check_invariants, {"fs/up/thing.cc": code}, "fs/up/thing.cc:3: TH7 is asserted and")

    def test_tag_with_two_meanings(self):
        other = CLEAN["fs/low/base.h"].replace("Tested by", "Invariants: TH1 other. Tested by")
        self.assert_one(invariants.check_invariants, {"fs/low/base.h": other}, "TH1 is declared by fs/low and fs/up")

    def test_stale_document(self):
        self.assert_one(invariants.check_invariants, {"docs/invariants.md": "# Invariants\n"}, "stale")

    def test_meaning_of_a_tag_may_break_lines(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "fs/up/thing.h"
            path.parent.mkdir(parents=True)
            path.write_text(HEADER)
            found = invariants.declared_in(Tree(folder), "fs/up/thing.h")
        self.assertEqual([("TH1", 5, "it never shrinks (see TH9)"), ("TH2", 7, "two")], found)

    def test_file_of_no_target(self):
        self.assert_one(sources.check_targets, {"fs/up/lost.cc": "\n"}, "fs/up/lost.cc:1: belongs to no target")

    def test_banned_names(self):
        for code in ("std::thread t;", "std::mutex m;", "int x = rand();", "std::atomic<int> a;", "getenv(name);",
                     "std::unordered_map<int, int> m;", "std::chrono::seconds s;", "clock_gettime(0, &t);"):
            self.assert_one(sources.check_banned, {"fs/low/base.cc": code + "\n"}, "is banned here: use")
        for code in ("// std::thread", '"std::mutex"', "operand(x);", "object.time(0);", "forget_env();"):
            self.assertEqual([], self.findings(sources.check_banned, {"fs/low/base.cc": code + "\n"}), code)

    def test_headers(self):
        self.assert_one(sources.check_headers, {"fs/low/base.h": "// fs/low/bass.h - x. Tested by: y.\n#pragma once\n"},
                        "begin with '// fs/low/base.h - ")
        self.assert_one(sources.check_headers, {"fs/up/thing_test.cc": None}, "names a file that does not exist")

    def test_guarded_and_unwatched(self):
        code = "  rt::Mutex lock;\n  int count FS_GUARDED_BY(lock) = 0;\n"
        self.assert_one(sources.check_shared, {"fs/low/data.cc": code}, "fs/low/data.cc:2: count is guarded by lock")
        for fine in (code.replace("int count", 'rt::Shared<int, "count"> count'), code.replace("rt::Mutex", "RawLock")):
            self.assertEqual([], self.findings(sources.check_shared, {"fs/low/data.cc": fine}))

    def test_flags_that_nothing_tells_apart(self):
        of_enum = "enum Mark : uint8_t { kSeen = 1 };\nenum MarkBits : uint8_t { kRed = 1, kBlue = 3 };\n"
        self.assert_one(flags.check_flags, {"fs/up/thing.cc": of_enum}, "thing.cc:2: kRed is a flag")
        loose = "constexpr int kPutFirst = 0x10;\nconstexpr int kPutLast =\n    0x20;\nconstexpr int kSeekEnd = 2;\n"
        self.assertEqual(2, len(self.findings(flags.check_flags, {"fs/up/thing.cc": loose})))
        told = loose + "static_assert(distinct_bits({kPutFirst,\n    kPutLast}));\n"
        self.assertEqual([], self.findings(flags.check_flags, {"fs/up/thing.cc": told}))
        self.assertEqual(2, len(self.findings(flags.check_flags, {"fs/low/base.cc": loose, "fs/up/thing.cc": told})))

    def test_long_lines(self):
        self.assert_one(sources.check_lines, {"fs/low/base.cc": "x" * 121 + "\n"}, "121 columns")

    def test_format(self):
        style = {".clang-format": "BasedOnStyle: Google\n", "fs/up/thing.cc": None}
        self.assertEqual([], self.findings(formatting.check_format, {**style, "fs/low/base.cc": "int a = 1;\n"}))
        self.assert_one(formatting.check_format, {**style, "fs/low/base.cc": "int a = 1;\nint  b=2;\nint  c=3;\n"},
                        "fs/low/base.cc:2: not formatted: clang-format-19 -i fs/low/base.cc")
        self.assert_one(lambda tree: formatting.check_format(tree, "no-such-formatter"), style, "ci/bootstrap")

    def test_clang_tidy(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            subprocess.run(["git", "-C", folder, "init", "-q"], check=True)
            self.assertIn("cmake --preset release", str(clang_tidy.check_clang_tidy(Tree(root), root)[0]))
            (root / ".clang-tidy").write_text("Checks: '-*,modernize-use-override'\n")
            (root / "a.cc").write_text("struct A { virtual ~A(); };\nstruct B : A { virtual ~B(); };\n")
            (root / "b.cc").write_text("struct A { virtual ~A(); };\n")
            commands = [{"directory": folder, "file": str(root / name), "command": f"clang++-19 -c {name}"}
                        for name in ("a.cc", "b.cc", "gone.cc")]
            (root / "compile_commands.json").write_text(json.dumps(commands))
            found = clang_tidy.check_clang_tidy(Tree(root), root)
            self.assertEqual(1, len(found), found)
            self.assertIn("a.cc:2: prefer using 'override'", str(found[0]))
            with self.assertRaises(SystemExit):
                clang_tidy.check_clang_tidy(Tree(root), root, since="no-such-revision")

    def test_documents(self):
        page = {"docs/page.md": "# One\n\n[map](architecture.md) [gone](gone.md) `[x](y)`\n\n```\n# no heading\n```\n"}
        self.assert_one(documents.check_documents, page, "docs/page.md:3: link to gone.md")
        self.assert_one(documents.check_documents, {"docs/page.md": "# One\n\n# Two\n"}, "2 first-level headings")
        self.assert_one(documents.check_documents, {"docs/page.md": "# One\n\n[x](architecture.md#nowhere)\n"},
                        "no heading #nowhere")

    def test_words_of_one_machine(self):
        self.assert_one(documents.check_words, {"docs/page.md": "# One\n\nsee /wo" + "rk/main\n"}, "one machine")

    def test_strip_code_keeps_lines(self):
        self.assertEqual(["int a; " + " " * 9, 'f("  ");', " " * 5],
                         strip_code('int a; // std::x\nf("ab");\n/* */').split("\n"))


if __name__ == "__main__":
    unittest.main()
