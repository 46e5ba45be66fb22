#!/usr/bin/env python3
"""Tests of the daxfuzz command: exit codes, verdict lines, files.   daxfuzz_test.py DAXFUZZ SOURCE_DIR [-k PATTERN]..."""
import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree

from command_case import CommandCase

DAXFUZZ, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])
CommandCase.daxfuzz_path = DAXFUZZ
BUG = "no-break-layouts-at-all/punch"
PROGRAM = os.path.join(SOURCE, "corpus/bugs", BUG, "program.txt")
CLEAN = """daxfuzz program 1
task T0
  f = open "f0" rdwr|creat
  write f 0x41 5000
  pread f buf 10 0
  stat "nosuch"
"""


class Command(CommandCase):
    def test_clean_run_prints_ok_with_its_trace(self):
        first = self.daxfuzz("run", self.path("p", CLEAN))
        self.assertRegex(first, r"^OK trace=[0-9a-f]{16} events=\d+ switches=\d+")
        self.assertEqual(first, self.daxfuzz("run", "-", stdin=CLEAN.encode()))

    def test_finding_prints_verdict_title_key_and_trace(self):
        output = self.daxfuzz("run", PROGRAM, "--bug", BUG, expect=77)
        self.assertRegex(output, r"(?m)^FINDING WARNING .*: reference count of .* key=[0-9a-f]{16} trace=[0-9a-f]{16}$")
        self.assertRegex(self.daxfuzz("run", PROGRAM), "^OK ")

    def test_run_refuses_what_is_no_policy_of_a_single_run(self):
        for policy in ("coverage", "directed", "nosuch"):
            self.daxfuzz("run", self.path("p", CLEAN), "--policy", policy, expect=1)
            self.assertIn("expected random", self.errors)

    def test_name_without_variant_switches_all_on(self):
        self.daxfuzz("run", PROGRAM, "--bug", BUG.split("/")[0], expect=77)

    def test_json_summary_of_a_run(self):
        output = self.daxfuzz("run", self.path("p", CLEAN), PROGRAM, "--bug", BUG, "--json", expect=77)
        self.assertEqual(2, len(json.loads(output[output.index("{"):])["runs"]))

    # --- explain

    def test_explain_draws_columns_and_says_what_is_needed(self):
        output = self.daxfuzz("explain", PROGRAM, "--bug", BUG)
        self.assertRegex(output, r"(?m)^T0 +\| T1 +\| state$")
        self.assertRegex(output, r"(?m)^ +\| +page 0 is busy +\| refs 2$")
        self.assertIn("without bug " + BUG + ": passes", output)

    def test_explain_json_has_the_same_rows(self):
        diagram = json.loads(self.daxfuzz("explain", PROGRAM, "--bug", BUG, "--json"))
        self.assertEqual(["T0", "T1"], diagram["columns"])
        self.assertEqual("finding", diagram["rows"][-1]["kind"])
        self.assertTrue(diagram["without"][-1]["passes"])

    def test_explain_svg_is_well_formed_and_not_overwritten(self):
        out = self.path("a.svg")
        self.daxfuzz("explain", PROGRAM, "--bug", BUG, "--svg", out)
        root = xml.etree.ElementTree.parse(out).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("page 0 is busy", texts)
        self.daxfuzz("explain", PROGRAM, "--bug", BUG, "--svg", out, expect=1)
        self.assertIn("--force", self.errors)
        self.daxfuzz("explain", PROGRAM, "--bug", BUG, "--svg", out, "--force")

    def test_explain_of_a_program_that_fires_not_says_what_to_do(self):
        self.daxfuzz("explain", PROGRAM, expect=1)
        self.assertIn("--bug", self.errors)

    # --- minimize

    PADDED = (("task T0 in P0\n", "task T0 in P0\n  stat \"d0\"\n  sync\n"),
              ("task T1 in P0\n", "task T1 in P0\n  statfs \"f0\"\n"))

    def padded(self, name="padded.txt", note=""):
        with open(PROGRAM, encoding="utf-8") as file:
            text = file.read()
        for old, new in self.PADDED:
            text = text.replace(old, new, 1)
        text += "task T2 in P0\n  mkdir \"d1\"\n  getdents f3\n"
        return self.path(name, text.replace("\n", "\n" + note, 1))

    def test_minimize_keeps_the_key_and_says_what_it_did(self):
        padded, small = self.padded(), self.path("small.txt")
        summary = json.loads(self.daxfuzz("minimize", padded, "-o", small, "--bug", BUG, "--json"))
        self.assertEqual(13, summary["before"]["operations"])
        self.assertLessEqual(summary["after"]["operations"], 6)
        self.assertTrue(summary["minimal"])
        replay = self.daxfuzz("run", small, "--bug", BUG, expect=77)
        self.assertIn(f"key={summary['key']} trace={summary['trace']}", replay)
        self.assertIn("key=" + summary["key"], self.daxfuzz("run", padded, "--bug", BUG, expect=77))
        with open(small, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("\n# 1-minimal", text)
        self.assertIn(f"\n# replay: daxfuzz run {small} --bug {BUG}\n", text)

    def test_minimize_overwrites_only_when_forced(self):
        out = self.path("small.txt", "precious")
        self.daxfuzz("minimize", PROGRAM, "-o", out, "--bug", BUG, expect=1)
        self.assertIn("--force", self.errors)
        with open(out, encoding="utf-8") as file:
            self.assertEqual("precious", file.read())
        self.daxfuzz("minimize", PROGRAM, "-o", out, "--bug", BUG, "--force")

    def test_minimize_says_what_is_wrong_with_its_input(self):
        out = self.path("out.txt")

        def refused(file, *words, bugs=("--bug", BUG), to=out):
            self.daxfuzz("minimize", file, "-o", to, *bugs, expect=1)
            for word in words:
                self.assertIn(word, self.errors)
            self.assertFalse(os.path.exists(out), self.errors)

        refused(self.path("nosuch"), "No such file")
        refused(self.path("newer", "daxfuzz program 2\n"), "newer")
        refused(self.path("empty", ""), "empty")
        refused(self.path("clean", CLEAN), "no finding")
        refused(PROGRAM, "no finding", "--bug", bugs=())
        refused(PROGRAM, "no-such-bug", "daxfuzz bugs", bugs=("--bug", "no-such-bug"))
        refused(PROGRAM, "cannot be written", to=self.path("no/such/folder/out.txt"))
        refused(self.path("image", CLEAN.replace("\n", "\nimage nosuch\n", 1)), "nosuch", "small")
        note = ("# FINDING WARNING WARNING in x: y key=0123456789abcdef trace=0\n"
                "# replay: daxfuzz run p --bug " + BUG + "\n")
        refused(self.padded("other-build.txt", note), "another build", "0123456789abcdef")
        refused(self.padded("no-switch.txt", note), "it was found with --bug " + BUG + ": add that", bugs=())

    def test_minimize_interrupted_leaves_the_best_so_far(self):
        out = self.path("small.txt")
        process = subprocess.Popen([DAXFUZZ, "minimize", self.padded(), "-o", out, "--bug", BUG], cwd=self.cwd,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(3000):
            if os.path.exists(out) or process.poll() is not None:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        self.assertIn(process.wait(timeout=300), (0, 72))  # 0: it was faster than the signal
        self.daxfuzz("run", out, "--bug", BUG, expect=77)
        self.assertEqual([], [name for name in os.listdir(self.cwd) if name.endswith(".tmp")])

    # --- regress

    def test_regress_files_a_finding_and_checks_it(self):
        folder = os.path.join(self.cwd, "regress")
        os.mkdir(folder)
        added = json.loads(self.daxfuzz("regress", "add", PROGRAM, "--bug", BUG, "--into", folder, "--json"))
        self.assertTrue(added["fires"])
        with open(added["path"], encoding="utf-8") as file:
            text = file.read()
        self.assertRegex(text, r"(?m)^# FINDING WARNING .* key=" + added["key"])
        self.assertRegex(text, r"(?m)^# expected: this finding with the switches")
        self.assertIn("0 not as expected", self.daxfuzz("regress", "check", folder))
        self.daxfuzz("regress", "add", PROGRAM, "--bug", BUG, "--into", folder, expect=1)
        self.assertIn("--force", self.errors)
        self.daxfuzz("regress", "add", PROGRAM, "--bug", BUG, "--into", folder, "--force")

    def test_regress_refuses_what_shows_nothing(self):
        self.daxfuzz("regress", "add", self.path("clean", CLEAN), "--into", self.cwd, expect=1)
        self.assertIn("no finding", self.errors)
        self.daxfuzz("regress", "add", PROGRAM, "--bug", BUG, expect=1)
        self.assertIn("--into", self.errors)
        self.daxfuzz("regress", "check", self.path("nosuch"), expect=1)

    def test_regress_keeps_a_repaired_finding_silent(self):
        folder = os.path.join(self.cwd, "regress")
        os.mkdir(folder)
        note = "# FINDING WARNING WARNING in x: y key=0123456789abcdef trace=0\n"
        output = self.daxfuzz("regress", "add", self.padded("fixed.txt", note), "--into", folder, "--name", "fixed")
        self.assertIn("does not fire here any more", output)
        self.assertIn("0 not as expected", self.daxfuzz("regress", "check", os.path.join(folder, "fixed.txt")))

    def test_show_and_pack_are_inverse(self):
        packed = self.path("p.bin")
        self.daxfuzz("pack", PROGRAM, "-o", packed)
        shown = self.daxfuzz("show", packed)
        self.assertEqual(shown, self.daxfuzz("show", PROGRAM))
        self.assertEqual(shown, self.daxfuzz("show", self.path("again", shown)))
        text, binary = self.daxfuzz("run", PROGRAM), self.daxfuzz("run", packed)
        self.assertEqual(re.findall(r"trace=\w+", text), re.findall(r"trace=\w+", binary))

    def test_bad_input_names_file_line_and_expectation(self):
        bad = self.path("bad.txt", "daxfuzz program 1\ntask T0\n  fallocate f0 foo 4K\n")
        self.daxfuzz("run", bad, expect=1)
        self.assertRegex(self.errors, r"bad\.txt:3:\d+: .*expected .*, got \"foo\"")
        self.daxfuzz("run", self.path("missing"), expect=1)
        self.assertIn("missing", self.errors)

    def test_usage_errors(self):
        for arguments in ((), ("run",), ("nosuch",), ("run", "--nosuch", "x"), ("run", PROGRAM, "--bug", "nosuch"),
                          ("run", PROGRAM, "--policy", "nosuch"), ("fuzz", "--seconds", "0"), ("bugs", "nosuch")):
            self.daxfuzz(*arguments, expect=1)
            self.assertNotEqual("", self.errors, arguments)

    def test_help_of_each_command_has_an_example(self):
        for command in ("fuzz", "run", "measure", "show", "pack", "bugs", "bench-bugs"):
            self.assertRegex(self.daxfuzz(command, "--help"), r"Examples?:\s+daxfuzz " + command)

    def test_newer_format_is_refused(self):
        self.daxfuzz("run", self.path("new.txt", "daxfuzz program 2\ntask T0\n  sync\n"), expect=1)

    def test_bugs_lists_ids_and_oracles(self):
        bugs = json.loads(self.daxfuzz("bugs", "--json"))["bugs"]
        self.assertGreaterEqual(len(bugs), 16)
        for bug in bugs:
            self.assertEqual({"id", "catalogue", "source", "title", "oracles"}, set(bug))
            self.assertTrue(bug["oracles"])

    def test_results_have_a_line_an_operation_and_the_tree(self):
        results = self.path("results")
        self.daxfuzz("run", self.path("p", CLEAN), "--results", results)
        with open(results, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual(5, len(lines))
        self.assertEqual(5000, lines[1]["ret"])
        self.assertEqual("41" * 10, lines[2]["data"])
        self.assertEqual("ENOENT", lines[3]["errno"])
        self.assertIn("tree", lines[4])

    def test_image_in_and_out(self):
        image = self.path("image")
        self.daxfuzz("run", self.path("p", CLEAN), "--save-image", image)
        check = subprocess.run(["e2fsck", "-fn", image], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual(0, check.returncode, check.stdout)
        reader = self.path("r", "daxfuzz program 1\ntask T0\n  f = open \"f0\" rdonly\n  read f buf 8K\n")
        results = self.path("results")
        with open(image, "rb") as file:
            before = file.read()
        self.daxfuzz("run", reader, "--image", image, "--results", results)
        with open(results, encoding="utf-8") as file:
            self.assertEqual(5000, json.loads(file.readlines()[1])["ret"])
        with open(image, "rb") as file:
            self.assertEqual(before, file.read())

    def test_image_that_is_none_is_an_input_error(self):
        self.daxfuzz("run", self.path("p", CLEAN), "--image", self.path("zeros", "\0" * (1 << 20)), expect=1)
        self.assertRegex(self.errors, "zeros: mount: EINVAL: not an ext4 image")

    def test_trace_has_a_line_a_point(self):
        trace = self.path("trace")
        output = self.daxfuzz("run", self.path("p", CLEAN), "--trace", trace)
        events = int(re.search(r"events=(\d+)", output).group(1))
        with open(trace, encoding="utf-8") as file:
            self.assertGreaterEqual(len(file.readlines()), events // 2)

    def test_fuzz_finds_an_easy_bug_from_nothing_and_files_it(self):
        output = self.daxfuzz("fuzz", "--bug", "fault-without-entry-lock", "--stop-on-finding", "--seconds", "60",
                              "--seed",
                              "1", "--findings", self.path("found"), "--json", expect=77)
        summary = json.loads(output[output.index("{"):])
        self.assertTrue({"runs", "seconds", "runs_per_second", "edges", "interleavings", "findings"} <= set(summary))
        finding = summary["findings"][0]
        self.assertTrue({"verdict", "title", "key", "bug", "seconds", "path"} <= set(finding))
        # Which of the bug's verdicts comes first depends on the flavour's speed; a tree that it has damaged can keep a
        # walk going round. The exit code is the verdict's.
        replay = self.daxfuzz("run", os.path.join(self.cwd, finding["path"]), "--bug", "fault-without-entry-lock",
                              expect=70 if finding["verdict"] == "livelock" else 77)
        self.assertIn("FINDING " + finding["verdict"], replay)
        self.assertIn("key=" + finding["key"], replay)

    def test_fuzz_files_what_a_worker_ran_that_died(self):
        corpus = self.path("corpus")
        process = subprocess.Popen([DAXFUZZ, "fuzz", "--seconds", "60", "--stop-on-finding", "--corpus", corpus], cwd=self.cwd,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        while process.poll() is None and not (os.path.isdir(corpus) and os.listdir(corpus)):
            time.sleep(0.02)
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="utf-8") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        output, errors = process.communicate(timeout=120)
        self.assertEqual(77, process.returncode, errors)
        self.assertRegex(output, "FINDING crash crash: the library died of signal Killed")
        names = [name for name in os.listdir(self.path("findings")) if re.fullmatch("crash-[0-9a-f]{16}[.]txt", name)]
        self.assertEqual(1, len(names), os.listdir(self.path("findings")))
        self.assertIn("task", self.daxfuzz("show", os.path.join("findings", names[0])))

    def test_clean_build_is_silent_for_a_moment(self):
        output = self.daxfuzz("fuzz", "--seconds", "2", "--seed", "1", "--findings", self.path("found"), "--json")
        self.assertEqual([], json.loads(output[output.index("{"):])["findings"])

    def test_measure_counts_edges_and_orders_by_folder(self):
        seeds = os.path.join(SOURCE, "corpus/seeds")
        own = json.loads(self.daxfuzz("measure", seeds, "--json"))
        self.assertEqual(own["programs"], own["runs"])
        self.assertTrue(1000 < own["edges"] < own["edges_total"])
        more = json.loads(self.daxfuzz("measure", seeds, "--json", "--schedules", "5"))
        self.assertEqual(6 * own["runs"], more["runs"])
        self.assertGreater(more["orders"], own["orders"])
        self.assertEqual(more["orders"], sum(folder["orders"] for folder in more["folders"]))
        self.assertLessEqual({"fs/dax", "fs/ext4"}, {folder["folder"] for folder in more["folders"]})
        self.daxfuzz("measure", self.path("nosuch"), expect=1)

    def test_fuzz_says_what_was_not_explored(self):
        page, data = self.path("left.html"), self.path("left.json")
        for out in (page, data):
            text = self.daxfuzz("fuzz", "--seconds", "2", "--seed", "1", "--sample", "8", "--findings", self.path("found"),
                                "--residual", out)
            self.assertRegex(text, r"orders of conflicting accesses: \d+ seen in \d+ sampled runs, at least \d+ more")
        with open(data, encoding="utf-8") as file:
            residual = json.load(file)
        self.assertGreater(residual["orders"]["orders"], 100)
        self.assertGreater(residual["orders"]["unseen_at_least"], 0)
        pairs = {(pair["first"], pair["then"]): pair for pair in residual["pairs"]}
        self.assertEqual(residual["orders"]["orders"], sum(pair["orders"] for pair in pairs.values()))
        self.assertGreater(pairs[("pwrite", "pwrite")]["orders"], 0)
        with open(page, encoding="utf-8") as file:
            self.assertIn("never ran together", file.read())
        text = self.daxfuzz("fuzz", "--seconds", "1", "--sample", "0", "--findings", self.path("found"))
        self.assertNotIn("orders of conflicting", text)

    def test_bench_bugs_measures_bugs_and_the_clean_build(self):
        data, page = self.path("r.json"), self.path("r.html")
        arguments = ("bench-bugs", "--bugs", "no-break-layouts-at-all/punch,fault-without-entry-lock",
                     "--policies", "pos,random",
                     "--repeats", "2", "--seconds", "0.5", "--jobs", "2", "--json", data, "--html", page)
        table = self.daxfuzz(*arguments)
        self.assertRegex(table, r"B01 +fault-without-entry-lock +\d/2")
        self.assertIn("no finding in 4 trials", table)
        with open(data, encoding="utf-8") as file:
            results = json.load(file)
        self.assertTrue(results["complete"])
        self.assertEqual(12, len(results["trials"]))
        cells = {(cell["bug"], cell["policy"]): cell for cell in results["cells"]}
        self.assertEqual(2, cells["no-break-layouts-at-all/punch", "pos"]["trials"])
        self.assertGreater(cells["all", "pos"]["found"] + cells["all", "random"]["found"], 0)
        for trial in results["trials"]:
            self.assertTrue(trial["end"] == "exposed" or trial["cpu_seconds"] == 0.5, trial)
            self.assertGreater(trial["runs"], 0)
        with open(page, encoding="utf-8") as file:
            html = file.read()
        for figure in re.findall(r"<svg.*?</svg>", html, flags=re.S):
            xml.etree.ElementTree.fromstring(figure)
        self.daxfuzz(*arguments, expect=1)
        self.assertIn("--force", self.errors)

    def test_bench_bugs_interrupted_leaves_the_results_so_far(self):
        data = self.path("r.json")
        job = subprocess.Popen([DAXFUZZ, "bench-bugs", "--bugs", "fault-without-entry-lock", "--policies", "pos",
                                "--repeats", "50", "--seconds", "20", "--json", data], cwd=self.cwd,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.time() + 60
        while time.time() < deadline:
            with open(data, encoding="utf-8") if os.path.exists(data) else open(os.devnull, encoding="utf-8") as file:
                if '"end"' in file.read():
                    break
            time.sleep(0.05)
        job.send_signal(signal.SIGINT)
        output = job.communicate(timeout=30)[0].decode()
        self.assertEqual(72, job.returncode)
        self.assertIn("interrupted:", output)
        with open(data, encoding="utf-8") as file:
            results = json.load(file)
        self.assertFalse(results["complete"])
        self.assertIn(results["trials"][-1]["end"], ("interrupted", "exposed"))

    def test_bench_bugs_says_what_is_wrong_with_its_options(self):
        for arguments, words in ((("--bugs", "nosuch"), "nosuch"), (("--policies", "replay"), "expected random"),
                                 (("--json", "/nosuch/r.json"), "/nosuch/r.json")):
            self.daxfuzz("bench-bugs", *arguments, expect=1)
            self.assertIn(words, self.errors)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
