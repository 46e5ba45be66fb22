#!/usr/bin/env python3
"""Tests of `daxfuzz report`: every format of every bug program, bad input, files, and the generated C++ test.

  report_test.py DAXFUZZ SOURCE_DIR BUILD_DIR CXX
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tools"))
from command_case import CommandCase  # pylint: disable=wrong-import-position

try:
    import jsonschema
except ImportError:  # Debian: python3-jsonschema
    jsonschema = None

DAXFUZZ, SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[1:4])
CXX = sys.argv[4]
CommandCase.daxfuzz_path = DAXFUZZ
BUG = "break-layouts-lost-retry"
FORMATS = ("md", "html", "mail", "sarif", "perfetto", "test")
SVG = "{http://www.w3.org/2000/svg}"


def program_of(bug):
    return os.path.join(SOURCE, "corpus/bugs", bug, "program.txt")


def bugs():
    for expect in sorted(pathlib.Path(SOURCE, "corpus/bugs").rglob("expect.json")):
        yield json.loads(expect.read_text(encoding="utf-8"))["bugs"][0]


class Report(CommandCase):
    def read(self, *names):
        return pathlib.Path(self.cwd, *names).read_text(encoding="ascii")

    def report(self, *arguments, file=program_of(BUG), bug=BUG, expect=0):
        return self.daxfuzz("report", file, *(("--bug", bug) if bug else ()), *arguments, expect=expect)

    # --- every bug

    def test_every_bug_has_every_format(self):
        schema = json.loads(pathlib.Path(SOURCE, "fuzz/report/sarif-subset.schema.json").read_text(encoding="utf-8"))
        for number, bug in enumerate(bugs()):
            with self.subTest(bug=bug):
                out = f"b{number}"
                summary = json.loads(self.report("--format", "bundle", "-o", out, "--json", file=program_of(bug),
                                                 bug=bug))
                self.assertEqual([bug], summary["bug"])
                self.assertEqual(20, summary["replays"])
                self.assertEqual({os.path.basename(file) for file in summary["files"]}, set(os.listdir(self.path(out))))
                self.check_page(self.read(out, "report.html"))
                self.check_mail(self.read(out, "report.mail"))
                sarif = json.loads(self.read(out, "report.sarif"))
                if jsonschema:
                    jsonschema.validate(sarif, schema)
                self.assertEqual(summary["key"],
                                 sarif["runs"][0]["results"][0]["partialFingerprints"]["daxfuzzDedupKey/v1"])
                json.loads(self.read(out, "trace.json"))
                self.assertIn(summary["key"], self.read(out, "issue.md"))
                for program in ("program.txt", "program.bin"):
                    # 70: a livelock
                    replay = self.daxfuzz("run", self.path(f"{out}/{program}"), "--bug", bug, expect=(70, 77))
                    self.assertIn(f"key={summary['key']} trace={summary['trace']}", replay)

    def check_page(self, text):
        root = xml.etree.ElementTree.fromstring(text.replace("<!DOCTYPE html>", "", 1))
        self.assertEqual(1, len(list(root.iter(SVG + "svg"))))
        for element in root.iter():
            self.assertNotIn(element.tag, ("script", "link", "img", "iframe", SVG + "script", SVG + "image"))
            for name, value in element.attrib.items():
                self.assertFalse(name in ("src", "href") or name.startswith("on"), (element.tag, name))
                self.assertFalse("url(" in value and value != "url(#tip)", value)
        style = next(root.iter("style")).text
        self.assertNotIn("url(", style)
        self.assertEqual(style.count("{"), style.count("}"))

    def check_mail(self, text):
        self.assertTrue(text.startswith("Subject: [daxfuzz] "))
        self.assertLessEqual(max(map(len, text.splitlines())), 78)

    # --- single formats

    def test_each_format_writes_one_file_and_nothing_beside(self):
        for form in FORMATS:
            self.report("--format", form, "-o", "report." + form)
        self.assertEqual({"report." + form for form in FORMATS}, set(os.listdir(self.cwd)))

    def test_markdown_is_the_default_and_goes_to_standard_output(self):
        text = self.report("-o", "-")
        self.assertTrue(text.startswith("# WARNING in dax::disassociate_entry"))
        self.assertEqual([], os.listdir(self.cwd))

    def test_a_finding_file_is_reported_with_its_replay_line(self):
        self.daxfuzz("minimize", program_of(BUG), "-o", "small.txt", "--bug", BUG)
        text = self.report("-o", "-", file="small.txt")
        self.assertIn(f"daxfuzz run small.txt --bug {BUG}", text)

    # --- bad input

    def refused(self, *words, **how):
        self.report(*how.pop("arguments", ("-o", "out")), expect=1, **how)
        for word in words:
            self.assertIn(word, self.errors)
        self.assertFalse(os.path.exists(self.path("out")), self.errors)
        self.assertFalse(os.path.exists(self.path("out.tmp")), self.errors)

    def test_a_program_that_does_not_fire_is_refused_with_what_to_try(self):
        self.refused("it ran clean", "--bug " + BUG, bug=None)
        clean = self.path("clean", "daxfuzz program 1\ntask T0\n  stat \"f0\"\n")
        self.refused("it ran clean (trace ", "0 of 0", "daxfuzz minimize", "regress check", "daxfuzz bugs", file=clean,
                     bug=None)

    def test_a_finding_of_other_switches_is_refused(self):
        self.daxfuzz("minimize", program_of(BUG), "-o", "small.txt", "--bug", BUG)
        self.refused("it was found with --bug " + BUG, file="small.txt", bug=None)

    def test_unusable_input_is_refused(self):
        self.refused("No such file", file=self.path("nosuch"))
        self.refused("empty", file=self.path("nothing", ""))
        program = pathlib.Path(program_of(BUG)).read_text(encoding="utf-8")
        newer = self.path("newer", program.replace("program 1", "program 2", 1))
        self.refused("newer", "format version 1", file=newer)
        self.refused("no such historical bug", "daxfuzz bugs", bug="nosuch")
        self.refused("--format", "bundle", arguments=("--format", "pdf", "-o", "out"))

    def test_an_unwritable_place_is_refused_before_anything_runs(self):
        self.refused("nosuch/out", "No such file", arguments=("-o", "nosuch/out"))
        self.refused("nosuch/out", arguments=("-o", "nosuch/out", "--format", "bundle"))
        self.refused("is a folder", arguments=("-o", self.cwd))
        self.path("file", "precious")
        self.refused("is a file", arguments=("-o", "file", "--format", "bundle", "--force"))
        self.refused("name one", arguments=("-o", "-", "--format", "bundle"))
        self.assertEqual("precious", self.read("file"))

    def test_nothing_is_overwritten_unless_forced(self):
        out = self.path("report.md", "precious")
        self.report("-o", out, expect=1)
        self.assertIn("--force", self.errors)
        self.assertEqual("precious", self.read("report.md"))
        self.report("-o", out, "--force")
        self.assertIn("WARNING", self.read("report.md"))
        os.mkdir(self.path("b"))
        self.path("b/issue.md", "precious")
        self.path("b/mine", "precious")
        self.report("-o", "b", "--format", "bundle", expect=1)
        self.assertIn("--force", self.errors)
        self.assertEqual({"issue.md", "mine"}, set(os.listdir(self.path("b"))))
        self.report("-o", "b/", "--format", "bundle", "--force")
        self.assertIn("WARNING", self.read("b", "issue.md"))
        self.assertEqual("precious", self.read("b", "mine"))
        self.assertNotIn("issue.md.tmp", os.listdir(self.path("b")))

    def test_ctrl_c_leaves_the_old_or_the_new(self):
        for delay in (0, 0.01, 0.02, 0.03, 0.05, 0.1):
            out = self.path("report.html", "old")
            process = subprocess.Popen([DAXFUZZ, "report", program_of(BUG), "--bug", BUG, "--format", "html", "-o", out,
                                        "--force"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            self.assertIn(process.wait(timeout=60), (0, 72, -signal.SIGINT))
            text = self.read("report.html")
            self.assertTrue(text == "old" or text.endswith("</html>\n"), text[-100:])

    # --- the generated test

    def build_test(self, bug):
        source = self.path("finding_test.cc")
        self.report("--format", "test", "-o", source, "--force", file=program_of(bug), bug=bug)
        self.assertIn("@build/release/test_source.rsp", self.read("finding_test.cc"))
        built = subprocess.run([CXX, source, f"@{BUILD}/test_source.rsp", "-Wall", "-Wextra", "-Werror", "-o",
                                self.path("finding_test")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               check=False)
        self.assertEqual(0, built.returncode, built.stdout.decode()[-3000:])

    def run_test(self, *arguments):
        done = subprocess.run([self.path("finding_test"), *arguments], stdout=subprocess.PIPE, check=False, timeout=300)
        return done.returncode, done.stdout.decode()

    def test_generated_test_fails_with_the_bug_and_passes_without(self):
        self.build_test(BUG)
        code, output = self.run_test()
        self.assertEqual(1, code, output)
        self.assertRegex(output, r"(?m)^as recorded: WARNING in dax::disassociate_entry: .* key=[0-9a-f]{16}$")
        code, output = self.run_test("--no-bugs")
        self.assertEqual(0, code, output)
        self.assertIn("passed", output)

    def test_generated_test_of_a_program_without_schedule(self):
        bug = "gup-fast-ignores-write-permission"
        self.assertNotRegex(pathlib.Path(program_of(bug)).read_text(encoding="utf-8"), r"(?m)^schedule")
        self.build_test(bug)
        self.assertEqual(1, self.run_test()[0])
        self.assertEqual(0, self.run_test("--no-bugs")[0])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
