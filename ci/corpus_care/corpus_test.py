#!/usr/bin/env python3
"""Tests of ci/corpus.   corpus_test.py BUILD_DIR SOURCE_DIR"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])
sys.path.insert(0, os.path.join(SOURCE, "ci"))
sys.dont_write_bytecode = True

from corpus_care import coverage, page, programs  # noqa: E402

LCOV = """SF:/tree/fs/dax/x.cc
FN:1,_ZN5daxfs3oneEv
FN:5,x.cc:_ZN5daxfs3twoEv
DA:1,3
DA:2,0
DA:3,0
DA:4,1
DA:5,0
BRDA:1,0,0,2
BRDA:1,0,1,0
BRDA:2,0,0,-
end_of_record
SF:/tree/fuzz/exec/y.cc
DA:1,0
end_of_record
"""


class Corpus(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.cwd = self.folder.name
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.cwd, name)

    def corpus(self, *arguments, expect=0):
        done = subprocess.run([sys.executable, os.path.join(SOURCE, "ci/corpus"), "--build", BUILD, *arguments], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual(expect, done.returncode, done.stdout)
        return done.stdout

    def measure(self, folder):
        return json.loads(subprocess.run([os.path.join(BUILD, "daxfuzz"), "measure", "--json", folder], check=True,
                                         stdout=subprocess.PIPE).stdout)

    def test_merge_adds_once_and_leaves_what_is_there(self):
        out, seeds = self.path("out"), os.path.join(SOURCE, "corpus/seeds")
        self.assertRegex(self.corpus("merge", out, seeds, seeds), r": [1-9]\d* added")
        before = {name: os.stat(os.path.join(out, name)).st_mtime_ns for name in os.listdir(out)}
        self.assertIn(": 0 added", self.corpus("merge", out, seeds))
        self.assertEqual(before, {name: os.stat(os.path.join(out, name)).st_mtime_ns for name in os.listdir(out)})

    def test_minimize_drops_what_shows_nothing_and_keeps_the_edges(self):
        folder = self.path("corpus")
        os.mkdir(folder)
        for name in os.listdir(os.path.join(SOURCE, "corpus/seeds")):
            with open(os.path.join(SOURCE, "corpus/seeds", name), encoding="utf-8") as file:
                text = file.read()
            for fill in ("0x41", "0x51"):  # other bytes, the same way through the library
                with open(os.path.join(folder, fill + name), "w", encoding="utf-8") as file:
                    file.write(text.replace("0x41", fill))
        edges = self.measure(folder)["edges"]
        before, after = map(int, re.search(r"(\d+) -> (\d+)", self.corpus("minimize", folder)).groups())
        self.assertLess(after, before)
        self.assertEqual(after, len(os.listdir(folder)))
        self.assertGreaterEqual(self.measure(folder)["edges"], 0.99 * edges)

    def test_equal_programs_make_equal_archives(self):
        seeds = os.path.join(SOURCE, "corpus/seeds")
        shutil.copytree(seeds, self.path("twice/a"))
        shutil.copytree(seeds, self.path("twice/b"))
        self.corpus("pack", seeds, "-o", self.path("one.zip"))
        self.corpus("pack", self.path("twice"), "-o", self.path("two.zip"))
        with open(self.path("one.zip"), "rb") as one, open(self.path("two.zip"), "rb") as two:
            self.assertEqual(one.read(), two.read())

    def test_what_is_missing_is_said(self):
        self.assertIn("is not there", self.corpus("merge", self.path("out"), self.path("nosuch"), expect=2))
        os.mkdir(self.path("empty"))
        self.assertIn("no program", self.corpus("minimize", self.path("empty"), expect=2))


class Coverage(unittest.TestCase):
    SOURCE = ["int one() {", "  if (bad) {", "    return Errc::kIo; }", "}", "int two() {}"]

    def files(self):
        return coverage.parse_lcov(LCOV, "/tree")

    def rules(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("# comment\n" + text)
            file.flush()
            return coverage.read_reasons(file.name)

    def test_lines_and_functions_of_the_library_only(self):
        files = self.files()
        self.assertEqual(["fs/dax/x.cc"], list(files))
        self.assertEqual([[2, 3], [5]], files["fs/dax/x.cc"].uncovered_blocks())
        self.assertEqual("daxfs::two()", files["fs/dax/x.cc"].function_at(5))
        self.assertEqual([1, 3], files["fs/dax/x.cc"].branches)

    def test_a_line_without_a_reason_is_found_and_so_is_a_rule_without_a_line(self):
        explained, unused = coverage.explain(self.files(), self.rules("fs/dax/* | kIo | device\nfs/mm/* | . | nothing\n"),
                                             lambda name: self.SOURCE)
        self.assertEqual([("fs/dax/x.cc", [2, 3], "daxfs::one()", "device"), ("fs/dax/x.cc", [5], "daxfs::two()", None)],
                         explained)
        self.assertEqual([3], unused)

    def test_a_reason_can_name_the_function(self):
        explained, _ = coverage.explain(self.files(), self.rules("fs/* | two\\(\\) | tests\n"), lambda name: self.SOURCE)
        self.assertEqual([None, "tests"], [entry[3] for entry in explained])

    def test_a_reason_can_name_what_decides(self):
        explained, _ = coverage.explain(self.files(), self.rules("fs/* | after int one | bug\n"), lambda name: self.SOURCE)
        self.assertEqual(["bug", None], [entry[3] for entry in explained])

    def test_a_rule_of_another_form_is_refused(self):
        with self.assertRaises(programs.Broken):
            self.rules("fs/dax/* no bars\n")

    def test_every_rule_of_ours_has_the_form(self):
        self.assertGreater(len(coverage.read_reasons()), 20)

    def test_share_counts_open_lines_against_us_and_explained_ones_not(self):
        explained = [("a", [1, 2, 3], "f", "open: a case"), ("a", [5], "f", "judge: speaks"), ("a", [7], "f", None)]
        self.assertEqual((6, 10), page.reachable((6, 11), explained))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
