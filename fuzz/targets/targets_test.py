#!/usr/bin/env python3
"""Tests of the libFuzzer targets as programs.   targets_test.py BUILD_DIR SOURCE_DIR"""
import os
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

BUILD, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])
BUG = "no-break-layouts-at-all/punch"
EXIT_FINDING = 77


def run(program, *arguments, cwd, bugs=""):
    environment = dict(os.environ, DAXFUZZ_BUGS=bugs)
    done = subprocess.run([os.path.join(BUILD, program), *arguments], cwd=cwd, env=environment, timeout=250,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


class Targets(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.cwd = self.folder.name
        self.addCleanup(self.folder.cleanup)

    def artifact(self):
        names = [name for name in os.listdir(self.cwd) if name.startswith("crash-")]
        self.assertEqual(1, len(names), names)
        return os.path.join(self.cwd, names[0])

    def bug_program(self):
        """The program as bytes, with parts that have nothing to do with the bug: what a fuzzer would find."""
        with open(os.path.join(SOURCE, "corpus/bugs", BUG, "program.txt"), encoding="utf-8") as file:
            text = file.read()
        text = text.replace("task T0 in P0\n", "task T0 in P0\n  stat \"d0\"\n", 1)
        text += "  sync\n  statfs \"f0\"\ntask T2 in P0\n  mkdir \"d1\"\n  getdents f3\n"
        padded = os.path.join(self.cwd, "padded.txt")
        with open(padded, "w", encoding="utf-8") as file:
            file.write(text)
        packed = os.path.join(self.cwd, "padded.bin")
        code, output = run("daxfuzz", "pack", padded, "-o", packed, cwd=self.cwd)
        self.assertEqual(0, code, output)
        return packed

    def test_canary_fails(self):
        code, output = run("canary_fuzzer", "-runs=20000", "-seed=1", cwd=self.cwd)
        self.assertEqual(EXIT_FINDING, code, output[-2000:])
        self.assertIn("canary: puzzle", output)
        self.artifact()

    def test_another_library_is_silent_and_its_flaws_are_found(self):
        code, output = run("memfs_fuzzer", "-runs=3000", "-seed=1", "-max_len=40", cwd=self.cwd)
        self.assertEqual(0, code, output[-2000:])
        for flaw, tag in (("append", r"PZ3"), ("lookup", r"PZ5")):
            with unittest.mock.patch.dict(os.environ, {"DAXFUZZ_MEMFS_FLAW": flaw}):
                code, output = run("memfs_fuzzer", "-runs=200000", "-seed=1", "-max_len=40", cwd=self.cwd)
            self.assertNotEqual(0, code, output[-2000:])
            if "ThreadSanitizer" not in output:  # which sees the same flaws as races
                self.assertRegex(output, rf"FINDING \w+ {tag}")

    def test_finding_is_saved_and_replays(self):
        code, output = run("syscalls_fuzzer", self.bug_program(), cwd=self.cwd, bugs=BUG)
        self.assertEqual(EXIT_FINDING, code, output[-2000:])
        self.assertIn("replay: daxfuzz run ARTIFACT --bug " + BUG, output)
        key = re.search(r"^FINDING .* key=(\w+) trace=(\w+)$", output, re.M)
        self.assertIsNotNone(key, output[-2000:])
        code, replay = run("daxfuzz", "run", os.path.join(self.cwd, "padded.bin"), "--bug", BUG, cwd=self.cwd)
        self.assertEqual(EXIT_FINDING, code, replay)
        self.assertIn(f"key={key.group(1)} trace={key.group(2)}", replay)

    def stack(self, bug):
        """Functions of the crash's stack, innermost first, as the engine prints it: of the library only."""
        program = os.path.join(SOURCE, "corpus/bugs", bug, "program.txt")
        code, output = run("syscalls_fuzzer", program, cwd=self.cwd, bugs=bug)
        self.assertEqual(EXIT_FINDING, code, output[-2000:])
        names = re.findall(r"^ +#\d+ 0x[0-9a-f]+ in (.*?) [^ ]*$", output, re.M)
        return [name for name in names if not re.search(r"^_*sanitizer|^fuzzer::|libc|^raise|^abort", name)]

    def test_a_crash_ends_in_the_function_that_noticed(self):
        tops = {}
        for bug, function in ((BUG, "disassociate_entry"), ("fault-without-entry-lock", "check"),
                              ("gup-fast-ignores-write-permission", "oracle_O9_objects"),
                              ("break-layouts-wait-keeps-mmap-sem/drop-inode-lock", "wait_for_pins"),
                              ("break-layouts-wait-keeps-mmap-sem/keep", "report_deadlock")):
            stack = self.stack(bug)
            if not any("daxf" in name for name in stack):
                self.skipTest("no symbolizer")
            self.assertIn(function, stack[0], stack[:5])
            tops[bug] = tuple(stack[:3])
        self.assertEqual(len(tops), len(set(tops.values())), tops)

    def test_fuzzing_saves_the_input_that_shows_the_bug(self):
        corpus = os.path.join(self.cwd, "corpus")
        os.mkdir(corpus)
        os.replace(self.bug_program(), os.path.join(corpus, "padded.bin"))
        code, output = run("syscalls_fuzzer", "-runs=100", "-seed=1", corpus, cwd=self.cwd, bugs=BUG)
        self.assertEqual(EXIT_FINDING, code, output[-2000:])
        code, replay = run("daxfuzz", "run", self.artifact(), "--bug", BUG, cwd=self.cwd)
        self.assertEqual(EXIT_FINDING, code, replay)
        code, replay = run("daxfuzz", "run", self.artifact(), cwd=self.cwd)
        self.assertEqual(0, code, replay)

    def test_minimize_crash_drops_parts_of_the_program(self):
        packed = self.bug_program()
        small = os.path.join(self.cwd, "small.bin")
        run("syscalls_fuzzer", "-minimize_crash=1", "-runs=400", "-seed=1", f"-exact_artifact_path={small}", packed,
            cwd=self.cwd, bugs=BUG)
        self.assertTrue(os.path.exists(small))
        self.assertLess(os.path.getsize(small), os.path.getsize(packed))
        code, replay = run("daxfuzz", "run", small, "--bug", BUG, cwd=self.cwd)
        self.assertEqual(EXIT_FINDING, code, replay)
        _, before = run("daxfuzz", "show", packed, cwd=self.cwd)
        _, after = run("daxfuzz", "show", small, cwd=self.cwd)
        self.assertLess(after.count("\n"), before.count("\n"), after)

    def test_empty_corpus_grows_by_edges_and_interleavings(self):
        code, output = run("syscalls_fuzzer", "-runs=300", "-seed=1337", "-use_value_profile=0", cwd=self.cwd)
        self.assertEqual(0, code, output[-2000:])
        self.assertNotIn("no interesting inputs", output)
        last = re.findall(r"cov: (\d+) ft: (\d+)", output)[-1]
        self.assertGreater(int(last[0]), 500, output[-2000:])
        self.assertGreater(int(last[1]), int(last[0]))

    def test_any_bytes_are_a_program(self):
        for content in (b"", b"\x00", b"\xff" * 4096, b"daxfuzz program 1\nnonsense", bytes(range(256)) * 16):
            path = os.path.join(self.cwd, "input")
            with open(path, "wb") as file:
                file.write(content)
            code, output = run("syscalls_fuzzer", path, cwd=self.cwd)
            self.assertEqual(0, code, output[-2000:])

    def test_seeds_are_packed_as_daxfuzz_packs_them(self):
        seed = os.path.join(SOURCE, "corpus/seeds/fallocate_modes.txt")
        code, output = run("corpus_files", "pack", self.cwd, seed, cwd=self.cwd)
        self.assertEqual(0, code, output)
        [name] = os.listdir(self.cwd)
        with open(os.path.join(self.cwd, name), "rb") as file:
            packed = file.read()
        code, output = run("daxfuzz", "pack", seed, "-o", os.path.join(self.cwd, "other"), cwd=self.cwd)
        self.assertEqual(0, code, output)
        with open(os.path.join(self.cwd, "other"), "rb") as file:
            self.assertEqual(packed, file.read())

    def test_every_operation_has_a_seed_of_its_own(self):
        code, output = run("corpus_files", "dict", "syscalls_fuzzer", cwd=self.cwd)
        operations = re.findall(r'^(\w+)="', output, re.M)
        contents = []
        for folder in ("first", "second"):
            os.mkdir(os.path.join(self.cwd, folder))
            code, output = run("corpus_files", "seeds", os.path.join(self.cwd, folder), cwd=self.cwd)
            self.assertEqual(0, code, output)
            contents.append(sorted(os.listdir(os.path.join(self.cwd, folder))))
        self.assertEqual(contents[0], contents[1])
        self.assertEqual(len(operations), len(contents[0]))
        shown = ""
        for name in contents[0]:
            code, text = run("daxfuzz", "show", os.path.join(self.cwd, "first", name), cwd=self.cwd)
            self.assertEqual(0, code, text)
            shown += text
        for operation in operations:
            self.assertRegex(shown, rf"(?m)^  (\w+ = )?{operation}\b")

    def test_dictionary_has_every_operation_once_and_they_decode(self):
        code, output = run("corpus_files", "dict", "syscalls_fuzzer", cwd=self.cwd)
        self.assertEqual(0, code, output)
        tokens = dict(re.findall(r'^(\w+)="((?:\\x[0-9a-f]{2})+)"$', output, re.M))
        for name in ("open", "fallocate", "mmap", "store", "setxflags"):
            path = os.path.join(self.cwd, name)
            with open(path, "wb") as file:  # version, image, mount: then the record
                file.write(self.packed_head() + bytes.fromhex(tokens[name].replace("\\x", "")))
            code, shown = run("daxfuzz", "show", path, cwd=self.cwd)
            self.assertEqual(0, code, shown)
            self.assertRegex(shown, rf"(?m)^  (\w+ = )?{name}\b")
        self.assertEqual(len(tokens), len(set(tokens.values())))

    def packed_head(self):
        """A program without operations, as bytes."""
        text, packed = os.path.join(self.cwd, "empty.txt"), os.path.join(self.cwd, "empty.bin")
        with open(text, "w", encoding="utf-8") as file:
            file.write("daxfuzz program 1\nimage small\nmount dax=always\nprocess P0\ntask T0 in P0\n")
        code, output = run("daxfuzz", "pack", text, "-o", packed, cwd=self.cwd)
        self.assertEqual(0, code, output)
        with open(packed, "rb") as file:
            return file.read()

    def test_runs_of_one_input_have_one_trace(self):
        packed = self.bug_program()
        with unittest.mock.patch.dict(os.environ, {"DAXFUZZ_TRACES": "1"}):
            code, output = run("syscalls_fuzzer", "-runs=20", packed, cwd=self.cwd)
        self.assertEqual(0, code, output[-2000:])
        traces = re.findall(r"^trace=\w+$", output, re.M)
        self.assertGreaterEqual(len(traces), 20)
        self.assertEqual(1, len(set(traces)))

    def test_xarray_target_finds_the_bugs_of_the_tree(self):
        # Not iter-retry-keeps-tags, which takes 20 s: it needs sequences of some length.
        for bug in ("sibling-mask-lost", "create-ignores-sibling", "delete-leaves-siblings",
                    "mark-on-sibling-not-canonical"):
            code, output = run("xarray_fuzzer", "-runs=200000", "-seed=1", "-max_len=512", cwd=self.cwd, bugs=bug)
            self.assertEqual(EXIT_FINDING, code, bug + output[-2000:])
            text = re.search(r"^xarray fanout (?:.*\n)+?(?=replay)", output, re.M)
            self.assertIsNotNone(text, output[-2000:])
            path = os.path.join(self.cwd, "sequence.txt")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.group(0))
            self.assertEqual(EXIT_FINDING, run("xarray_fuzzer", path, cwd=self.cwd, bugs=bug)[0], output[-2000:])
            self.assertEqual(0, run("xarray_fuzzer", path, cwd=self.cwd)[0], output[-2000:])

    def test_image_target_survives_damage_and_speaks_on_sound_images(self):
        seeds, corpus = os.path.join(SOURCE, "corpus/images"), os.path.join(self.cwd, "corpus")
        os.mkdir(corpus)
        code, output = run("image_fuzzer", "-runs=1000", "-seed=1", corpus, seeds, cwd=self.cwd)
        self.assertEqual(0, code, output[-3000:])
        # A historical bug in the use of an image that is sound, and of one where a checksum of no consequence was damaged.
        with open(os.path.join(SOURCE, "corpus/bugs", BUG, "program.txt"), encoding="utf-8") as file:
            program = file.read()
        path = os.path.join(self.cwd, "image.txt")
        for patch in ("", "patch super 0 +0x78 flip1 1\n"):
            with open(path, "w", encoding="utf-8") as file:
                file.write("daxfuzz image 1\nimage rich\nchecksums renewed\n" + patch + "program\n" + program)
            self.assertEqual(0, run("image_fuzzer", path, cwd=self.cwd)[0])
            code, output = run("image_fuzzer", path, cwd=self.cwd, bugs=BUG)
            self.assertEqual(EXIT_FINDING, code, output[-2000:])
            self.assertRegex(output, r"(?m)^FINDING WARNING .* key=\w+$")
            text = re.search(r"^daxfuzz image 1\n(?:.*\n)+?(?=replay)", output, re.M).group(0)
            with open(path, "w", encoding="utf-8") as file:  # what it prints is its replay
                file.write(text)
            self.assertEqual(EXIT_FINDING, run("image_fuzzer", path, cwd=self.cwd, bugs=BUG)[0], text)

    def test_image_target_writes_the_damaged_image(self):
        path, image = os.path.join(SOURCE, "corpus/images/damaged-super-blocks.txt"), os.path.join(self.cwd, "x.img")
        with unittest.mock.patch.dict(os.environ, {"DAXFUZZ_SAVE_IMAGE": image, "DAXFUZZ_TEXT": "1"}):
            code, output = run("image_fuzzer", path, cwd=self.cwd)
        self.assertEqual(0, code, output)
        self.assertIn("# sound=0 mounted=0 the filesystem has 16777215 blocks", output)
        code, output = run("daxfuzz", "run", os.path.join(SOURCE, "corpus/seeds/symlinks.txt"), "--image", image, cwd=self.cwd)
        self.assertIn("truncated image", output)

    def test_unknown_bug_is_a_usage_error(self):
        code, output = run("syscalls_fuzzer", "-runs=1", cwd=self.cwd, bugs="no-such-bug")
        self.assertEqual(1, code, output)
        self.assertIn("no historical bug 'no-such-bug'", output)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
